"""Opening the database: SQLite with one writer at a time, or PostgreSQL."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import SQLITE_BUSY, OperationalError
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from amends.domain.contacts import mask
from amends.encryption import Cipher
from amends.sealing import Keyring, Keys
from amends.store import keyring
from amends.store.migrate import hold_revision, migrate
from amends.store.sealed import give_keyring

Tx = Connection
"""An open transaction. Functions of this package take it first; no `await` ever happens inside one."""


class Store:
    """The database of one installation. `begin()` for everything that writes, `read()` for the rest."""

    def __init__(self, url: str, cipher: Cipher) -> None:
        """Open `url` (SQLAlchemy form); `cipher` opens the keys that personal data in it is sealed with.

        Raises ValueError, without the password, for databases we do not support.
        """
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            if parsed.database:
                _make_private(Path(parsed.database))
            self.engine = sa.create_engine(parsed, hide_parameters=True)
            _prepare_sqlite(self.engine)
        elif backend == "postgresql":
            self.engine = sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                hide_parameters=True,
                connect_args=_alive_within_a_minute(parsed),
            )
            _prepare_postgres(self.engine)
        else:
            raise ValueError(
                f"{backend} is not supported; use sqlite:///file.db or postgresql+psycopg://user@host/db"
            )
        self._cipher = cipher
        self.keyring = Keyring(self._fetch_keys)
        give_keyring(self.engine.dialect, self.keyring)
        _keep_rows_out_of_errors(self.engine)
        # At its most talkative SQLAlchemy logs every row it reads; `hide_parameters` is about what is written.
        logging.getLogger("sqlalchemy.engine.Engine").addFilter(_no_rows)

    @property
    def is_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def migrate(self) -> None:
        """Bring the schema to the newest revision; does nothing when it is there already.

        Raises KeyProblem when our keys do not open the keyring, before anything else is done with it.
        """
        migrate(self.engine, self._cipher)
        self.keyring.fetch_again()

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A writing transaction: committed at the end, rolled back on any exception.

        Raises StrangeSchema when another program has migrated the database to a schema that this one does not know.
        """
        with closing(self._answering(hold_revision)) as tx:
            yield tx
            tx.commit()

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Tx]:
        """A reading transaction: on SQLite it never waits for the writer.

        With `snapshot` all of it sees one moment, whatever others commit meanwhile; on SQLite it does anyway.
        """
        options = _SNAPSHOT if snapshot and self.is_postgres else {}
        ask = _look if self.is_postgres else None
        with closing(self._answering(ask, amends_read_only=True, **options)) as tx:
            yield tx

    def _answering(self, ask: Callable[[Tx], None] | None, **options: Any) -> Tx:
        """A connection whose transaction begins with `ask`: what the pool has kept may have died with its server.

        SQLAlchemy's `pool_pre_ping` would find out as well, with one more way to the server and back each time.
        """
        try:
            return self._connected(ask, **options)
        except DBAPIError as error:
            # One that is found dead has taken the rest of the pool with it, and nothing has been done yet.
            if not error.connection_invalidated:
                raise
        return self._connected(ask, **options)

    def _connected(self, ask: Callable[[Tx], None] | None, **options: Any) -> Tx:
        tx = self.engine.connect().execution_options(**options)
        if ask is not None:
            try:
                ask(tx)
            except BaseException:
                tx.close()
                raise
        return tx

    def close(self) -> None:
        self.engine.dispose()

    def _fetch_keys(self) -> Keys:
        with self.read() as tx:
            return keyring.load(tx, self._cipher)


def _make_private(file: Path) -> None:
    """Create the database file readable by its owner only: it holds phone numbers and tokens."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600, exist_ok=True)


POSTGRES_LIMITS = {
    # Longer than our transactions take, and shorter than a lease: who is stopped in mid-transaction (a frozen machine,
    # a debugger) loses it before others take over what it was working on.
    "idle_in_transaction_session_timeout": "60s",
    # Nobody waits for ever for somebody else's row; Prefect tries the chunk again.
    "lock_timeout": "30s",
}


def _alive_within_a_minute(url: URL) -> dict[str, int]:
    """How a server that has vanished without a word is noticed: libpq's options, unless the URL has its own."""
    limits = {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
    limits["tcp_user_timeout"] = 45_000  # milliseconds
    return {name: value for name, value in limits.items() if name not in url.query}


def _prepare_postgres(engine: Engine) -> None:
    # By statement, not by the `options` of a connection: those a pooler such as PgBouncer refuses.
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        limits = ", ".join(
            f"set_config('{name}', '{value}', false)" for name, value in POSTGRES_LIMITS.items()
        )
        connection.execute(f"SELECT {limits}")
        connection.commit()


_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _look(tx: Tx) -> None:
    tx.exec_driver_sql("SELECT 1")


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


class DatabaseGone(SQLAlchemyError):
    """The SQLite file has been moved, replaced or deleted while it was open."""


def _prepare_sqlite(engine: Engine) -> None:
    file = Path(engine.url.database) if engine.url.database else None

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["file"] = _identity(file)
        # sqlite3 must not open transactions by itself: it would start them late, as readers, and then fail
        # to upgrade under a second writer. We say BEGIN IMMEDIATE ourselves (DESIGN 4.6).
        connection.isolation_level = None
        for pragma in (
            "busy_timeout = 60000",
            # The ledger promises that `sending` is on disk before the call leaves, even through a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
            # What is sealed, or forgotten, must not stay behind in clear in the free parts of the file.
            "secure_delete = ON",
            "cache_size = -16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _use_wal(connection)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # SQLite goes on writing into a deleted file, and into one that `amends restore` has put aside.
        if _identity(file) != connection.connection.info["file"]:
            connection.invalidate()
            raise DatabaseGone(f"the database file {file} has been replaced or removed while it was in use")
        read_only = connection.get_execution_options().get("amends_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _identity(file: Path | None) -> tuple[int, int] | None:
    """What tells a file from another that has taken its name; None for no file."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


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
