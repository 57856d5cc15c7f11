"""Many rows in one statement, for what comes in by the million.

They travel as one JSON document: one parameter, in a statement that is the same for any number of rows. On PostgreSQL
COPY into a temporary table is hardly quicker, and would leave its mark in the catalogue with each transaction. In both
the driver works without holding up Python's other threads, so the next rows can be packed meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

from amends.sealing import to_json, to_json_bytes
from amends.store.engine import Tx
from amends.store.sealed import Sealed, SealedJson, keyring_of
from amends.store.sql import upsert
from amends.store.types import UtcDateTime

Columns = Mapping[sa.Column[Any], Sequence[Any]]
"""Rows, a column at a time, all of the same length; what a column seals is given in clear."""
Fresh = Mapping[str, sa.ColumnElement[Any]]
"""Column names to what a statement sees of a packed row."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows made ready for a database: sealed, and in one document. Their columns may belong to several tables."""

    columns: tuple[sa.Column[Any], ...]
    document: bytes
    """UTF-8. As a text it would take Python three times the memory."""
    count: int


def pack(dialect: Dialect, columns: Columns) -> Packed:
    """Needs no transaction. Raises KeyProblem when something is to be sealed and there are no keys."""
    stored = (_stored(column.type, values, dialect) for column, values in columns.items())
    rows: list[Any] = list(zip(*stored, strict=True))
    if dialect.name == "postgresql":
        names = [str(column.name) for column in columns]  # of SQLAlchemy's own kind of text
        document = [dict(zip(names, row, strict=True)) for row in rows]
    else:
        document = rows
    return Packed(tuple(columns), to_json_bytes(document), len(rows))


def columns_of(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows as column names to values, the same names in each."""
    return {table.c[name]: [row[name] for row in rows] for name in rows[0]} if rows else {}


def insert_new(
    tx: Tx, table: sa.Table, packed: Packed, others: Callable[[Fresh], Mapping[str, Any]] = lambda _: {}
) -> int:
    """Insert the rows that break no unique constraint, in their order; returns how many those were.

    `others` makes the columns that are not packed: values, the same for all rows, or expressions over the packed ones.
    """
    return _insert(tx, table, packed, lambda insert: insert.on_conflict_do_nothing(), others=others)


def fill_in(
    tx: Tx, table: sa.Table, packed: Packed, *, key: str, gaps: Sequence[str], cleared: Sequence[str]
) -> None:
    """Insert the rows whose `key` is new; of the others, fill in those of the columns `gaps` that are NULL.

    Where that fills in anything, the columns `cleared` become NULL. No two rows may have the same key. Rows are locked
    in the order of `packed`, and only those in which there is something to fill.
    """

    def fills(row: Any, fresh: Any) -> sa.ColumnElement[bool]:
        return sa.or_(*(sa.and_(row[name].is_(None), fresh[name].is_not(None)) for name in gaps))

    def fill(insert: Any) -> Any:
        return insert.on_conflict_do_update(
            index_elements=[key],
            set_={name: sa.func.coalesce(table.c[name], insert.excluded[name]) for name in gaps}
            | {name: sa.null() for name in cleared},
            where=fills(table.c, insert.excluded),
        )

    def tells(fresh: Fresh) -> sa.ColumnElement[bool]:
        # A subquery for each row: a join could change their order, and two imports would wait for each other.
        held = table.alias("held").c
        told = sa.select(fills(held, fresh)).where(held[key] == fresh[key]).scalar_subquery()
        return told.is_not(sa.false())

    _insert(tx, table, packed, fill, only=tells)


def listed(values: Sequence[str]) -> str:
    """Many texts as one, for `among`."""
    return to_json(values)


def among(tx: Tx, column: sa.Column[str], values: str) -> sa.ColumnElement[bool]:
    """Whether `column` is one of those that are `listed`: as IN, whose every value would be a parameter of its own."""
    given = sa.bindparam(None, values, sa.Text)
    if tx.dialect.name == "postgresql":
        each = sa.func.json_array_elements_text(sa.cast(given, postgresql.JSON)).column_valued("each")
        # An array, because with a set PostgreSQL may rather read all that the source has ever brought.
        return column == sa.any_(sa.func.array(sa.select(each).scalar_subquery()))
    return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def _insert(
    tx: Tx,
    table: sa.Table,
    packed: Packed,
    on_conflict: Callable[[Any], Any],
    *,
    others: Callable[[Fresh], Mapping[str, Any]] = lambda _: {},
    only: Callable[[Fresh], sa.ColumnElement[bool]] = lambda _: sa.true(),
) -> int:
    if not packed.count:
        return 0
    fresh = (_of_objects if tx.dialect.name == "postgresql" else _of_arrays)(packed)
    values = {column.name: fresh[column.name] for column in packed.columns if column.table is table}
    for name, value in others(fresh).items():
        values[name] = value if isinstance(value, sa.ColumnElement) else sa.literal(value, table.c[name].type)
    # Without WHERE, SQLite takes the conflict clause for a join's.
    rows = sa.select(*values.values()).where(only(fresh))
    statement = on_conflict(upsert(tx, table).from_select(list(values), rows))
    return tx.execute(statement.execution_options(preserve_rowcount=True)).rowcount


def _of_objects(packed: Packed) -> Fresh:
    text = sa.func.convert_from(sa.bindparam(None, packed.document, sa.LargeBinary), "UTF8")
    each = sa.func.json_to_recordset(sa.cast(text, postgresql.JSON)).table_valued(
        *(sa.column(column.name, column.type) for column in packed.columns)
    )
    return dict(each.render_derived(name="fresh", with_types=True).c)


def _of_arrays(packed: Packed) -> Fresh:
    text = sa.cast(sa.bindparam(None, packed.document, sa.LargeBinary), sa.Text)
    each = sa.func.json_each(text).table_valued("value").c.value
    return {
        column.name: sa.func.json_extract(each, sa.literal_column(f"'$[{place}]'"))
        for place, column in enumerate(packed.columns)
    }


def _stored(kind: sa.types.TypeEngine[Any], values: Sequence[Any], dialect: Dialect) -> Sequence[Any]:
    """From the program's values to what the database makes its own of, out of JSON."""
    postgres = dialect.name == "postgresql"
    if isinstance(kind, Sealed):
        return keyring_of(dialect).keys.seal_all(kind.place, values)
    if isinstance(kind, SealedJson):
        texts = [None if value is None else to_json(value) for value in values]
        sealed = keyring_of(dialect).keys.seal_all(kind.place, texts)
        return sealed if postgres else [None if text is None else f'"{text}"' for text in sealed]
    # PostgreSQL reads everything else out of JSON by itself.
    convert = None
    if isinstance(kind, UtcDateTime) or not postgres:
        convert = kind.dialect_impl(dialect).bind_processor(dialect)
    return [convert(value) for value in values] if convert else values
