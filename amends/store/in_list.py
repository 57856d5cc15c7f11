"""`column IN (...)` whose values travel as one parameter, however many there are.

SQLAlchemy makes a parameter of each value, and writes the statement anew each time to have as many places in it: for a
wave of cases that took longer than SQLite takes to find them. PostgreSQL keeps one plan for it.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from amends.sealing import to_json


class _Values(sa.TypeDecorator[Sequence[Any]]):
    """An array of `item` on PostgreSQL, a JSON document on SQLite."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(self.item))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        values = list(value or ())
        return values if dialect.name == "postgresql" else to_json(values)


class _InList(sa.ColumnElement[bool]):
    inherit_cache = False
    type = sa.Boolean()

    def __init__(self, column: sa.Column[Any], values: sa.BindParameter[Any]) -> None:
        self.column, self.values = column, values

    def self_group(self, against: Any = None) -> "_InList":
        """As it is: SQLAlchemy would write `= 1` behind it, which no index serves."""
        return self


def in_list(column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    """Whether `column`, of numbers or texts, has one of the values that the parameter `name` lists; none of none.

    For statements that are `rendered` once.
    """
    return _InList(column, sa.bindparam(name, type_=_Values(column.type)))


@compiles(_InList, "sqlite")
def _sqlite(element: _InList, compiler: SQLCompiler, **more: Any) -> str:
    values = compiler.process(element.values, **more)
    column = compiler.process(element.column, **more)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a parameter's place


@compiles(_InList, "postgresql")
def _postgresql(element: _InList, compiler: SQLCompiler, **more: Any) -> str:
    values = compiler.process(element.values, **more)
    return f"{compiler.process(element.column, **more)} = ANY ({values})"
