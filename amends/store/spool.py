"""The spool: webhooks that are safe on disk and not yet in the database. A SQLite file of its own (ADR 0008).

Bodies are sealed by the installation's own keys, not by the keyring: the keyring is in the database, which may be away.
Several processes may use one file at once. Everything is blocking and safe to call from any thread.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from amends.encryption import Cipher

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY_SECONDS = 5.0
_FORGOTTEN_AT_ONCE = 5_000


class SpoolFull(Exception):
    """Nothing of the batch was stored: so much is waiting, or the disk is so full, that no more is taken in."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One webhook whose signature was right.

    `door` is `zalo:<account>` or `webhook:<source>`, `key` the same for every delivery of the same event,
    `received_at` aware, `body` the raw bytes that were signed, `server` the vendor's `X-ZEvent-Server`.
    """

    door: str
    key: str
    received_at: datetime
    body: bytes = field(repr=False)
    server: str = ""


@dataclass(frozen=True, slots=True)
class Spooled:
    """An `Arrived` that is waiting. `id` rises in order of arrival and never comes again; `received_at` is UTC."""

    id: int
    door: str
    key: str
    received_at: datetime
    body: bytes = field(repr=False)
    server: str = ""


class Spool:
    """One spool file. What `put` has returned for survives kill -9 and power cuts, until it is dropped."""

    def __init__(
        self,
        path: Path,
        cipher: Cipher,
        limit_rows: int = 100_000,
        limit_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        """Open or create `path`, readable by its owner only; the limits are for what waits (sealed bodies, in bytes).

        Raises OSError or sqlite3.Error when that is impossible.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self._cipher = cipher
        self._limit_rows, self._limit_bytes = limit_rows, limit_bytes
        # Two connections: in WAL a reader never waits for the writer, so neither does `waiting` for a slow disk.
        self._writer, self._reader = _connect(path), _connect(path)
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with self._transaction() as db:
            for statement in _SCHEMA:
                db.execute(statement)

    def put(self, batch: Sequence[Arrived]) -> list[bool]:
        """Store a batch in one committed transaction. False: this (door, key) is waiting or was seen already.

        Raises SpoolFull (nothing of the batch is stored), sqlite3.Error when the file cannot be written.
        """
        rows = [_to_row(arrived, self._cipher.seal_bytes(arrived.body)) for arrived in batch]
        try:
            with self._transaction() as db:
                new = [db.execute(_PUT, row).rowcount == 1 for row in rows]
                if any(new):
                    self._refuse_when_full(db)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise SpoolFull("the disk that holds the spool is full") from error
            raise
        return new

    def peek(self, limit: int, doors: Sequence[str] | None = None) -> list[Spooled]:
        """Up to `limit` waiting webhooks, oldest first; of these doors only, unless None. They stay waiting.

        Raises KeyProblem when one was sealed by a key that we no longer have.
        """
        with self._reading:
            if doors is None:
                found = self._reader.execute(_PEEK, (limit,)).fetchall()
            else:
                # Door by door each is an index range; one query over all would read what others leave waiting.
                found = [
                    row
                    for door in dict.fromkeys(doors)
                    for row in self._reader.execute(_PEEK_DOOR, (door, limit))
                ]
        return [_from_row(row, self._cipher.open_bytes(row[4])) for row in sorted(found)[:limit]]

    def drop(self, ids: Iterable[int]) -> None:
        """These are safe elsewhere: delete them, but remember that they were here. Unknown ids do not matter."""
        rows = [(number,) for number in ids]
        if not rows:
            return
        with self._transaction() as db:
            db.executemany(_REMEMBER, rows)
            db.executemany("DELETE FROM waiting WHERE id = ?", rows)

    def forget(self, before: datetime) -> int:
        """Forget the keys of dropped webhooks received before then; returns how many. Those waiting stay."""
        total = 0
        while True:
            # In pieces, because webhooks wait for the lock meanwhile.
            with self._transaction() as db:
                forgotten = db.execute(_FORGET, (_to_micros(before), _FORGOTTEN_AT_ONCE)).rowcount
            total += forgotten
            if forgotten < _FORGOTTEN_AT_ONCE:
                return total

    def waiting(self) -> int:
        """How many webhooks wait, of all doors; costs the same however many."""
        with self._reading:
            return int(self._reader.execute("SELECT count FROM total").fetchone()[0])

    def close(self) -> None:
        """Close the file; the spool cannot be used afterwards."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def _refuse_when_full(self, db: sqlite3.Connection) -> None:
        count, size = db.execute("SELECT count, size FROM total").fetchone()
        if count > self._limit_rows or size > self._limit_bytes:
            raise SpoolFull("too many webhooks wait in the spool: is anything taking them into the database?")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")


_SCHEMA = (
    # AUTOINCREMENT: an id that was dropped must never name another webhook to a slower process.
    """CREATE TABLE IF NOT EXISTS waiting (
        id INTEGER PRIMARY KEY AUTOINCREMENT, door TEXT NOT NULL, key TEXT NOT NULL,
        received_at INTEGER NOT NULL, body BLOB NOT NULL, server TEXT NOT NULL, UNIQUE (door, key))""",
    "CREATE INDEX IF NOT EXISTS waiting_door ON waiting (door, id)",
    """CREATE TABLE IF NOT EXISTS seen (
        door TEXT NOT NULL, key TEXT NOT NULL, received_at INTEGER NOT NULL,
        PRIMARY KEY (door, key)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS seen_received_at ON seen (received_at)",
    # What waits, counted as it comes and goes: COUNT(*) would read the whole table for every batch.
    """CREATE TABLE IF NOT EXISTS total (
        only INTEGER PRIMARY KEY CHECK (only = 1), count INTEGER NOT NULL, size INTEGER NOT NULL)""",
    "INSERT INTO total VALUES (1, 0, 0) ON CONFLICT DO NOTHING",
    """CREATE TRIGGER IF NOT EXISTS count_in AFTER INSERT ON waiting BEGIN
        UPDATE total SET count = count + 1, size = size + length(new.body); END""",
    """CREATE TRIGGER IF NOT EXISTS count_out AFTER DELETE ON waiting BEGIN
        UPDATE total SET count = count - 1, size = size - length(old.body); END""",
)
_PUT = """
    INSERT INTO waiting (door, key, received_at, body, server)
    SELECT :door, :key, :received_at, :body, :server
    WHERE NOT EXISTS (SELECT 1 FROM seen WHERE door = :door AND key = :key)
    ON CONFLICT DO NOTHING"""
