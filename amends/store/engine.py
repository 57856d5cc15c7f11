"""Opening the database: SQLite with one writer at a time, or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import SQLITE_BUSY, OperationalError
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from amends.encryption import Cipher
from amends.sealing import Keyring, Keys
from amends.store import keyring
from amends.store.migrate import migrate
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
                parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True
            )
        else:
            raise ValueError(
                f"{backend} is not supported; use sqlite:///file.db or postgresql+psycopg://user@host/db"
            )
        self._cipher = cipher
        self.keyring = Keyring(self._fetch_keys)
        give_keyring(self.engine.dialect, self.keyring)

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

    def _fetch_keys(self) -> Keys:
        with self.read() as tx:
            return keyring.load(tx, self._cipher)


def _make_private(file: Path) -> None:
    """Create the database file readable by its owner only: it holds phone numbers and tokens."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600, exist_ok=True)


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
            # What is sealed, or forgotten, must not stay behind in clear in the free parts of the file.
            "secure_delete = ON",
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
