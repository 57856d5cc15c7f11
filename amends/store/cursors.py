"""Where each poll, file and rota stands."""

import sqlalchemy as sa

from amends.store.engine import Tx
from amends.store.schema import cursors
from amends.store.sql import locked, upsert


def get(tx: Tx, name: str) -> str | None:
    return tx.execute(sa.select(cursors.c.value).where(cursors.c.name == name)).scalar()


def put(tx: Tx, name: str, value: str) -> None:
    statement = upsert(tx, cursors).values(name=name, value=value)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def take_numbers(tx: Tx, name: str, count: int) -> range:
    """The next `count` numbers of a rota, from 0; two transactions never get the same one."""
    tx.execute(upsert(tx, cursors).values(name=name, value="0").on_conflict_do_nothing())
    row = tx.execute(locked(tx, sa.select(cursors.c.value).where(cursors.c.name == name))).one()
    first = int(row.value)
    tx.execute(cursors.update().where(cursors.c.name == name).values(value=str(first + count)))
    return range(first, first + count)
