"""Statements about many rows at once, which travel as one JSON document: one parameter, however many there are.

Rendered once for each engine. An `executemany` would prepare and send every row by itself (ADR 0014).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import CursorResult, Dialect

from amends.sealing import to_json
from amends.store.engine import Tx
from amends.store.sealed import Sealed
from amends.store.sql import kept, upsert
from amends.store.types import UtcDateTime


@dataclass(frozen=True, eq=False, slots=True)
class ForRows:
    """`build` makes the statement, given the open transaction and the rows as something to select from.

    A row has one value for each of `columns`, as the program knows them, in their order.
    """

    columns: Sequence[sa.Column[Any]]
    build: Callable[[Tx, sa.FromClause], sa.Executable]

    def execute(self, tx: Tx, rows: Sequence[Sequence[Any]], **more: Any) -> CursorResult[Any] | None:
        """Run it for all of `rows`; `more` are its other parameters. None, and nothing is done, for no rows."""
        if not rows:
            return None
        statement, document = kept(tx, self, lambda: _prepare(self, tx))
        return tx.execute(statement, {"rows": document(rows), "count": len(rows), **more})


def insert_of(
    table: sa.Table,
    *columns: str,
    ending: Callable[[Any], Any] = lambda insert: insert,
    **terms: sa.ColumnElement[Any],
) -> ForRows:
    """INSERT of rows with these columns; `terms` are columns that have one value for all.

    `ending` adds what is to happen on a conflict, and what is returned.
    """

    def build(tx: Tx, fresh: sa.FromClause) -> sa.Executable:
        source = sa.select(*fresh.c, *terms.values())
        # Without WHERE, SQLite takes the conflict clause for a join's.
        insert = upsert(tx, table).from_select([*columns, *terms], source.where(sa.true()))
        return ending(insert)  # type: ignore[no-any-return]

    return ForRows([table.c[name] for name in columns], build)


def if_new(insert: Any) -> Any:
    """For `ending`: what is there already stays as it is."""
    return insert.on_conflict_do_nothing()


def _prepare(one: ForRows, tx: Tx) -> tuple[Any, Callable[[Sequence[Sequence[Any]]], str]]:
    postgres = tx.dialect.name == "postgresql"
    fresh = _recordset(one.columns) if postgres else _extracted(one.columns)
    statement = one.build(tx, fresh).compile(dialect=tx.dialect)  # type: ignore[attr-defined]
    return statement, _documents(one.columns, tx.dialect)


def _recordset(columns: Sequence[sa.Column[Any]]) -> sa.FromClause:
    given = sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON)
    each = sa.func.json_to_recordset(given).table_valued(
        *(sa.column(column.name, column.type) for column in columns)
    )
    # PostgreSQL takes every document for a hundred rows, for which it would read a table of a thousand pages whole.
    return sa.select(each.render_derived(with_types=True)).limit(sa.bindparam("count")).subquery("fresh")


def _extracted(columns: Sequence[sa.Column[Any]]) -> sa.FromClause:
    each = sa.func.json_each(sa.bindparam("rows", type_=sa.Text)).table_valued("value").c.value
    values = (
        sa.func.json_extract(each, sa.literal_column(f"'$[{place}]'"), type_=column.type).label(column.name)
        for place, column in enumerate(columns)
    )
    return sa.select(*values).limit(sa.bindparam("count")).subquery("fresh")


def _documents(columns: Sequence[sa.Column[Any]], dialect: Dialect) -> Callable[[Any], str]:
    """Writes the document: arrays for SQLite, which picks values by their place, and objects for PostgreSQL."""
    names = [str(column.name) for column in columns]  # of SQLAlchemy's own kind of text
    converts = [
        (place, convert)
        for place, column in enumerate(columns)
        if isinstance(column.type, UtcDateTime | Sealed)
        and (convert := column.type.bind_processor(dialect)) is not None
    ]

    def document(rows: Sequence[Sequence[Any]]) -> str:
        stored = [list(row) for row in rows]
        for place, convert in converts:
            for row in stored:
                row[place] = convert(row[place])
        if dialect.name == "sqlite":
            return to_json(stored)
        return to_json([dict(zip(names, row, strict=True)) for row in stored])

    return document
