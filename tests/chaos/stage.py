"""What a run of its own needs, up and empty: Prefect's server, a PostgreSQL, and a sandbox for each world."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prefect.settings import Settings as PrefectSettings

from benchmarks.databases import POSTGRES, empty_database
from deployments.server import prefect_server
from sandbox.process import running_sandbox
from tests.chaos.child import prefect_settings
from tests.chaos.harness import Site
from tests.chaos.world import SANDBOX_SEED
from tests.conftest import MONDAY


@contextmanager
def set_stage(folder: Path, databases: Sequence[str]) -> Iterator[tuple[list[Site], PrefectSettings]]:
    """A site for each of the databases, sqlite or postgres, and Prefect's settings for the children."""
    with ExitStack() as stack:
        api = stack.enter_context(prefect_server(folder / "prefect"))
        sites = []
        for name in databases:
            url = f"sqlite:///{folder / 'amends.db'}"
            if name == POSTGRES:
                url = stack.enter_context(empty_database(POSTGRES))
            sandbox = stack.enter_context(running_sandbox(SANDBOX_SEED, MONDAY))
            sites.append(Site(name, folder / name, url, sandbox))
        yield sites, prefect_settings(api, folder / "prefect-child")
