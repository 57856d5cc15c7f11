"""Sites for worlds: each database with a sandbox of its own, and the run's one Prefect server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import Settings as PrefectSettings

from sandbox.process import Sandbox, running_sandbox
from tests.chaos.child import prefect_settings
from tests.chaos.harness import Site
from tests.chaos.world import SANDBOX_SEED
from tests.conftest import MONDAY


@pytest.fixture(scope="session")
def prefect(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> PrefectSettings:
    return prefect_settings(prefect_api, tmp_path_factory.mktemp("prefect-child"))


@pytest.fixture
def sqlite_site(sandbox: Sandbox, tmp_path: Path) -> Site:
    return Site("sqlite", tmp_path / "sqlite", f"sqlite:///{tmp_path / 'amends.db'}", sandbox)


@pytest.fixture(scope="session")
def second_sandbox() -> Iterator[Sandbox]:
    with running_sandbox(SANDBOX_SEED, MONDAY) as sandbox:
        yield sandbox


@pytest.fixture
def postgres_site(second_sandbox: Sandbox, tmp_path: Path, postgres_url: str) -> Site:
    second_sandbox.reset()
    return Site("postgres", tmp_path / "postgres", postgres_url, second_sandbox)
