"""Zalo users: who chats with which Official Account, which customer that is, and until when we may write to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.store.engine import Tx
from amends.store.schema import customers, zalo_users
from amends.store.sql import execute_many, upsert


@dataclass(frozen=True, slots=True)
class ZaloId:
    """A user as one account knows them: user ids differ from account to account."""

    account: str
    uid: str


def acted(tx: Tx, moments: Mapping[ZaloId, datetime]) -> None:
    """Note interactions (aware UTC); the latest one counts, and ends an earlier unfollowing, not a later one."""
    statement = upsert(tx, zalo_users)
    fresh = statement.excluded.last_interaction_at
    statement = statement.on_conflict_do_update(
        index_elements=["account", "uid"],
        set_={
            "last_interaction_at": fresh,
            "left_at": sa.case((zalo_users.c.left_at > fresh, zalo_users.c.left_at), else_=None),
        },
        where=sa.or_(zalo_users.c.last_interaction_at.is_(None), zalo_users.c.last_interaction_at < fresh),
    )
    ids = sorted(moments, key=lambda id_: (id_.account, id_.uid))
    rows = [{"account": i.account, "uid": i.uid, "last_interaction_at": moments[i]} for i in ids]
    execute_many(tx, statement, rows)
    link_imported(tx, [i.uid for i in ids])


def left(tx: Tx, user: ZaloId, at: datetime) -> None:
    """The user unfollowed the account, and has not come back since as far as we know."""
    statement = upsert(tx, zalo_users).values(account=user.account, uid=user.uid, left_at=at)
    back = zalo_users.c.last_interaction_at > at
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "uid"],
            set_={"left_at": at},
            where=sa.or_(zalo_users.c.last_interaction_at.is_(None), sa.not_(back)),
        )
    )


def belongs_to(tx: Tx, user: ZaloId, customer_id: int) -> None:
    """This user is that customer: they said so by sharing their phone number."""
    statement = upsert(tx, zalo_users).values(account=user.account, uid=user.uid, customer_id=customer_id)
    tx.execute(
        statement.on_conflict_do_update(index_elements=["account", "uid"], set_={"customer_id": customer_id})
    )


def customers_of(tx: Tx, users: Iterable[ZaloId]) -> dict[ZaloId, int]:
    """Whose customer each user is, for those we know."""
    wanted = set(users)
    query = sa.select(zalo_users.c.account, zalo_users.c.uid, zalo_users.c.customer_id).where(
        zalo_users.c.uid.in_(sorted({user.uid for user in wanted})), zalo_users.c.customer_id.is_not(None)
    )
    found = {ZaloId(row.account, row.uid): row.customer_id for row in tx.execute(query)}
    return {user: customer_id for user, customer_id in found.items() if user in wanted}


def link_imported(tx: Tx, uids: Iterable[str]) -> None:
    """Tie users to the customers whose ratings named their user id, whichever of the two came first."""
    owner = (
        sa.select(sa.func.min(customers.c.id))
        .where(customers.c.zalo_uid == zalo_users.c.uid)
        .scalar_subquery()
    )
    tx.execute(
        zalo_users.update()
        .where(
            zalo_users.c.uid.in_(sorted(set(uids))),
            zalo_users.c.customer_id.is_(None),
            sa.exists().where(customers.c.zalo_uid == zalo_users.c.uid),
        )
        .values(customer_id=owner)
    )
