"""Figures for people: the funnel and the service levels of a journey, read from the rows themselves."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.journey.base import Severity
from amends.domain.sla import ClockKind
from amends.store.engine import Tx
from amends.store.schema import (
    agenda,
    budgets,
    cases,
    customers,
    effects,
    feedbacks,
    quarantine,
    sla_clocks,
    surveys,
    tickets,
    timeline,
    vouchers,
)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts of one journey, from the first rating to the voucher."""

    feedback: int
    """Ratings and messages received, answers to our own surveys not counted."""
    quarantined: int
    """Rows kept in quarantine, whether they wait or were dropped; not those that went into the inbox after all."""
    low_ratings: int
    cases: int
    merged: int
    """Low ratings that joined a case opened by another one."""
    tickets: int
    acknowledged: int
    notified: int
    """Tickets whose agent was told."""
    sla_met: int
    """Service-level clocks stopped in time."""
    sla_breached: int
    """Clocks stopped late, or still running past their due time."""
    escalations: int
    """Messages up the ladder; warnings are not counted."""
    surveys_sent: int
    """Surveys asked, reminders not counted."""
    surveys_answered: int
    satisfied: int
    vouchers: int
    closed: int
    open: int
    uncertain: int
    """Effects whose call may have left and that an operator settles."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def funnel(tx: Tx, journey: str, now: datetime) -> Funnel:
    """Count everything of `journey` as of `now`. It reads whole tables: for reports, not for sweeps."""
    count = sa.func.count()

    def one(query: sa.Select[Any]) -> int:
        return int(tx.execute(query).scalar_one())

    def accepted(step: str) -> sa.Select[Any]:
        return sa.select(count).where(
            effects.c.journey == journey, effects.c.step == step, effects.c.state == "accepted"
        )

    ours = feedbacks.c.journey == journey
    in_case = sa.and_(ours, feedbacks.c.verdict == "case")
    low = one(sa.select(count).where(in_case))
    opened = one(sa.select(count).where(cases.c.journey == journey))
    closed = one(sa.select(count).where(cases.c.journey == journey, cases.c.closed_at.is_not(None)))
    clocks = sa.join(sla_clocks, cases, cases.c.id == sla_clocks.c.case_id)
    of_journey = cases.c.journey == journey
    late = sa.or_(
        sla_clocks.c.met_at >= sla_clocks.c.due_at,
        sa.and_(sla_clocks.c.met_at.is_(None), sla_clocks.c.due_at <= now),
    )
    answers = sa.join(surveys, cases, cases.c.id == surveys.c.case_id)
    return Funnel(
        feedback=one(sa.select(count).where(ours, sa.func.coalesce(feedbacks.c.verdict, "") != "answer")),
        quarantined=one(
            sa.select(count).where(quarantine.c.journey == journey, quarantine.c.state != "requeued")
        ),
        low_ratings=low,
        cases=opened,
        merged=low - opened,
        tickets=one(
            sa.select(count)
            .select_from(sa.join(tickets, cases, cases.c.id == tickets.c.case_id))
            .where(of_journey)
        ),
        acknowledged=one(accepted("acknowledge")),
        notified=one(
            sa.select(sa.func.count(effects.c.case_id.distinct())).where(
                effects.c.journey == journey, effects.c.step == "notify_agent", effects.c.state == "accepted"
            )
        ),
        sla_met=one(
            sa.select(count).select_from(clocks).where(of_journey, sla_clocks.c.met_at < sla_clocks.c.due_at)
        ),
        sla_breached=one(sa.select(count).select_from(clocks).where(of_journey, late)),
        escalations=one(accepted("watch_sla").where(effects.c.ordinal % 10 > 0)),
        surveys_sent=one(accepted("survey")),
        surveys_answered=one(
            sa.select(count).select_from(answers).where(of_journey, surveys.c.answered_at.is_not(None))
        ),
        satisfied=one(sa.select(count).select_from(answers).where(of_journey, surveys.c.satisfied.is_(True))),
        vouchers=one(sa.select(count).where(vouchers.c.journey == journey, vouchers.c.state == "issued")),
        closed=closed,
        open=opened - closed,
        uncertain=one(
            sa.select(count).where(
                effects.c.journey == journey, effects.c.state.in_(["uncertain", "sending"])
            )
        ),
    )


@dataclass(frozen=True, slots=True)
class SlaLine:
    """How one target of one severity fared."""

    severity: Severity
    kind: ClockKind
    met: int
    breached: int
    running: int

    @property
    def share_met(self) -> float | None:
        """Share of the decided clocks that were met, 0 to 1; None when none is decided."""
        decided = self.met + self.breached
        return self.met / decided if decided else None


def service_levels(tx: Tx, journey: str, now: datetime) -> list[SlaLine]:
    """One line per severity and target, the most severe first."""
    met = sa.case((sla_clocks.c.met_at < sla_clocks.c.due_at, 1), else_=0)
    late = sa.or_(
        sla_clocks.c.met_at >= sla_clocks.c.due_at,
        sa.and_(sla_clocks.c.met_at.is_(None), sla_clocks.c.due_at <= now),
    )
    breached = sa.case((late, 1), else_=0)
    query = (
        sa.select(
            sla_clocks.c.severity,
            sla_clocks.c.kind,
            sa.func.sum(met).label("met"),
            sa.func.sum(breached).label("breached"),
            sa.func.count().label("all"),
        )
        .join(cases, cases.c.id == sla_clocks.c.case_id)
        .where(cases.c.journey == journey)
        .group_by(sla_clocks.c.severity, sla_clocks.c.kind)
    )
    found = {(row.severity, row.kind): row for row in tx.execute(query)}
    lines = []
    for severity in reversed(Severity):
        for kind in ClockKind:
            if (row := found.get((severity.value, kind.value))) is not None:
                running = row.all - row.met - row.breached
                lines.append(SlaLine(severity, kind, int(row.met), int(row.breached), int(running)))
    return lines


@dataclass(frozen=True, slots=True)
class UncertainEffect:
    """An effect an operator has to settle: its call may have left."""

    id: int
    case_id: int
    step: str
    channel: str
    ordinal: int
    state: str
    detail: str
    sent_at: datetime


def uncertain_effects(tx: Tx, journey: str) -> list[UncertainEffect]:
    """Every effect whose fate is unknown, oldest first."""
    query = (
        sa.select(effects)
        .where(effects.c.journey == journey, effects.c.state.in_(["uncertain", "sending"]))
        .order_by(effects.c.id)
    )
    return [
        UncertainEffect(
            row.id, row.case_id, row.step, row.channel, row.ordinal, row.state, row.detail, row.sent_at
        )
        for row in tx.execute(query)
    ]


def journeys_known(tx: Tx) -> list[str]:
    """Names of the journeys that have cases or feedback."""
    names = sa.union(sa.select(feedbacks.c.journey), sa.select(cases.c.journey))
    return sorted(tx.execute(names).scalars())


def backlog(tx: Tx, journey: str, now: datetime) -> dict[str, int]:
    """Agenda items due now, by step: what the next sweep will work on."""
    query = (
        sa.select(agenda.c.step, sa.func.count().label("due"))
        .where(agenda.c.journey == journey, agenda.c.due_at <= now)
        .group_by(agenda.c.step)
    )
    return {row.step: row.due for row in tx.execute(query)}


def spent(tx: Tx, journey: str) -> tuple[int, int]:
    """Vouchers and VND spent of the journey's budget."""
    row = tx.execute(sa.select(budgets).where(budgets.c.journey == journey)).one_or_none()
    return (row.spent_count, row.spent_vnd) if row else (0, 0)


