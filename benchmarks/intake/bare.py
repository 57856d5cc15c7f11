"""`python -m benchmarks.intake.bare HOME FOLDER`: the rows of an import and nothing else, as quickly as Python can.

They are what an import has left, sealed and numbered, in the same tables with the same indices and constraints: COPY
on PostgreSQL, `executemany` on SQLite, each in one transaction. Their preparation is not timed.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from amends.settings import Settings
from amends.store.engine import Store
from amends.store.opening import open_store

TABLES = ("customers", "feedbacks", "quarantine")
"""What an import writes, each after what it refers to."""
_BLOCK, _PAGE = 1 << 16, 20_000


def keep_rows(store: Store, folder: Path) -> None:
    """Lay aside what an import into `store` has left: as COPY's text, or as the very SQLite file."""
    if not store.is_postgres:
        with store.read() as tx, sqlite3.connect(folder / "kept.db") as kept:
            reader: Any = tx.connection.driver_connection
            reader.backup(kept)
        return
    with store.read() as tx:
        cursor: Any = tx.connection.cursor()
        for table in TABLES:
            with cursor.copy(f"COPY {table} TO STDOUT") as rows, (folder / table).open("wb") as file:
                for block in rows:
                    file.write(block)


def main(home: str, folder: str) -> None:
    """Print seconds and rows. The database is that of AMENDS_DATABASE_URL."""
    store = open_store(Settings(home=Path(home)))
    store.migrate()
    seconds = _copy(store, Path(folder)) if store.is_postgres else _execute_many(store, Path(folder))
    with store.read() as tx:
        rows = {
            table: tx.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - ours
            for table in TABLES
        }
    store.close()
    print(json.dumps({"seconds": seconds, **rows}))


def _copy(store: Store, folder: Path) -> float:
    started = time.perf_counter()
    with store.begin() as tx:
        cursor: Any = tx.connection.cursor()
        for table in TABLES:
            with (folder / table).open("rb") as file, cursor.copy(f"COPY {table} FROM STDIN") as rows:
                while block := file.read(_BLOCK):
                    rows.write(block)
    return time.perf_counter() - started


def _execute_many(store: Store, folder: Path) -> float:
    kept = sqlite3.connect(folder / "kept.db")
    seconds = 0.0
    with store.begin() as tx:
        writer: Any = tx.connection.driver_connection
        for table in TABLES:
            for page in _pages(kept, table):
                marks = ", ".join("?" * len(page[0]))
                started = time.perf_counter()
                writer.executemany(f"INSERT INTO {table} VALUES ({marks})", page)  # noqa: S608 - ours
                seconds += time.perf_counter() - started
        started = time.perf_counter()
    return seconds + time.perf_counter() - started


def _pages(kept: sqlite3.Connection, table: str) -> Iterator[list[tuple[Any, ...]]]:
    cursor = kept.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608 - ours
    while page := cursor.fetchmany(_PAGE):
        yield page


if __name__ == "__main__":
    main(*sys.argv[1:3])
