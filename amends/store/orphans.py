"""Effects left `sending` by a dead sweep whose step has left the agenda since: nobody would ever look at them again.

A reminder is one: while its sweep lies dead in the call, the customer answers, and the reminder is struck off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.domain.effects import EffectState
from amends.domain.outcome import OutcomeClass
from amends.store.engine import Tx
from amends.store.ledger import STILL_OPEN
from amends.store.schema import agenda, effects

_SENDING = effects.c.state == EffectState.SENDING.value
DETAIL = "the sweep died while this call was open, and its step was over before another came"


@dataclass(frozen=True, slots=True)
class Orphan:
    id: int
    case_id: int
    step: str


def find(tx: Tx, journey: str, now: datetime, limit: int) -> list[Orphan]:
    """Effects in `sending` beyond their lease whose case has no such step on its agenda any more, oldest first."""
    on_agenda = sa.exists().where(
        agenda.c.case_id == effects.c.case_id,
        agenda.c.step == effects.c.step,
        agenda.c.due_at.is_not(None),
    )
    query = (
        sa.select(effects.c.id, effects.c.case_id, effects.c.step)
        .where(
            STILL_OPEN,
            _SENDING,
            effects.c.journey == journey,
            effects.c.lease_until < now,
            ~on_agenda,
        )
        .order_by(effects.c.id)
        .limit(limit)
    )
    return [Orphan(row.id, row.case_id, row.step) for row in tx.execute(query)]


def give_up(tx: Tx, orphans: Sequence[Orphan], now: datetime) -> list[Orphan]:
    """Call them uncertain, for an operator to settle; returns those that were still `sending`."""
    statement = (
        effects.update()
        .where(
            effects.c.id.in_([orphan.id for orphan in orphans]),
            _SENDING,
        )
        .values(
            state=EffectState.UNCERTAIN.value,
            outcome_class=OutcomeClass.UNCERTAIN.value,
            detail=DETAIL,
            settled_at=now,
            lease_until=None,
        )
        .returning(effects.c.id)
    )
    given_up = set(tx.execute(statement).scalars())
    return [orphan for orphan in orphans if orphan.id in given_up]
