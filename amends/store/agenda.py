"""The agenda: which step of which case is due when, and who is working on it (leases, DESIGN 4.6)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa

from amends.domain.effects import Step
from amends.store.engine import Tx
from amends.store.for_rows import ForRows, if_new, insert_of
from amends.store.in_list import in_list
from amends.store.schema import agenda
from amends.store.sql import rendered
from amends.store.types import UtcDateTime


@dataclass(frozen=True, slots=True)
class Item:
    """One step of one case, due at `due_at` (aware UTC)."""

    case_id: int
    journey: str
    step: Step
    ordinal: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A due item that is ours until the lease ends."""

    id: int
    case_id: int
    step: Step
    ordinal: int
    held_until: datetime | None = field(default=None, compare=False)
    """The lease's end as it stood when the claim was last looked at, aware UTC."""


def plan(tx: Tx, items: Iterable[Item]) -> None:
    """Put items on the agenda; one that is there already stays as it is."""
    _PLAN.execute(
        tx, [(item.case_id, item.journey, item.step.value, item.ordinal, item.due_at) for item in items]
    )


_PLAN = insert_of(agenda, "case_id", "journey", "step", "ordinal", "due_at", ending=if_new)


_DUE = sa.select(agenda.c.id, agenda.c.case_id, agenda.c.ordinal).where(
    agenda.c.journey == sa.bindparam("b_journey"),
    agenda.c.step == sa.bindparam("b_step"),
    agenda.c.due_at <= sa.bindparam("b_now", type_=UtcDateTime),
    sa.or_(agenda.c.lease_until.is_(None), agenda.c.lease_until < sa.bindparam("b_now", type_=UtcDateTime)),
)
_ANY_DUE = _DUE.order_by(agenda.c.due_at, agenda.c.id).limit(1)
# Locks, and what others have locked, mean nothing to SQLite: its writer holds the whole file, and it leaves this out.
_CLAIMED = _DUE.limit(sa.bindparam("b_limit")).with_for_update(skip_locked=True)
_OLDEST_FIRST = _CLAIMED.order_by(agenda.c.due_at, agenda.c.id)
_NEWEST_FIRST = _CLAIMED.order_by(agenda.c.due_at.desc(), agenda.c.id.desc())
_HOLD = ForRows(
    [agenda.c.id],
    lambda _tx, fresh: (
        agenda.update()
        .where(agenda.c.id == fresh.c.id)
        .values(
            lease_owner=sa.bindparam("b_owner"), lease_until=sa.bindparam("b_lease_until", type_=UtcDateTime)
        )
    ),
)


def is_due(tx: Tx, journey: str, step: Step, now: datetime) -> bool:
    """Whether anything at all is due for the step: one index probe, so that an idle step costs nothing."""
    asked = {"b_journey": journey, "b_step": step.value, "b_now": now}
    return tx.execute(rendered(tx, _ANY_DUE), asked).first() is not None


def claim(
    tx: Tx,
    journey: str,
    step: Step,
    *,
    now: datetime,
    owner: str,
    lease_until: datetime,
    limit: int,
    newest_first: bool = False,
) -> list[Claim]:
    """Take up to `limit` due items, oldest first unless told otherwise, and none that another live sweep holds."""
    asked = {"b_journey": journey, "b_step": step.value, "b_now": now, "b_limit": limit}
    query = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
    rows = tx.execute(rendered(tx, query), asked).all()
    _HOLD.execute(tx, [(id_,) for id_, _, _ in rows], b_owner=owner, b_lease_until=lease_until)
    return [Claim(id_, case_id, step, ordinal, lease_until) for id_, case_id, ordinal in rows]


def still_ours(tx: Tx, claims: Sequence[Claim], owner: str) -> list[Claim]:
    """Those of `claims` that no other sweep has taken over since, locked until this transaction ends."""
    held = tx.execute(rendered(tx, _HELD), {"ids": [claim.id for claim in claims], "owner": owner})
    ours = dict(held.tuples().all())
    return [
        claim if claim.held_until == ours[claim.id] else replace(claim, held_until=ours[claim.id])
        for claim in claims
        if claim.id in ours
    ]


