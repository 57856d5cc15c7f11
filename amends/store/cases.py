"""Cases: opening them, and reading them the way decisions want to see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.case import Case, Customer, SurveyResult, Ticket, TicketState, ZaloUser
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.journey.base import Severity
from amends.store.engine import Tx
from amends.store.for_rows import ForRows, insert_of
from amends.store.in_list import in_list
from amends.store.schema import cases, customers, effects, feedbacks, surveys, tickets, zalo_users
from amends.store.sql import rendered
from amends.store.types import UtcDateTime


@dataclass(frozen=True, slots=True)
class NewCase:
    journey: str
    version_id: int
    customer_id: int
    opened_at: datetime
    feedback_at: datetime
    stars: int
    severity: Severity
    order_ref: str | None = None
    branch: str | None = None
    product: str | None = None
    id: int | None = None
    """Its number, where the database's own numbering will not do (`restored.next_case_id`)."""


@dataclass(frozen=True, slots=True)
class OpenCase:
    """What detection must know of a customer's case that is not closed."""

    id: int
    customer_id: int
    last_feedback_at: datetime
    order_ref: str | None
    stars: int


def open_cases(tx: Tx, journey: str, customer_ids: Sequence[int]) -> list[OpenCase]:
    """The open cases of these customers in this journey, oldest first."""
    case = cases.c
    query = (
        sa.select(
            case.id,
            case.customer_id,
            case.last_feedback_at,
            case.order_ref,
            case.stars,
            case.journey,
            case.closed_at,
        )
        .where(case.customer_id.in_(customer_ids))
        .order_by(case.id)
    )
    # Which of them are open is asked here: told so, SQLite would read every open case of the journey.
    return [
        OpenCase(row.id, row.customer_id, row.last_feedback_at, row.order_ref, row.stars)
        for row in tx.execute(query)
        if row.journey == journey and row.closed_at is None
    ]


@dataclass(frozen=True, slots=True)
class Found:
    id: int
    journey: str


def newest_open(tx: Tx, customer_id: int) -> Found | None:
    """The customer's newest case that is not closed, in whichever journey."""
    query = (
        sa.select(cases.c.id, cases.c.journey)
        .where(cases.c.customer_id == customer_id, cases.c.closed_at.is_(None))
        .order_by(cases.c.id.desc())
        .limit(1)
    )
    row = tx.execute(query).one_or_none()
    return Found(row.id, row.journey) if row else None


def create(tx: Tx, new: Sequence[NewCase]) -> list[int]:
    """Open these cases; returns their ids, in their order. All of them bring an id, or none does."""
    rows: list[tuple[Any, ...]] = [
        (
            case.journey,
            case.version_id,
            case.customer_id,
            case.opened_at,
            case.feedback_at,
            case.stars,
            case.severity.value,
            case.order_ref,
            case.branch,
            case.product,
        )
        for case in new
    ]
    if new and new[0].id is not None:
        opened = _OPEN_NUMBERED.execute(tx, [(*row, case.id) for row, case in zip(rows, new, strict=True)])
    else:
        opened = _OPEN.execute(tx, rows)
    made = sorted((id_, customer_id) for id_, customer_id in opened) if opened else []
    if [customer_id for _, customer_id in made] != [case.customer_id for case in new]:
        raise RuntimeError("the database has not numbered new cases in their order")
    return [id_ for id_, _ in made]


_NEW = (
    "journey",
    "version_id",
    "customer_id",
    "opened_at",
    "last_feedback_at",
    "stars",
    "severity",
    "order_ref",
    "branch",
    "product",
)


def _returning_ids(insert: Any) -> Any:
    return insert.returning(cases.c.id, cases.c.customer_id)


_OPEN = insert_of(cases, *_NEW, ending=_returning_ids)
_OPEN_NUMBERED = insert_of(cases, *_NEW, "id", ending=_returning_ids)


def join_feedback(tx: Tx, case_id: int, occurred_at: datetime, stars: int, severity: Severity) -> None:
    """Another bad rating joined the case; a worse one makes it more severe (a ticket that is open stays as it is)."""
    later = sa.and_(cases.c.id == case_id, cases.c.last_feedback_at < occurred_at)
    tx.execute(cases.update().where(later).values(last_feedback_at=occurred_at))
    worse = sa.and_(cases.c.id == case_id, cases.c.stars > stars)
    tx.execute(cases.update().where(worse).values(stars=stars, severity=severity.value))


