"""What operators did by hand: who, what, to what and why. Append-only, and without personal data."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.domain.contacts import mask
from amends.store.engine import Tx
from amends.store.schema import operator_log


@dataclass(frozen=True, slots=True)
class Deed:
    """One line. `subject` is what it was done to, e.g. `effect 17` or `quarantine 4`; `at` is aware UTC."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str = ""


def record(tx: Tx, deed: Deed) -> None:
    """Note it in the transaction that does it; phone numbers and mail addresses are masked."""
    tx.execute(
        operator_log.insert().values(
            at=deed.at,
            actor=mask(deed.actor)[:60],
            action=deed.action,
            subject=deed.subject,
            detail=mask(deed.detail)[:500],
        )
    )


def of_subject(tx: Tx, subject: str) -> list[Deed]:
    """Everything done to it, oldest first."""
    query = sa.select(operator_log).where(operator_log.c.subject == subject).order_by(operator_log.c.id)
    return [Deed(row.at, row.actor, row.action, row.subject, row.detail) for row in tx.execute(query)]
