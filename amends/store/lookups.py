"""Looking things up for people: one case with everything that hangs on it, and the newest of the quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.effects import tracking_id
from amends.store.engine import Tx
from amends.store.schema import cases, effects, feedbacks, quarantine, tickets


@dataclass(frozen=True, slots=True)
class Rating:
    """One feedback of a case, in the customer's own words: mask them before anybody sees them."""

    source: str
    occurred_at: datetime
    scale: str
    rating: float | None
    text: str
    verdict: str | None
    reason: str | None


def ratings_of(tx: Tx, case_id: int) -> list[Rating]:
    """The feedbacks that make up a case, oldest first."""
    query = (
        sa.select(feedbacks)
        .where(feedbacks.c.case_id == case_id)
        .order_by(feedbacks.c.occurred_at, feedbacks.c.id)
    )
    return [
        Rating(row.source, row.occurred_at, row.scale, row.rating, row.text, row.verdict, row.reason)
        for row in tx.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One effect as the ledger has it, for people. Times are aware UTC."""

    step: str
    channel: str
    ordinal: int
    state: str
    attempts: int
    policy: str
    tracking_id: str
    provider_id: str | None
    code: str | None
    detail: str
    cost_vnd: int
    sent_at: datetime | None
    settled_at: datetime | None
    next_attempt_at: datetime | None


def effects_of(tx: Tx, case_id: int) -> list[LedgerLine]:
    """Everything that was done or tried for a case, oldest first."""
    query = sa.select(effects).where(effects.c.case_id == case_id).order_by(effects.c.id)
    return [
        LedgerLine(
            row.step,
            row.channel,
            row.ordinal,
            row.state,
            row.attempts,
            row.policy,
            tracking_id(row.key),
            row.provider_id,
            row.code,
            row.detail,
            row.cost_vnd,
            row.sent_at,
            row.settled_at,
            row.next_attempt_at,
        )
        for row in tx.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What is known of a ticket by its id."""

    id: int
    case_id: int
    version_id: int
    """The journey version its case is on."""
    state: str
    assignee: str | None
    root_cause: str | None


def ticket(tx: Tx, ticket_id: int) -> TicketFacts | None:
    """The ticket with that id; None when there is none."""
    query = (
        sa.select(tickets, cases.c.version_id)
        .join(cases, cases.c.id == tickets.c.case_id)
        .where(tickets.c.id == ticket_id)
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return TicketFacts(row.id, row.case_id, row.version_id, row.state, row.assignee, row.root_cause)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row in quarantine: where it stood and what is wrong, without the row itself."""

    id: int
    source: str
    location: str
    problems: Sequence[dict[str, Any]]
    """Each with `field`, `problem` and `fix`."""
    received_at: datetime


def newest_quarantined(tx: Tx, journey: str, limit: int) -> list[Quarantined]:
    """The newest rows that wait for a person."""
    query = sa.select(quarantine).where(_waiting(journey)).order_by(quarantine.c.id.desc()).limit(limit)
    return [
        Quarantined(row.id, row.source, row.location, row.problems, row.received_at)
        for row in tx.execute(query)
    ]


def count_quarantined(tx: Tx, journey: str) -> int:
    """How many rows wait for a person."""
    return int(tx.execute(sa.select(sa.func.count()).where(_waiting(journey))).scalar_one())


def _waiting(journey: str) -> sa.ColumnElement[bool]:
    # Spelt out as the index of open rows is: SQLite cannot tell it from a parameter.
    return sa.and_(quarantine.c.journey == journey, quarantine.c.state == sa.literal_column("'open'"))


def journeys_in_quarantine(tx: Tx) -> list[str]:
    """Names of the journeys that have rows in quarantine."""
    return sorted(tx.execute(sa.select(quarantine.c.journey).distinct()).scalars())


def versions_of(tx: Tx, case_ids: Sequence[int]) -> dict[int, int]:
    """Case id to the id of the journey version it is on."""
    query = sa.select(cases.c.id, cases.c.version_id).where(cases.c.id.in_(case_ids))
    return {row.id: row.version_id for row in tx.execute(query)}