def _view(*person: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return (
        sa.select(
            cases.c.id,
            cases.c.journey,
            cases.c.version_id,
            cases.c.customer_id,
            cases.c.opened_at,
            cases.c.branch,
            cases.c.product,
            cases.c.stars,
            cases.c.severity,
            cases.c.outcome,
            cases.c.outcome_reason,
            cases.c.closed_at,
            *person,
            customers.c.opted_out_at,
            customers.c.forgotten_at,
            tickets.c.id.label("ticket_id"),
            tickets.c.state.label("ticket_state"),
            tickets.c.severity.label("ticket_severity"),
            tickets.c.assignee,
            tickets.c.cycle,
            tickets.c.summary,
            tickets.c.opened_at.label("ticket_opened_at"),
            tickets.c.first_response_at,
            tickets.c.solved_at,
            surveys.c.id.label("survey_id"),
            surveys.c.asked_at,
            surveys.c.answered_at,
            surveys.c.satisfied,
            surveys.c.skipped,
            surveys.c.reason.label("survey_reason"),
        )
        .join(customers, customers.c.id == cases.c.customer_id)
        .outerjoin(tickets, tickets.c.case_id == cases.c.id)
        .outerjoin(surveys, sa.and_(surveys.c.case_id == cases.c.id, surveys.c.cycle == tickets.c.cycle))
        .where(in_list(cases.c.id, "b_ids"))
    )


_SENT = (
    sa.select(sa.func.count())
    .where(
        effects.c.customer_id == cases.c.customer_id,
        effects.c.state == sa.literal_column("'accepted'"),
        effects.c.settled_at >= sa.bindparam("b_since", type_=UtcDateTime),
    )
    .scalar_subquery()
)
# Few customers chat with us: nearly always this saves asking for the chats.
_CHATTING = sa.exists().where(zalo_users.c.customer_id == cases.c.customer_id)
_VIEW = _view(
    customers.c.language,
    customers.c.name,
    customers.c.phone,
    customers.c.email,
    _SENT.label("recent_messages"),
    _CHATTING.label("chats"),
)
_UNNAMED = _view(
    *(sa.null().label(name) for name in ("language", "name", "phone", "email", "recent_messages", "chats"))
)


def load(tx: Tx, case_ids: Sequence[int], *, messages_since: datetime) -> dict[int, Case]:
    """The cases with customer, ticket and the present cycle's survey.

    `messages_since` starts the window in which messages count against the customer's cap.
    """
    rows = tx.execute(rendered(tx, _VIEW), {"b_ids": case_ids, "b_since": messages_since}).all()
    chats = _zalo_users(tx, {row.customer_id for row in rows if row.chats})
    return {row.id: _case(row, chats) for row in rows}


def load_unnamed(tx: Tx, case_ids: Sequence[int]) -> dict[int, Case]:
    """The cases, but of the customer only who they are to us: no language, name, address, chat or count of messages.

    For steps that write to staff, or to nobody: opening what is sealed takes longer than all else of the reading.
    """
    return {row.id: _case(row, {}) for row in tx.execute(rendered(tx, _UNNAMED), {"b_ids": case_ids})}


_CHATS = (
    sa.select(zalo_users)
    .where(in_list(zalo_users.c.customer_id, "b_ids"))
    .order_by(zalo_users.c.last_interaction_at.desc().nulls_last(), zalo_users.c.id)
)


def _zalo_users(tx: Tx, customer_ids: set[int]) -> dict[int, tuple[ZaloUser, ...]]:
    found: dict[int, tuple[ZaloUser, ...]] = {}
    if not customer_ids:
        return found
    for row in tx.execute(rendered(tx, _CHATS), {"b_ids": sorted(customer_ids)}):
        user = ZaloUser(row.account, row.uid, row.last_interaction_at, row.left_at)
        found[row.customer_id] = (*found.get(row.customer_id, ()), user)
    return found


def _case(row: sa.Row[Any], chats: Mapping[int, tuple[ZaloUser, ...]]) -> Case:
    """A row of `_VIEW`, taken apart by its order: by name, forty columns take longer than all the rest."""
    (
        (case_id, journey, version_id, customer_id, case_opened_at, branch, product, stars, severity),
        (outcome, outcome_reason, closed_at),
        (language, name, phone, email, recent_messages, _, opted_out_at, forgotten_at),
        (ticket_id, state, urgency, assignee, cycle, summary, opened_at, first_response_at, solved_at),
        (survey_id, asked_at, answered_at, satisfied, skipped, survey_reason),
    ) = row[:9], row[9:12], row[12:20], row[20:29], row[29:]
    ticket = survey = None
    if ticket_id is not None:
        ticket = Ticket(
            ticket_id,
            TicketState(state),
            Severity(urgency),
            assignee,
            cycle,
            summary,
            opened_at,
            first_response_at,
            solved_at,
        )
    if survey_id is not None:
        why_not = CaseOutcome(skipped) if skipped else None
        survey = SurveyResult(asked_at, answered_at, satisfied, why_not, survey_reason)
    return Case(
        id=case_id,
        journey=journey,
        version_id=version_id,
        opened_at=case_opened_at,
        stars=stars,
        severity=Severity(severity),
        customer=Customer(
            customer_id,
            language,
            name,
            phone,
            email,
            opted_out_at,
            forgotten_at,
            recent_messages or 0,
            chats.get(customer_id, ()),
        ),
        branch=branch,
        product=product,
        outcome=CaseOutcome(outcome) if outcome else None,
        outcome_reason=outcome_reason,
        closed_at=closed_at,
        ticket=ticket,
        survey=survey,
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a case ended; no outcome: it goes on after all."""

    case_id: int
    outcome: CaseOutcome | None = None
    reason: str = ""


def set_outcomes(tx: Tx, endings: Sequence[Ending]) -> None:
    rows = [(e.case_id, e.outcome.value if e.outcome else None, e.reason[:300]) for e in endings]
    _END.execute(tx, rows)


_END = ForRows(
    [cases.c.id, cases.c.outcome, cases.c.outcome_reason],
    lambda _tx, fresh: (
        cases.update()
        .where(cases.c.id == fresh.c.id)
        .values(outcome=fresh.c.outcome, outcome_reason=fresh.c.outcome_reason)
    ),
)


def close(tx: Tx, case_ids: Sequence[int], now: datetime) -> None:
    if case_ids:
        tx.execute(cases.update().where(cases.c.id.in_(case_ids)).values(closed_at=now))


@dataclass(frozen=True, slots=True)
class History:
    """What a ticket's summary tells about a case: its ratings, and the customer's earlier cases."""

    texts: tuple[tuple[int, str], ...]
    """(rating on its own scale, text), oldest first."""
    earlier: tuple[tuple[int, datetime, str | None], ...]
    """(case id, opened at, outcome) of the customer's earlier cases, newest first, at most five."""


def histories(tx: Tx, wanted: Sequence[Case]) -> dict[int, History]:
    """The history of each of these cases, in two queries."""
    texts: dict[int, list[tuple[int, str]]] = {case.id: [] for case in wanted}
    query = (
        sa.select(feedbacks.c.case_id, feedbacks.c.rating, feedbacks.c.text)
        .where(feedbacks.c.case_id.in_(list(texts)), feedbacks.c.rating.is_not(None))
        .order_by(feedbacks.c.occurred_at, feedbacks.c.id)
    )
    for row in tx.execute(query):
        texts[row.case_id].append((int(row.rating), row.text))
    earlier: dict[int, list[tuple[int, datetime, str | None]]] = {}
    people = sorted({case.customer.id for case in wanted})
    older = (
        sa.select(cases.c.customer_id, cases.c.id, cases.c.opened_at, cases.c.outcome)
        .where(cases.c.customer_id.in_(people))
        .order_by(cases.c.id.desc())
    )
    for old in tx.execute(older):
        earlier.setdefault(old.customer_id, []).append((old.id, old.opened_at, old.outcome))
    return {
        case.id: History(
            tuple(texts[case.id]),
            tuple(found for found in earlier.get(case.customer.id, []) if found[0] < case.id)[:5],
        )
        for case in wanted
    }
