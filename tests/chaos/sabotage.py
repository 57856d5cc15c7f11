"""Deliberate mistakes in the code under test, made in a child only: the harness must find what they do."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from amends.domain.effects import Effect, EffectState
from amends.domain.feedback import Feedback
from amends.store import inbox, ledger
from amends.store.agenda import Claim
from amends.store.engine import Tx
from amends.store.schema import effects


class Sabotage(StrEnum):
    """What is broken."""

    SENDS_AGAIN = "sends_again"
    """What a dead sweep left open is sent again, whatever the policy."""
    LOSES_ROWS = "loses_rows"
    """The inbox forgets one rating of each batch."""


def break_it(sabotage: Sabotage) -> None:
    match sabotage:
        case Sabotage.SENDS_AGAIN:
            _send_again()
        case Sabotage.LOSES_ROWS:
            _lose_rows()


def _send_again() -> None:
    mark = ledger.mark_uncertain

    def forget(tx: Tx, claims: Sequence[Claim], now: datetime) -> list[Effect]:
        for dead in mark(tx, claims, now):
            its = sa.and_(effects.c.case_id == dead.case_id, effects.c.step == dead.step.value)
            tx.execute(effects.update().where(its).values(state=EffectState.WAITING.value))
        return []

    ledger.mark_uncertain = forget


def _lose_rows() -> None:
    receive = inbox.receive

    def forget(tx: Tx, journey: str, batch: Sequence[Feedback] | inbox.Ready, now: datetime) -> int:
        rows = batch.batch if isinstance(batch, inbox.Ready) else batch
        return receive(tx, journey, rows[1:], now)

    inbox.receive = forget
