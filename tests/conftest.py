"""What tests share: both databases, a sandbox and a Prefect server for each worker, and a virtual clock."""

import gc
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney, load_journey
from amends.encryption import Cipher
from amends.settings import Settings, ZaloSettings
from amends.store.engine import Store
from sandbox.process import Sandbox, running_sandbox
from tasks.sweep import Runtime, use_runtime
from tests.certificates import load_one_certificate
from tests.prefect_homes import PrefectHomes
from tests.servers import TEMPLATE, new_database, shared_postgres

# No test is about wall time, and three workers share two cores.
hypothesis_settings.register_profile("amends", deadline=None)
hypothesis_settings.load_profile("amends")

ROOT = Path(__file__).parent.parent
MONDAY = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""Monday 2 November 2026, 09:00 in Viet Nam: shops are open, nothing is quiet."""


KEY = "Zm9yIHRlc3RzIG9ubHksIGtub3duIHRvIGFueW9uZSE="
"""The encryption key of every test's installation: one database is copied to many."""
CIPHER = Cipher([KEY])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every worker begins with slow tests, so that at the end none waits long for another's last one.

    xdist deals the list out in equal parts, one after the other, and the first part's worker would have all the slow
    ones. Those of a folder stay together, as they share what is started for them.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    folders = list(dict.fromkeys(item.path.parent for item in slow))
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        part = (len(items) - len(dealt)) // (workers - worker)
        mine = [item for item in slow if folders.index(item.path.parent) % workers == worker]
        room = max(0, part - len(mine))
        dealt += mine + quick[:room]
        del quick[:room]
    items[:] = dealt + quick


def pytest_collection_finish() -> None:
    """All that was imported stays; looking through it for garbage, again and again, took a twentieth of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return load_one_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def prefect_homes(request: pytest.FixtureRequest) -> PrefectHomes:
    assert request.config.cache is not None
    return PrefectHomes(request.config.cache.mkdir("prefect"))


@pytest.fixture(scope="session")
def prefect_api(
    certificate: str, prefect_homes: PrefectHomes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The API URL of this worker's own Prefect server.

    A start costs 5 s. One for all workers costs more: its SQLite is locked now and then, and clients wait seconds.
    """
    home = tmp_path_factory.mktemp("prefect")
    prefect_homes.furnish(home)
    os.environ["PREFECT_HOME"] = str(home)
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import (
        PREFECT_API_SSL_CERT_FILE,
        PREFECT_API_URL,
        PREFECT_LOGGING_LEVEL,
        temporary_settings,
    )

    from deployments.server import prefect_server

    with (
        prefect_server(home) as url,
        temporary_settings(
            {
                PREFECT_API_URL: url,
                PREFECT_API_SSL_CERT_FILE: certificate,
                PREFECT_LOGGING_LEVEL: "WARNING",
            }
        ),
    ):
        prefect_homes.learn(home)
        yield url
        # What Prefect's client still has to tell goes out while somebody listens; at exit it would try for a minute.
        APILogWorker.drain_all()
        EventsWorker.drain_all()


@pytest.fixture(scope="session")
def postgres_server(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of the maintenance database of one real PostgreSQL for the whole run."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    with shared_postgres(run_folder / "postgres", CIPHER) as uri:
        yield uri


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a fresh, migrated PostgreSQL database of this test's own."""
    return new_database(postgres_server, TEMPLATE)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every test that asks for it runs twice: on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'amends.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that tests copy, as they do on PostgreSQL: migrating costs a tenth of a second."""
    file = tmp_path_factory.mktemp("sqlite-template") / "amends.db"
    template = Store(f"sqlite:///{file}", CIPHER)
    template.migrate()
    template.close()
    return file


@pytest.fixture
def migrated_url(database_url: str, sqlite_template: Path) -> str:
    """The same URL, of a migrated database on SQLite too."""
    file = Path(database_url.removeprefix("sqlite:///"))
    if database_url.startswith("sqlite") and not file.exists():
        shutil.copy(sqlite_template, file)
    return database_url


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    store = Store(migrated_url, CIPHER)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    with running_sandbox(seed=7, now=MONDAY) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """The shared sandbox with an empty book, at Monday 09:00."""
    sandbox_process.reset()
    sandbox_process.set_clock(MONDAY)
    return sandbox_process


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(MONDAY)


CONTACTS = ("lan", "minh", "thao", "shift_lead", "care_manager")


def sandbox_settings(sandbox: Sandbox, home: Path, database_url: str) -> Settings:
    """Settings of an installation whose only vendor is the sandbox."""
    return Settings(
        home=home,
        database_url=SecretStr(database_url),
        encryption_keys=[SecretStr(KEY)],
        zalo=ZaloSettings(
            app_id="sandbox-app",
            secret_key=SecretStr("sandbox-secret"),
            refresh_token=SecretStr("sandbox-refresh-token"),
            oauth_url=sandbox.url,
            business_url=sandbox.url,
            openapi_url=sandbox.url,
        ),
        contacts={
            name: SecretStr(f"{sandbox.url.replace('http://', 'json://')}/notify/{name}") for name in CONTACTS
        },
    )


@pytest.fixture
def runtime(
    sandbox: Sandbox, tmp_path: Path, database_url: str, store: Store, clock: VirtualClock
) -> Runtime:
    """A runtime against the sandbox, in effect for this test's flows."""
    runtime = Runtime(sandbox_settings(sandbox, tmp_path, database_url), store, clock)
    use_runtime(runtime)
    return runtime


@cache
def _shipped_journey() -> ComplaintJourney:
    return load_journey(ROOT / "deployments" / "journeys" / "complaint.yaml")


@pytest.fixture
def journey(tmp_path: Path) -> ComplaintJourney:
    """The shipped example, with its inbox in this test's own folder."""
    data = _shipped_journey().model_dump(mode="json")
    data["sources"][0]["path"] = str(tmp_path / "inbox" / "*")
    (tmp_path / "inbox").mkdir()
    return ComplaintJourney.model_validate(data)
