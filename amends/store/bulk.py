"""Many rows in one statement, for what comes in by the million.

They travel as one JSON document: one parameter, in a statement that is the same for any number of rows. On PostgreSQL
COPY into a temporary table is hardly quicker, and would leave its mark in the catalogue with each transaction. In both
the driver works without holding up Python's other threads.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

from amends.store.engine import Tx
from amends.store.sealed import Sealed, keyring_of
from amends.store.sql import upsert
from amends.store.types import UtcDateTime

Rows = Sequence[Mapping[str, Any]]
"""Column names to values, the same names in each; what a column seals is given in clear."""
Convert = Callable[[Any], Any] | None


def insert_new(tx: Tx, table: sa.Table, rows: Rows) -> int:
    """Insert the rows that break no unique constraint; returns how many those were."""
    return _insert(tx, table, rows, lambda insert: insert.on_conflict_do_nothing())


def fill_in(
    tx: Tx, table: sa.Table, rows: Rows, *, key: str, gaps: Sequence[str], cleared: Sequence[str]
) -> None:
    """Insert the rows whose `key` is new; of the others, fill in those of the columns `gaps` that are NULL.

    Where that fills in anything, the columns `cleared` become NULL. No two rows may have the same key.
    """

    def fill(insert: Any) -> Any:
        fresh = insert.excluded
        return insert.on_conflict_do_update(
            index_elements=[key],
            set_={name: sa.func.coalesce(table.c[name], fresh[name]) for name in gaps}
            | {name: sa.null() for name in cleared},
            where=sa.or_(*(sa.and_(table.c[name].is_(None), fresh[name].is_not(None)) for name in gaps)),
        )

    _insert(tx, table, rows, fill)


def among(tx: Tx, column: sa.Column[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """Whether `column` is one of many `values`: as IN, whose every value would be a parameter to be prepared."""
    if tx.dialect.name == "postgresql":
        return column == sa.any_(sa.bindparam(None, list(values), postgresql.ARRAY(sa.Text)))
    given = sa.bindparam(None, _encoder.encode(values), sa.Text)
    return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def _insert(tx: Tx, table: sa.Table, rows: Rows, on_conflict: Callable[[Any], Any]) -> int:
    if not rows:
        return 0
    columns = [table.c[name] for name in rows[0]]
    source = (_from_objects if tx.dialect.name == "postgresql" else _from_arrays)(columns, rows, tx.dialect)
    statement = on_conflict(upsert(tx, table).from_select([column.name for column in columns], source))
    return tx.execute(statement.execution_options(preserve_rowcount=True)).rowcount


def _from_objects(columns: Sequence[sa.Column[Any]], rows: Rows, dialect: Dialect) -> sa.Select[Any]:
    converts = [(column.name, _stored(column.type, dialect)) for column in columns]
    document = [
        {name: convert(row[name]) if convert else row[name] for name, convert in converts} for row in rows
    ]
    given = sa.cast(sa.bindparam(None, _encoder.encode(document), sa.Text), postgresql.JSON)
    each = sa.func.json_to_recordset(given).table_valued(
        *(sa.column(column.name, column.type) for column in columns)
    )
    return sa.select(*each.render_derived(name="fresh", with_types=True).c)


def _from_arrays(columns: Sequence[sa.Column[Any]], rows: Rows, dialect: Dialect) -> sa.Select[Any]:
    converts = [(column.name, _bound(column.type, dialect)) for column in columns]
    document = [[convert(row[name]) if convert else row[name] for name, convert in converts] for row in rows]
    given = sa.bindparam(None, _encoder.encode(document), sa.Text)
    each = sa.func.json_each(given).table_valued("value").c.value
    values = (sa.func.json_extract(each, sa.literal_column(f"'$[{place}]'")) for place in range(len(columns)))
    # Without WHERE, SQLite takes the conflict clause for a join's.
    return sa.select(*values).where(sa.true())


def _stored(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Convert:
    """From the program's value to what PostgreSQL makes its own of, out of JSON."""
    if isinstance(kind, Sealed):
        return _seal(kind, dialect)
    if isinstance(kind, UtcDateTime):
        return kind.bind_processor(dialect)
    return partial(kind.process_bind_param, dialect=dialect) if isinstance(kind, sa.TypeDecorator) else None


def _bound(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Convert:
    """From the program's value to what SQLite stores."""
    return (
        _seal(kind, dialect)
        if isinstance(kind, Sealed)
        else kind.dialect_impl(dialect).bind_processor(dialect)
    )


def _seal(kind: Sealed, dialect: Dialect) -> Callable[[str | None], str | None]:
    """As the column does it, but looking for the key once."""
    seal = partial(keyring_of(dialect).keys.seal, kind.place)
    return lambda text: seal(text) if text else text


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


# Kept, because making an encoder takes longer than using it.
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_iso)