@dataclass(frozen=True, slots=True)
class CaseContact:
    """A case and where its customer can be reached: what an audit holds against a vendor's book."""

    case_id: int
    phone: str | None
    opened_at: datetime
    low_ratings: int


def case_contacts(tx: Tx, journey: str) -> list[CaseContact]:
    """Every case of the journey with the number of low ratings in it, as the inbox has them."""
    query = (
        sa.select(cases.c.id, cases.c.opened_at, customers.c.phone, sa.func.count().label("ratings"))
        .join(feedbacks, feedbacks.c.case_id == cases.c.id)
        .join(customers, customers.c.id == cases.c.customer_id)
        .where(cases.c.journey == journey, feedbacks.c.verdict == "case")
        .group_by(cases.c.id, cases.c.opened_at, customers.c.phone)
        .order_by(cases.c.id)
    )
    return [CaseContact(row.id, row.phone, row.opened_at, row.ratings) for row in tx.execute(query)]


def best_story(tx: Tx, journey: str) -> int | None:
    """The case with the longest timeline, worth showing; None when there is no case."""
    query = (
        sa.select(timeline.c.case_id)
        .join(cases, cases.c.id == timeline.c.case_id)
        .where(cases.c.journey == journey, cases.c.closed_at.is_not(None))
        .group_by(timeline.c.case_id)
        .order_by(sa.func.count().desc(), timeline.c.case_id)
        .limit(1)
    )
    found = tx.execute(query).scalar()
    return int(found) if found is not None else None
