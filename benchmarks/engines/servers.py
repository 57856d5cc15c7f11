"""The servers around the systems under test: databases, Prefect's, the sandbox, and which core each is on."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psutil
import sqlalchemy as sa

from benchmarks.databases import POSTGRES, SQLITE, empty_database
from deployments.server import SERVER_SETTINGS, prefect_server

_numbers = count(1)


@dataclass(frozen=True)
class Databases:
    """Empty databases of one kind, as many as wanted; `server` is the process id of PostgreSQL's."""

    kind: str
    maintenance: str | None = None
    server: int | None = None
    for_prefect: bool = True
    """Whether Prefect's own server can live there: on PostgreSQL it asks for the extension pg_trgm."""

    def new(self, home: Path) -> str:
        """The URL of an empty one: a file in `home`, or a database of the one PostgreSQL server."""
        if self.maintenance is None:
            return f"sqlite:///{home / 'amends.db'}"
        name = f"run{next(_numbers)}"
        engine = sa.create_engine(self.maintenance, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return sa.make_url(self.maintenance).set(database=name).render_as_string(hide_password=False)


@contextmanager
def databases(kind: str) -> Iterator[Databases]:
    """SQLite files, or databases of a PostgreSQL server of our own; it syncs to the disk as by default."""
    if kind == SQLITE:
        yield Databases(SQLITE)
        return
    complete = find_spec("pgserver") is not None
    with _complete_postgres() if complete else empty_database(POSTGRES) as url:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            folder = connection.exec_driver_sql("SHOW data_directory").scalar_one()
        engine.dispose()
        postmaster = int((Path(folder) / "postmaster.pid").read_text("utf-8").split()[0])
        yield Databases(POSTGRES, url, postmaster, for_prefect=complete)


@contextmanager
def _complete_postgres() -> Iterator[str]:
    """Like `empty_database`, from another wheel, which has PostgreSQL's usual extensions."""
    with tempfile.TemporaryDirectory(prefix="amends-pg-", dir="/tmp", ignore_cleanup_errors=True) as home:
        from pgserver.postgres_server import get_server

        server = get_server(home, cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


@dataclass(frozen=True)
class Prefect:
    api: str
    server: int
    """Its process id."""


@contextmanager
def prefect(home: Path, base: Databases) -> Iterator[Prefect]:
    """Prefect's server as `amends serve` runs it, on a database of that kind where it can."""
    settings, before = dict(SERVER_SETTINGS), set(psutil.Process().children())
    if base.kind == POSTGRES and base.for_prefect:
        url = sa.make_url(base.new(home)).set(drivername="postgresql+asyncpg")
        settings["PREFECT_API_DATABASE_CONNECTION_URL"] = url.render_as_string(hide_password=False)
    with prefect_server(home, settings=settings) as api:
        [server] = set(psutil.Process().children()) - before
        yield Prefect(api, server.pid)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started inside runs on that core only, and so do we; None, or a machine that cannot: anywhere."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def two_cores() -> tuple[int | None, int | None]:
    """A core for the system under test and one for the sandbox; nothing where cores cannot be chosen or shared out."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None, None
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second
