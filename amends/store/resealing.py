"""Sealing under the newest data key what is not yet: rows from before encryption, and those under an older key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from amends.sealing import MARK
from amends.store import cursors
from amends.store.engine import Tx
from amends.store.schema import metadata
from amends.store.sealed import Sealed, SealedJson, keyring_of
from amends.store.sql import execute_many

SEALED: dict[sa.Table, list[sa.Column[Any]]] = {
    table: columns
    for table in metadata.sorted_tables
    if (columns := [column for column in table.columns if isinstance(column.type, Sealed | SealedJson)])
}
"""Every table with sealed columns, and which those are. Each has an `id` that rises."""


def reseal(tx: Tx, limit: int) -> int:
    """Go through up to `limit` more rows of one table, and seal what needs it; returns how many were looked at.

    0 once the last table has been gone through to its end. Each call goes on where the last one committed, and after
    the newest data key has changed from the start. A row that somebody is writing to is left alone, so nobody waits
    for this and it waits for nobody: `states` tells what was missed, `start_over` goes back for it.
    """
    # Fetched anew, so that a process that has run for long learns of a new data key here at the latest.
    prefix = keyring_of(tx.dialect).fetch_again().prefix
    for table, columns in SEALED.items():
        done = _done(tx, table, prefix)
        ids = tx.execute(sa.select(table.c.id).where(table.c.id > done).order_by(table.c.id).limit(limit))
        if found := list(ids.scalars()):
            _seal(tx, table, columns, prefix, done, found[-1])
            cursors.put(tx, _cursor(table), f"{prefix}{found[-1]}")
            return len(found)
    return 0


def start_over(tx: Tx) -> bool:
    """Let the next `reseal` begin with the first row; False, and nothing done, when it is on its way already."""
    prefix = keyring_of(tx.dialect).fetch_again().prefix
    for table in SEALED:
        ahead = sa.select(table.c.id).where(table.c.id > _done(tx, table, prefix)).limit(1)
        if tx.execute(ahead).first() is not None:
            return False
    for table in SEALED:
        cursors.put(tx, _cursor(table), "")
    return True


def _seal(
    tx: Tx, table: sa.Table, columns: Sequence[sa.Column[Any]], prefix: str, after: int, to: int
) -> None:
    query = sa.select(table.c.id, *columns).where(
        table.c.id > after, table.c.id <= to, sa.or_(*(_not_under(column, prefix) for column in columns))
    )
    if tx.dialect.name == "postgresql":
        # Waiting for a row lock while holding others could end in a deadlock with an import.
        query = query.with_for_update(skip_locked=True, key_share=True)
    statement = table.update().where(table.c.id == sa.bindparam("b_id"))
    statement = statement.values({c.name: sa.bindparam(f"b_{c.name}", type_=c.type) for c in columns})
    # Reading opens the values, and writing seals them under the newest key.
    rows = [{f"b_{name}": value for name, value in row.items()} for row in tx.execute(query).mappings()]
    execute_many(tx, statement, rows)


def _done(tx: Tx, table: sa.Table, prefix: str) -> int:
    value = cursors.get(tx, _cursor(table)) or ""
    return int(value.removeprefix(prefix)) if value.startswith(prefix) else 0


def _cursor(table: sa.Table) -> str:
    return f"reseal {table.name}"


def _stored(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """The column as it is stored, past its type; a sealed value inside JSON begins with a quotation mark."""
    return sa.cast(sa.type_coerce(column, sa.Text), sa.Text)


def _not_under(column: sa.Column[Any], prefix: str) -> sa.ColumnElement[bool]:
    """Whether it holds something that does not begin with `prefix`. An empty text holds nothing."""
    start = f'"{prefix}' if isinstance(column.type, SealedJson) else prefix
    stored = _stored(column)
    return sa.and_(column.is_not(None), stored != "", sa.func.substr(stored, 1, len(start)) != start)


@dataclass(frozen=True, slots=True)
class State:
    """How the rows of one table are sealed."""

    table: str
    rows: int
    older: int
    """Sealed, but not all under the newest data key."""
    clear: int
    """With something that is not sealed at all."""

    @property
    def left(self) -> int:
        return self.older + self.clear


def states(tx: Tx) -> list[State]:
    """Of each table with personal data; reads all of them, so it takes seconds for millions of rows."""
    prefix = keyring_of(tx.dialect).fetch_again().prefix
    found = []
    for table, columns in SEALED.items():
        clear = sa.or_(*(_not_under(column, MARK) for column in columns))
        older = sa.or_(*(_not_under(column, prefix) for column in columns))
        query = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(sa.case((clear, 0), (older, 1), else_=0)), 0),
            sa.func.coalesce(sa.func.sum(sa.case((clear, 1), else_=0)), 0),
        ).select_from(table)
        rows, under_older, in_clear = tx.execute(query).one()
        found.append(State(table.name, rows, int(under_older), int(in_clear)))
    return found
