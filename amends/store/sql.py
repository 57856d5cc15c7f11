"""The few statements whose spelling differs between SQLite and PostgreSQL."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from amends.store.engine import Tx


def upsert(tx: Tx, table: sa.Table) -> Any:
    """An INSERT with `on_conflict_do_nothing` and `on_conflict_do_update`, in the open database's dialect."""
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def locked(tx: Tx, query: sa.Select[Any], *, skip: bool = False) -> sa.Select[Any]:
    """Lock the rows read until the transaction ends. SQLite's writer holds the whole file already."""
    return query.with_for_update(skip_locked=skip) if tx.dialect.name == "postgresql" else query


def rendered(tx: Tx, statement: Any) -> Any:
    """`statement`, a constant of a module, rendered for the open database once and kept with its engine.

    SQLAlchemy has a cache of its own, but looks longer for a statement in it than SQLite takes to run it, and renders
    an INSERT with ON CONFLICT anew each time. For what every wave of a sweep asks.
    """
    return kept(tx.dialect, statement, lambda: statement.compile(dialect=tx.dialect))


def kept(dialect: Dialect, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` makes for the engine with that dialect, once; it goes when the engine goes."""
    known: dict[Hashable, Any] = dialect.__dict__.setdefault("amends_kept", {})
    found = known.get(key)
    if found is None:
        found = known[key] = make()
    return found


def execute_many(tx: Tx, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run `statement` for every row in one batch; nothing for none."""
    if rows:
        tx.execute(statement, list(rows))
