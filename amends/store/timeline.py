"""The timeline: append-only record of all that happened to a case, and who or what did it. No personal data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.domain.contacts import mask
from amends.store.engine import Tx
from amends.store.for_rows import insert_of
from amends.store.operator_log import Deed
from amends.store.schema import timeline

ENGINE = "amends"
"""The actor of everything that no person did."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `event` is `step.outcome`, e.g. `acknowledge.sent`; `at` is aware UTC."""

    case_id: int
    at: datetime
    event: str
    detail: str = ""
    actor: str = ENGINE


def line_by(deed: Deed, case_id: int, event: str) -> Entry:
    """The line about what an operator did; phone numbers and mail addresses are masked, as in the operators' log."""
    return Entry(case_id, deed.at, event, mask(deed.detail), mask(deed.actor)[:60])


def append(tx: Tx, entries: Sequence[Entry]) -> None:
    _APPEND.execute(tx, [(e.case_id, e.at, e.event, e.actor, e.detail[:500]) for e in entries])


_APPEND = insert_of(timeline, "case_id", "at", "event", "actor", "detail")


def of_case(tx: Tx, case_id: int) -> list[Entry]:
    """The whole timeline of a case, oldest first."""
    query = sa.select(timeline).where(timeline.c.case_id == case_id).order_by(timeline.c.id)
    return [Entry(row.case_id, row.at, row.event, row.detail, row.actor) for row in tx.execute(query)]
