"""Opening the database: SQLite with one writer at a time, or PostgreSQL."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import SQLITE_BUSY, OperationalError
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from amends.domain.contacts import mask
from amends.store.migrate import migrate

Tx = Connection
"""An open transaction. Functions of this package take it first; no `await` ever happens inside one."""


class Store:
    """The database of one installation. `begin()` for everything that writes, `read()` for the rest."""

    def __init__(self, url: str) -> None:
        """Open `url` (SQLAlchemy form). Raises ValueError, without the password, for databases we do not support."""
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            if parsed.database:
                _make_private(Path(parsed.database))
            self.engine = sa.create_engine(parsed, hide_parameters=True)
            _prepare_sqlite(self.engine)
        elif backend == "postgresql":
            self.engine = sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True
            )
        else:
            raise ValueError(
                f"{backend} is not supported; use sqlite:///file.db or postgresql+psycopg://user@host/db"
            )
        _keep_rows_out_of_errors(self.engine)
        # At its most talkative SQLAlchemy logs every row it reads; `hide_parameters` is about what is written.
        logging.getLogger("sqlalchemy.engine.Engine").addFilter(_no_rows)

    @property
    def is_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def migrate(self) -> None:
        """Bring the schema to the newest revision; does nothing when it is there already."""
        migrate(self.engine)

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A writing transaction: committed at the end, rolled back on any exception."""
        with self.engine.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A reading transaction: on SQLite it never waits for the writer."""
        with self.engine.connect().execution_options(amends_read_only=True) as tx:
            yield tx

    def close(self) -> None:
        self.engine.dispose()


def _make_private(file: Path) -> None:
    """Create the database file readable by its owner only: it holds phone numbers and tokens."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600, exist_ok=True)


def _no_rows(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _keep_rows_out_of_errors(engine: Engine) -> None:
    """PostgreSQL quotes the row in an error's DETAIL, and errors go into logs, tracebacks and Prefect's states."""

    @sa.event.listens_for(engine, "handle_error")
    def shorten(context: sa.engine.ExceptionContext) -> None:
        said, wrapped = context.original_exception, context.sqlalchemy_exception
        whole = str(said)
        told = mask(whole.partition("\n")[0])
        if told == whole:
            return
        said.args = (told, *said.args[1:])
        if wrapped is not None:
            wrapped.args = tuple(
                part.replace(whole, told) if isinstance(part, str) else part for part in wrapped.args
            )


def _prepare_sqlite(engine: Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # sqlite3 must not open transactions by itself: it would start them late, as readers, and then fail
        # to upgrade under a second writer. We say BEGIN IMMEDIATE ourselves (DESIGN 4.6).
        connection.isolation_level = None
        for pragma in (
            "busy_timeout = 60000",
            # The ledger promises that `sending` is on disk before the call leaves, even through a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
            "cache_size = -65536",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _use_wal(connection)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("amends_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _busy(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and error.sqlite_errorcode & 0xFF == SQLITE_BUSY


@retry(
    retry=retry_if_exception(_busy),
    stop=stop_after_delay(60),
    wait=wait_random(0.01, 0.05),
    reraise=True,
)
def _use_wal(connection: Any) -> None:
    """Processes may start together on a new file, and SQLite's time-out does not cover the switch to WAL."""
    connection.execute("PRAGMA journal_mode = WAL")