_HELD = (
    sa.select(agenda.c.id, agenda.c.lease_until)
    .where(in_list(agenda.c.id, "ids"), agenda.c.lease_owner == sa.bindparam("owner"))
    .with_for_update()
)


def renew(tx: Tx, claims: Sequence[Claim], owner: str, lease_until: datetime) -> None:
    """Hold on to those of `claims` that are still ours."""
    ids = [claim.id for claim in claims]
    mine = agenda.update().where(agenda.c.id.in_(ids), agenda.c.lease_owner == owner)
    tx.execute(mine.values(lease_until=lease_until))


_FREE = {"lease_owner": None, "lease_until": None}


def postpone(tx: Tx, postponed: Sequence[tuple[Claim, datetime]]) -> None:
    """Give claims back, to be looked at again at the given time."""
    _POSTPONE.execute(tx, [(claim.id, until) for claim, until in postponed])


def finish(tx: Tx, finished: Sequence[tuple[Claim, str]]) -> None:
    """Strike claims off the agenda for good, with a one-word result."""
    _FINISH.execute(tx, [(claim.id, result[:20]) for claim, result in finished])


_POSTPONE = ForRows(
    [agenda.c.id, agenda.c.due_at],
    lambda _tx, fresh: (
        agenda.update().where(agenda.c.id == fresh.c.id).values(due_at=fresh.c.due_at, **_FREE)
    ),
)
_FINISH = ForRows(
    [agenda.c.id, agenda.c.result],
    lambda _tx, fresh: (
        agenda.update().where(agenda.c.id == fresh.c.id).values(due_at=None, result=fresh.c.result, **_FREE)
    ),
)


def release(tx: Tx, owner: str, journey: str, claims: Sequence[Claim]) -> None:
    """Give untouched claims back at once, when a sweep stops early."""
    statement = agenda.update().where(
        agenda.c.id.in_([claim.id for claim in claims]),
        agenda.c.journey == journey,
        agenda.c.lease_owner == owner,
    )
    tx.execute(statement.values(**_FREE))


def reopen(tx: Tx, claim: Claim, due_at: datetime) -> None:
    """Put an item that was struck off back on the agenda; one that is still on it stays as it is."""
    struck_off = agenda.update().where(agenda.c.id == claim.id, agenda.c.due_at.is_(None))
    tx.execute(struck_off.values(due_at=due_at, result=None, **_FREE))


def wake(tx: Tx, case_id: int, step: Step, now: datetime, ordinals: Sequence[int] | None = None) -> None:
    """Make open items of a case due now, because something happened that they wait for."""
    statement = agenda.update().where(
        agenda.c.case_id == case_id, agenda.c.step == step.value, agenda.c.due_at.is_not(None)
    )
    if ordinals is not None:
        statement = statement.where(agenda.c.ordinal.in_(ordinals))
    tx.execute(statement.values(due_at=now))


def wake_all(tx: Tx, items: Sequence[tuple[int, Step, int]], now: datetime) -> None:
    """Make these items, by case, step and ordinal, due now if they are open."""
    _WAKE.execute(tx, [(case_id, step.value, ordinal) for case_id, step, ordinal in items], now=now)


_WAKE = ForRows(
    [agenda.c.case_id, agenda.c.step, agenda.c.ordinal],
    lambda _tx, fresh: (
        agenda.update()
        .where(
            agenda.c.case_id == fresh.c.case_id,
            agenda.c.step == fresh.c.step,
            agenda.c.ordinal == fresh.c.ordinal,
            agenda.c.due_at.is_not(None),
        )
        .values(due_at=sa.bindparam("now", type_=UtcDateTime))
    ),
)


def next_due_at(tx: Tx, journey: str) -> datetime | None:
    """When the next thing of any step is due; None when nothing waits."""
    steps = [
        sa.select(sa.func.min(agenda.c.due_at).label("at")).where(
            agenda.c.journey == journey, agenda.c.step == step.value, agenda.c.due_at.is_not(None)
        )
        for step in Step
    ]
    found = [row.at for row in tx.execute(sa.union_all(*steps)) if row.at is not None]
    return min(found) if found else None
