"""Statements about many rows at once, which travel as one JSON document: one parameter, however many there are.

Rendered once for each engine. An `executemany` would prepare and send every row by itself (ADR 0014). The driver works
without holding up Python's other threads, so the next rows can be packed meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import CursorResult, Dialect

from amends.sealing import to_json, to_json_bytes
from amends.store.engine import Tx
from amends.store.sealed import Sealed, SealedJson, keyring_of
from amends.store.sql import kept, upsert
from amends.store.types import UtcDateTime

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows made ready for a statement: converted, sealed, and in one document."""

    document: bytes
    """UTF-8. As a text it would take Python three times the memory."""
    count: int


_NOTHING = Packed(b"[]", 0)


@dataclass(frozen=True, eq=False, slots=True)
class ForRows:
    """`build` makes the statement, given the open transaction and the rows as something to select from.

    A row has one value for each of `columns`, as the program knows them, in their order. The columns may belong to
    several tables.
    """

    columns: Sequence[sa.Column[Any]]
    build: Callable[[Tx, sa.FromClause], sa.Executable]

    def pack(self, dialect: Dialect, rows: Rows) -> Packed:
        """Needs no transaction. Raises KeyProblem when something is to be sealed and there are no keys."""
        if not rows:
            return _NOTHING
        return Packed(kept(dialect, (self, "pack"), lambda: _packer(self.columns, dialect))(rows), len(rows))

    def execute(self, tx: Tx, rows: Rows | Packed, **more: Any) -> CursorResult[Any] | None:
        """Run it for all of `rows`; `more` are its other parameters. None, and nothing is done, for no rows."""
        packed = rows if isinstance(rows, Packed) else self.pack(tx.dialect, rows)
        if not packed.count:
            return None
        statement = kept(tx.dialect, self, lambda: _render(self, tx))
        values = {"rows": packed.document, "count": packed.count, **more}
        return tx.execute(statement, values, execution_options=_COUNTED)

    def count(self, tx: Tx, rows: Rows | Packed, **more: Any) -> int:
        """The same; returns how many rows were inserted or changed."""
        done = self.execute(tx, rows, **more)
        return done.rowcount if done is not None else 0


_COUNTED = {"preserve_rowcount": True}


def _render(one: ForRows, tx: Tx) -> Any:
    return one.build(tx, _fresh(tx, one.columns)).compile(dialect=tx.dialect)  # type: ignore[attr-defined]


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
        return ending(insert_from(tx, table, [*columns, *terms], sa.select(*fresh.c, *terms.values())))  # type: ignore[no-any-return]

    return ForRows([table.c[name] for name in columns], build)


def insert_from(tx: Tx, table: sa.Table, columns: Sequence[str], source: sa.Select[Any]) -> Any:
    """INSERT of what `source` selects, to be ended by a conflict clause."""
    # Without WHERE, SQLite takes the conflict clause for a join's.
    return upsert(tx, table).from_select(list(columns), source.where(sa.true()))


def if_new(insert: Any) -> Any:
    """For `ending`: what is there already stays as it is."""
    return insert.on_conflict_do_nothing()


def fill_in(table: sa.Table, *columns: str, key: str, gaps: Sequence[str], cleared: Sequence[str]) -> ForRows:
    """INSERT of the rows whose `key` is new; of the others, fill in those of the columns `gaps` that are NULL.

    Where that fills in anything, the columns `cleared` become NULL. No two rows may have the same key. Rows are locked
    in the order in which they are given, and only those in which there is something to fill.
    """

    def fills(row: Any, fresh: Any) -> sa.ColumnElement[bool]:
        return sa.or_(*(sa.and_(row[name].is_(None), fresh[name].is_not(None)) for name in gaps))

    def build(tx: Tx, fresh: sa.FromClause) -> sa.Executable:
        # A subquery for each row: a join could change their order, and two imports would wait for each other.
        held = table.alias("held").c
        told = sa.select(fills(held, fresh.c)).where(held[key] == fresh.c[key]).scalar_subquery()
        insert = insert_from(tx, table, columns, sa.select(*fresh.c).where(told.is_not(sa.false())))
        return insert.on_conflict_do_update(  # type: ignore[no-any-return]
            index_elements=[key],
            set_={name: sa.func.coalesce(table.c[name], insert.excluded[name]) for name in gaps}
            | {name: sa.null() for name in cleared},
            where=fills(table.c, insert.excluded),
        )

    return ForRows([table.c[name] for name in columns], build)


def _fresh(tx: Tx, columns: Sequence[sa.Column[Any]]) -> sa.FromClause:
    rows = (_recordset if tx.dialect.name == "postgresql" else _extracted)(columns)
    # PostgreSQL takes every document for a hundred rows, for which it would read a table of a thousand pages whole.
    return rows.limit(sa.bindparam("count")).subquery("fresh")


def _recordset(columns: Sequence[sa.Column[Any]]) -> sa.Select[Any]:
    text = sa.func.convert_from(sa.bindparam("rows", type_=sa.LargeBinary), "UTF8")
    each = sa.func.json_to_recordset(sa.cast(text, postgresql.JSON)).table_valued(
        *(sa.column(column.name, column.type) for column in columns)
    )
    return sa.select(each.render_derived(with_types=True))


def _extracted(columns: Sequence[sa.Column[Any]]) -> sa.Select[Any]:
    text = sa.cast(sa.bindparam("rows", type_=sa.LargeBinary), sa.Text)
    each = sa.func.json_each(text).table_valued("value").c.value
    return sa.select(
        *(
            sa.func.json_extract(each, sa.literal_column(f"'$[{place}]'"), type_=column.type).label(
                column.name
            )
            for place, column in enumerate(columns)
        )
    )


Convert = Callable[[Sequence[Any]], Sequence[Any]]


def _packer(columns: Sequence[sa.Column[Any]], dialect: Dialect) -> Callable[[Rows], bytes]:
    """Writes the document: arrays for SQLite, which picks values by their place, and objects for PostgreSQL."""
    names = [str(column.name) for column in columns]  # of SQLAlchemy's own kind of text
    converts = [
        (place, convert)
        for place, column in enumerate(columns)
        if (convert := _converter(column.type, dialect)) is not None
    ]
    objects = dialect.name == "postgresql"

    def document(rows: Rows) -> bytes:
        stored: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        for place, convert in converts:
            stored[place] = convert(stored[place])
        made = zip(*stored, strict=True)
        return to_json_bytes([dict(zip(names, row, strict=True)) for row in made] if objects else [*made])

    return document


def _converter(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Convert | None:
    """From the program's values to what the database makes its own of, out of JSON; None: they are that already."""
    postgres = dialect.name == "postgresql"
    if isinstance(kind, Sealed):
        return lambda values: keyring_of(dialect).keys.seal_all(kind.place, values)
    if isinstance(kind, SealedJson):

        def seal(values: Sequence[Any]) -> Sequence[Any]:
            texts = [None if value is None else to_json(value) for value in values]
            sealed = keyring_of(dialect).keys.seal_all(kind.place, texts)
            return sealed if postgres else [None if text is None else f'"{text}"' for text in sealed]

        return seal
    if postgres and not isinstance(kind, UtcDateTime):
        return None  # PostgreSQL reads everything else out of JSON by itself
    convert = kind.dialect_impl(dialect).bind_processor(dialect)
    return None if convert is None else lambda values: [convert(value) for value in values]
