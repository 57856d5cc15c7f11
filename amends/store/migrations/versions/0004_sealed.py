"""Personal data sealed: the keyring, hashed keys of customers

Customers are sealed here, as their keys change. The tables that grow are sealed afterwards, piece by piece
(`amends key rotate`, and the sweeps): until then their old rows are read as they are.

Revision ID: 0004
Revises: 0003
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from amends.encryption import Cipher
from amends.sealing import Keys, new_secret, unwrap, wrap
from amends.store.types import Json

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 1_000
_LENGTHS = {"name": 200, "phone": 20, "email": 254}
_KEYRING = sa.table("keyring", sa.column("id", _ID), sa.column("purpose"), sa.column("wrapped"))


def _table(name: str, /, **columns: sa.types.TypeEngine[Any]) -> sa.TableClause:
    return sa.table(
        name, sa.column("id", _ID), *(sa.column(column, type_) for column, type_ in columns.items())
    )


_TEXT = sa.Text()
# On SQLite a column's type can only be changed by another column.
_CUSTOMERS = _table(
    "customers",
    **dict.fromkeys(("key", *_LENGTHS, *(f"new_{column}" for column in _LENGTHS), "reference"), _TEXT),
)
_OTHERS = (
    _table("feedbacks", text=_TEXT, raw=Json),
    _table("quarantine", problems=Json, raw=Json),
    _table("tickets", summary=_TEXT),
    _table("surveys", note=_TEXT),
    _table("webhook_events", payload=Json),
)


def upgrade() -> None:
    op.create_table(
        "keyring",
        sa.Column("id", _ID, nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyring")),
    )
    secrets = {"data": new_secret(), "index": new_secret()}
    rows = [{"purpose": purpose, "wrapped": wrap(_cipher(), secret)} for purpose, secret in secrets.items()]
    op.get_bind().execute(_KEYRING.insert(), rows)
    keys = _keys()
    op.add_column("customers", sa.Column("reference", sa.Text(), nullable=True))

    def seal(row: sa.Row[Any]) -> dict[str, str | None]:
        sealed = {
            column: None if value is None else keys.seal(f"customers.{column}", value)
            for column in _LENGTHS
            for value in [getattr(row, column)]
        }
        known = row.key in (f"tel:{row.phone}", f"mail:{row.email}")
        reference = None if known else keys.seal("customers.reference", row.key)
        return {**sealed, "key": keys.hash(row.key), "reference": reference}

    _change_customers(sa.Text(), seal)


def downgrade() -> None:
    keys = _keys()

    def open_(row: sa.Row[Any]) -> dict[str, str | None]:
        opened = {
            column: None if value is None else keys.open(f"customers.{column}", value)
            for column in (*_LENGTHS, "reference")
            for value in [getattr(row, column)]
        }
        candidates = (f"tel:{opened['phone']}", f"mail:{opened['email']}", opened.pop("reference") or "")
        # Of somebody who was forgotten there is nothing left that the key could be the hash of.
        return {**opened, "key": next((text for text in candidates if keys.hash(text) == row.key), row.key)}

    _change_customers(None, open_)
    op.drop_column("customers", "reference")
    for table in _OTHERS:
        _open_all(table, keys)
    # Where the re-seal stood means nothing to the keyring of a later upgrade, whose numbers begin again.
    op.execute("DELETE FROM cursors WHERE name LIKE 'reseal %'")
    op.drop_table("keyring")


def _cipher() -> Cipher:
    cipher = context.config.attributes["cipher"]
    assert isinstance(cipher, Cipher)  # noqa: S101 - only amends.store.migrate runs this
    return cipher


def _keys() -> Keys:
    rows = op.get_bind().execute(sa.select(_KEYRING)).all()
    data = {row.id: unwrap(_cipher(), row.wrapped) for row in rows if row.purpose == "data"}
    (index,) = (unwrap(_cipher(), row.wrapped) for row in rows if row.purpose == "index")
    return Keys(data, index)


def _change_customers(
    type_: sa.types.TypeEngine[str] | None,
    change: Callable[[sa.Row[Any]], dict[str, str | None]],
) -> None:
    """Give the columns of `_LENGTHS` another type (None: the limited ones they had) and every row other values."""
    types = {column: type_ or sa.String(length=length) for column, length in _LENGTHS.items()}
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    new = {column: f"new_{column}" if on_sqlite else column for column in _LENGTHS}
    if on_sqlite:
        for column, name in new.items():
            op.add_column("customers", sa.Column(name, types[column], nullable=True))
    elif type_ is not None:
        _retype(types)
    read = _CUSTOMERS.c.key, *(_CUSTOMERS.c[column] for column in _LENGTHS), _CUSTOMERS.c.reference
    for rows in _batches(_CUSTOMERS, *read):
        changed = [
            {"b_id": row.id, **{new.get(k, k): value for k, value in change(row).items()}} for row in rows
        ]
        op.get_bind().execute(
            _CUSTOMERS.update()
            .where(_CUSTOMERS.c.id == sa.bindparam("b_id"))
            .values({column: sa.bindparam(column) for column in changed[0] if column != "b_id"}),
            changed,
        )
    if on_sqlite:
        for column, name in new.items():
            op.drop_column("customers", column)
            op.execute(f"ALTER TABLE customers RENAME COLUMN {name} TO {column}")
    elif type_ is None:
        _retype(types)


def _retype(types: dict[str, sa.types.TypeEngine[str]]) -> None:
    for column, type_ in types.items():
        op.alter_column("customers", column, type_=type_)


def _open_all(table: sa.TableClause, keys: Keys) -> None:
    columns = [column for column in table.c if column.name != "id"]

    def opened(column: sa.ColumnClause[Any], value: object) -> object:
        place = f"{table.name}.{column.name}"
        if not isinstance(value, str):
            return value
        text = keys.open(place, value)
        return json.loads(text) if column.type is Json and text != value else text

    for rows in _batches(table, *columns):
        op.get_bind().execute(
            table.update()
            .where(table.c.id == sa.bindparam("b_id"))
            .values({column.name: sa.bindparam(f"b_{column.name}", type_=column.type) for column in columns}),
            [{"b_id": r.id, **{f"b_{c.name}": opened(c, getattr(r, c.name)) for c in columns}} for r in rows],
        )


def _batches(table: sa.TableClause, *columns: sa.ColumnClause[Any]) -> Iterator[list[sa.Row[Any]]]:
    last = 0
    while True:
        query = sa.select(table.c.id, *columns).where(table.c.id > last).order_by(table.c.id).limit(_BATCH)
        rows = list(op.get_bind().execute(query))
        if not rows:
            return
        yield rows
        last = rows[-1].id
