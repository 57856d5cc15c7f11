"""The demo's stage: a fresh database, the sandbox, Prefect's server, and settings that know only those."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.domain.ratings import Scale
from amends.settings import Settings, ZaloSettings
from amends.store.engine import Store
from amends.store.opening import open_store
from amends.store.schema import feedbacks
from cli.demo.feed import columns_of
from cli.demo.play import START
from deployments.server import prefect_server
from deployments.serving import running_server
from sandbox.process import Sandbox, running_sandbox
from tasks.sweep import Runtime, use_runtime

SCHEMA = "amends_demo"
"""On PostgreSQL the demo lives in a schema of its own, dropped at the start of the next one."""


class StageProblem(ValueError):
    """The demo cannot run there; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Stage:
    store: Store
    clock: VirtualClock
    sandbox: Sandbox
    api_url: str
    inbox: Path


@contextmanager
def set_stage(home: Path, journey: ComplaintJourney, *, seed: int, database: str | None) -> Iterator[Stage]:
    """Everything the demo needs, up and empty; the servers stop at the end, the database stays to be looked at.

    Raises StageProblem when `database` holds data that is not the demo's.
    """
    folder = home / "demo"
    inbox = folder / "inbox"
    shutil.rmtree(inbox, ignore_errors=True)
    inbox.mkdir(parents=True)
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            server = pool.submit(stack.enter_context, _prefect(home / "prefect"))
            sandbox = stack.enter_context(running_sandbox(seed, START))
            settings = _settings(home, _cleared(database, folder), journey, sandbox)
            store = open_store(settings)
            stack.callback(store.close)
            _set_up(store)
            api_url = server.result()
        clock = VirtualClock(START)
        use_runtime(Runtime(settings, store, clock))
        yield Stage(store, clock, sandbox, api_url, inbox)


@contextmanager
def _prefect(home: Path) -> Iterator[str]:
    """The server that `amends serve` runs in this home, or one for the demo: never two on one database."""
    if url := running_server(home):
        yield url
        return
    with prefect_server(home) as url:
        yield url


def demo_sources(journey: ComplaintJourney, inbox: Path) -> ComplaintJourney:
    """The journey, reading from the demo's inbox: one source per rating scale."""
    data = journey.model_dump(mode="json")
    data["sources"] = [
        {
            "kind": "file",
            "name": f"demo-{scale.value.replace('_', '-')}",
            "path": str(inbox / f"{scale.value}-*.jsonl"),
            "columns": columns_of(scale).model_dump(mode="json"),
        }
        for scale in Scale
    ]
    return ComplaintJourney.model_validate(data)


def _cleared(database: str | None, folder: Path) -> str:
    """The URL of the demo's database, without what the last demo left there."""
    if database is None:
        for leftover in folder.glob("amends.db*"):
            leftover.unlink()
        return f"sqlite:///{folder / 'amends.db'}"
    url = sa.make_url(database)
    if url.get_backend_name() != "postgresql":
        return database
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), hide_parameters=True)
    with engine.begin() as tx:
        tx.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        tx.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
    engine.dispose()
    url = url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return url.render_as_string(hide_password=False)


def _set_up(store: Store) -> None:
    store.migrate()
    with store.read() as tx:
        if tx.execute(sa.select(feedbacks.c.id).limit(1)).first() is not None:
            raise StageProblem("that database holds feedback already; give the demo an empty or a new one")


def _settings(home: Path, database: str, journey: ComplaintJourney, sandbox: Sandbox) -> Settings:
    """Settings that can reach the sandbox and nobody else, whatever the environment says."""
    notify = sandbox.url.replace("http://", "json://") + "/notify"
    return Settings(
        home=home,
        database_url=SecretStr(database),
        zalo=ZaloSettings(
            app_id="sandbox-app",
            secret_key=SecretStr("sandbox-secret"),
            refresh_token=SecretStr("sandbox-refresh-token"),
            oauth_url=sandbox.url,
            business_url=sandbox.url,
            requests_per_second=2_000,
        ),
        contacts={name: SecretStr(f"{notify}/{name}") for name in journey.contacts()},
        customer_mail_url=None,
    )
