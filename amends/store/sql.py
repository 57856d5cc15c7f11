"""The few statements whose spelling differs between SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from amends.store.engine import Tx


def upsert(tx: Tx, table: sa.Table) -> Any:
    """An INSERT with `on_conflict_do_nothing` and `on_conflict_do_update`, in the open database's dialect."""
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def locked(tx: Tx, query: sa.Select[Any], *, skip: bool = False) -> sa.Select[Any]:
    """Lock the rows read until the transaction ends. SQLite's writer holds the whole file already."""
    return query.with_for_update(skip_locked=skip) if tx.dialect.name == "postgresql" else query


def execute_many(tx: Tx, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run `statement` for every row in one batch; nothing for none."""
    if rows:
        tx.execute(statement, list(rows))


def insert_new(tx: Tx, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows that break no unique constraint; returns how many those were.

    Counted by RETURNING: a driver's row count of a batch is not to be trusted (psycopg says -1).
    """
    if not rows:
        return 0
    statement = upsert(tx, table).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return len(tx.execute(statement, list(rows)).all())
