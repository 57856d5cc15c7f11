"""Circuit breakers, shared by all sweeps: one row per channel in trouble, none for one that works."""

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from amends.domain.breaker import CLOSED, Breaker
from amends.store.engine import Tx
from amends.store.schema import breakers
from amends.store.sql import locked, rendered, upsert


def load(tx: Tx) -> dict[str, Breaker]:
    """Every breaker that is not simply closed; the table holds a handful of rows at most."""
    return {row.name: _breaker(row) for row in tx.execute(rendered(tx, _ALL))}


_ALL = sa.select(breakers)


def load_locked(tx: Tx, name: str) -> Breaker:
    """The breaker of that name, locked until this transaction ends."""
    row = tx.execute(locked(tx, sa.select(breakers).where(breakers.c.name == name))).one_or_none()
    return _breaker(row) if row is not None else CLOSED


def _breaker(row: sa.Row[tuple[object, ...]]) -> Breaker:
    return Breaker(row.failures, row.openings, row.allowance, row.retry_at)


def save(tx: Tx, name: str, breaker: Breaker) -> None:
    """Put the breaker where it is now; the one who was trying it is done."""
    if breaker == CLOSED:
        tx.execute(breakers.delete().where(breakers.c.name == name))
        return
    values = {**asdict(breaker), "lease_owner": None, "lease_until": None}
    statement = upsert(tx, breakers).values(name=name, **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def try_it(tx: Tx, name: str, owner: str, now: datetime, lease_until: datetime) -> bool:
    """Whether `owner` may try an open breaker whose rest is over: one sweep at a time, by lease."""
    free = sa.or_(
        breakers.c.lease_until.is_(None), breakers.c.lease_until < now, breakers.c.lease_owner == owner
    )
    statement = breakers.update().where(breakers.c.name == name, breakers.c.retry_at <= now, free)
    return tx.execute(statement.values(lease_owner=owner, lease_until=lease_until)).rowcount == 1