_PEEK = "SELECT id, door, key, received_at, body, server FROM waiting ORDER BY id LIMIT ?"
_PEEK_DOOR = "SELECT id, door, key, received_at, body, server FROM waiting WHERE door = ? ORDER BY id LIMIT ?"
_REMEMBER = """
    INSERT INTO seen (door, key, received_at) SELECT door, key, received_at FROM waiting WHERE id = ?
    ON CONFLICT DO NOTHING"""
_FORGET = """
    DELETE FROM seen WHERE (door, key) IN (SELECT door, key FROM seen WHERE received_at < ? LIMIT ?)"""


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: we say BEGIN IMMEDIATE ourselves. Locks above make the other threads safe.
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    _use_wal(db)
    for pragma in (
        # The sender is told 200 after this: it has to be on disk, even through a power cut.
        "synchronous = FULL",
        # Customers' words do not stay behind in free pages, nor in a log that grew once.
        "secure_delete = ON",
        "journal_size_limit = 4194304",
    ):
        db.execute(f"PRAGMA {pragma}")
    return db


def _busy(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )


@retry(
    retry=retry_if_exception(_busy),
    stop=stop_after_delay(_BUSY_SECONDS),
    wait=wait_random(0.01, 0.05),
    reraise=True,
)
def _use_wal(db: sqlite3.Connection) -> None:
    """Desk and sweep may start together on a new file, and SQLite's time-out does not cover this switch."""
    db.execute("PRAGMA journal_mode = WAL")


def _to_row(arrived: Arrived, sealed: bytes) -> dict[str, str | int | bytes]:
    return {
        "door": arrived.door,
        "key": arrived.key,
        "received_at": _to_micros(arrived.received_at),
        "body": sealed,
        "server": arrived.server,
    }


def _from_row(row: tuple[int, str, str, int, bytes, str], body: bytes) -> Spooled:
    number, door, key, received_at, _, server = row
    return Spooled(number, door, key, _EPOCH + timedelta(microseconds=received_at), body, server)


def _to_micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
