"""The built-in desk: tickets, their service-level clocks, and what agents do with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from amends.domain.case import Ticket, TicketState
from amends.domain.effects import Step
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.base import Severity
from amends.domain.sla import ClockKind, SlaClock, start_clock
from amends.store import agenda, journeys, restored, timeline
from amends.store.engine import Tx
from amends.store.for_rows import if_new, insert_of
from amends.store.in_list import in_list
from amends.store.schema import cases, sla_clocks, tickets
from amends.store.sql import locked, rendered
from amends.store.types import UtcDateTime


class TicketProblem(ValueError):
    """An action that the ticket's state does not allow; the message says which and what to do instead."""


def clock_ordinal(kind: ClockKind, cycle: int) -> int:
    """The agenda's ordinal of a clock: two clocks per cycle."""
    return cycle * 2 + list(ClockKind).index(kind)


@dataclass(frozen=True, slots=True)
class NewTicket:
    case_id: int
    severity: Severity
    assignee: str | None
    summary: str


def open_tickets(tx: Tx, journey: ComplaintJourney, new: Sequence[NewTicket], now: datetime) -> None:
    """Open tickets with both clocks running; the agents' notifications and the SLA watch go on the agenda."""
    rows = [(ticket.case_id, ticket.severity.value, ticket.assignee, ticket.summary) for ticket in new]
    _OPEN.execute(tx, rows, b_now=now)
    _start_clocks(tx, journey, [(ticket.case_id, ticket.severity) for ticket in new], cycle=0, now=now)


def _start_clocks(
    tx: Tx, journey: ComplaintJourney, started: Sequence[tuple[int, Severity]], *, cycle: int, now: datetime
) -> None:
    rows, items = [], []
    for case_id, severity in started:
        target = journey.sla.targets[severity]
        for kind, goal in (
            (ClockKind.FIRST_RESPONSE, target.first_response()),
            (ClockKind.RESOLUTION, target.resolution()),
        ):
            clock = start_clock(kind, cycle, now, goal, journey.sla.warn_share, journey.calendar)
            rows.append((case_id, kind.value, severity.value, clock.started_at, clock.warn_at, clock.due_at))
            ordinal = clock_ordinal(kind, cycle)
            items.append(agenda.Item(case_id, journey.name, Step.WATCH_SLA, ordinal, clock.warn_at))
        items.append(agenda.Item(case_id, journey.name, Step.NOTIFY_AGENT, cycle, now))
    _START.execute(tx, rows, b_cycle=cycle)
    agenda.plan(tx, items)


_OPEN = insert_of(
    tickets,
    "case_id",
    "severity",
    "assignee",
    "summary",
    ending=if_new,
    state=sa.literal(TicketState.NEW.value),
    cycle=sa.literal(0),
    opened_at=sa.bindparam("b_now", type_=UtcDateTime),
)
_START = insert_of(
    sla_clocks,
    "case_id",
    "kind",
    "severity",
    "started_at",
    "warn_at",
    "due_at",
    ending=if_new,
    cycle=sa.bindparam("b_cycle", type_=sa.SmallInteger),
)


def restart_clocks(
    tx: Tx,
    journey: ComplaintJourney,
    case_id: int,
    ticket: Ticket,
    running: Mapping[ClockKind, SlaClock],
    now: datetime,
) -> None:
    """Start those clocks of an unsolved ticket's present cycle that it has lost; those it has run on.

    They start when the other one did, else when the ticket was opened; a reopened one's start is not kept anywhere
    else, so then it is `now`.
    """
    known = next(iter(running.values()), None)
    started_at = known.started_at if known else ticket.opened_at if ticket.cycle == 0 else None
    _start_clocks(tx, journey, [(case_id, ticket.severity)], cycle=ticket.cycle, now=started_at or now)
    if ticket.first_response_at is not None:
        tx.execute(
            sla_clocks.update()
            .where(
                sla_clocks.c.case_id == case_id,
                sla_clocks.c.kind == ClockKind.FIRST_RESPONSE.value,
                sla_clocks.c.cycle == ticket.cycle,
                sla_clocks.c.met_at.is_(None),
            )
            .values(met_at=ticket.first_response_at)
        )


def clocks(tx: Tx, case_ids: Sequence[int]) -> dict[tuple[int, int], SlaClock]:
    """The clocks of these cases by (case id, agenda ordinal)."""
    found = {}
    for row in tx.execute(rendered(tx, _CLOCKS), {"b_cases": case_ids}):
        kind = ClockKind(row.kind)
        clock = SlaClock(kind, row.cycle, row.started_at, row.warn_at, row.due_at, row.met_at)
        found[row.case_id, clock_ordinal(kind, row.cycle)] = clock
    return found


_CLOCKS = sa.select(sla_clocks).where(in_list(sla_clocks.c.case_id, "b_cases"))


def reopen(tx: Tx, journey: ComplaintJourney, case_id: int, severity: Severity, now: datetime) -> int:
    """Reopen a solved ticket with the new severity and fresh clocks. Returns the new cycle."""
    statement = (
        tickets.update()
        .where(tickets.c.case_id == case_id)
        .values(
            state=TicketState.NEW.value,
            severity=severity.value,
            cycle=tickets.c.cycle + 1,
            first_response_at=None,
            solved_at=None,
        )
        .returning(tickets.c.cycle)
    )
    cycle = int(tx.execute(statement).scalar_one())
    _start_clocks(tx, journey, [(case_id, severity)], cycle=cycle, now=now)
    return cycle


@dataclass(frozen=True, slots=True)
class DeskTicket:
    """A ticket as an agent sees it in a list. Times are aware UTC; those of the present cycle, if reopened."""

    id: int
    case_id: int
    journey: str
    state: TicketState
    severity: Severity
    assignee: str | None
    cycle: int
    opened_at: datetime
    due_at: datetime
    """When it must be solved."""
    summary: str


def unsolved(tx: Tx, *, assignee: str | None = None, limit: int = 1_000_000) -> list[DeskTicket]:
    """Tickets that are not solved, oldest first; of one agent, if given."""
    query = (
        sa.select(tickets, cases.c.journey, sla_clocks.c.started_at, sla_clocks.c.due_at)
        .join(cases, cases.c.id == tickets.c.case_id)
        .join(
            sla_clocks,
            sa.and_(
                sla_clocks.c.case_id == tickets.c.case_id,
                sla_clocks.c.cycle == tickets.c.cycle,
                sla_clocks.c.kind == ClockKind.RESOLUTION.value,
            ),
        )
        .where(tickets.c.state != TicketState.SOLVED.value)
        .order_by(tickets.c.id)
        .limit(limit)
    )
    if assignee is not None:
        query = query.where(tickets.c.assignee == assignee)
    return [
        DeskTicket(
            row.id,
            row.case_id,
            row.journey,
            TicketState(row.state),
            Severity(row.severity),
            row.assignee,
            row.cycle,
            row.started_at,
            row.due_at,
            row.summary,
        )
        for row in tx.execute(query)
    ]


def take(tx: Tx, ticket_id: int, agent: str, now: datetime) -> None:
    """An agent takes the ticket: the first response. Taking it twice changes nothing.

    Raises TicketProblem when there is no such ticket or it is solved.
    """
    row = _locked_ticket(tx, ticket_id)
    if row.state == TicketState.SOLVED:
        raise TicketProblem(f"ticket {ticket_id} is solved already")
    if row.state == TicketState.OPEN:
        return
    tx.execute(
        tickets.update()
        .where(tickets.c.id == ticket_id)
        .values(state=TicketState.OPEN.value, assignee=agent, first_response_at=now)
    )
    _stop_clock(tx, row.case_id, ClockKind.FIRST_RESPONSE, row.cycle, now)
    timeline.append(tx, [timeline.Entry(row.case_id, now, "ticket.taken", f"by {agent}", agent)])


def solve(tx: Tx, ticket_id: int, agent: str, root_cause: str, now: datetime) -> None:
    """An agent solves the ticket and notes the root cause; the survey goes on the agenda after the journey's delay.

    Solving a ticket nobody took counts as its first response too. Raises TicketProblem when there is no such
    ticket, it is solved already, or the root cause is empty.
    """
    if not root_cause.strip():
        raise TicketProblem("a solved ticket needs a root cause, in a few words")
    row = _locked_ticket(tx, ticket_id)
    if row.state == TicketState.SOLVED:
        raise TicketProblem(f"ticket {ticket_id} is solved already")
    if row.state == TicketState.NEW:
        take(tx, ticket_id, agent, now)
    case = tx.execute(sa.select(cases.c.journey, cases.c.version_id).where(cases.c.id == row.case_id)).one()
    journey = journeys.load(tx, case.version_id)
    tx.execute(
        tickets.update()
        .where(tickets.c.id == ticket_id)
        .values(state=TicketState.SOLVED.value, solved_at=now, root_cause=root_cause.strip()[:200])
    )
    _stop_clock(tx, row.case_id, ClockKind.RESOLUTION, row.cycle, now)
    delay = timedelta(hours=journey.survey.delay_hours)
    restored.doubt_if_lost(tx, [row.case_id], Step.SURVEY, row.cycle, now, delay=delay)
    ask_at = now + delay
    agenda.plan(tx, [agenda.Item(row.case_id, case.journey, Step.SURVEY, row.cycle, ask_at)])
    timeline.append(tx, [timeline.Entry(row.case_id, now, "ticket.solved", root_cause.strip(), agent)])


def _locked_ticket(tx: Tx, ticket_id: int) -> sa.Row[tuple[int, ...]]:
    row = tx.execute(locked(tx, sa.select(tickets).where(tickets.c.id == ticket_id))).one_or_none()
    if row is None:
        raise TicketProblem(f"there is no ticket {ticket_id}; `amends ticket list` shows the open ones")
    return row


def _stop_clock(tx: Tx, case_id: int, kind: ClockKind, cycle: int, now: datetime) -> None:
    tx.execute(
        sla_clocks.update()
        .where(
            sla_clocks.c.case_id == case_id,
            sla_clocks.c.kind == kind.value,
            sla_clocks.c.cycle == cycle,
            sla_clocks.c.met_at.is_(None),
        )
        .values(met_at=now)
    )
    # The watch looks once more: a breach nobody has noticed yet is still reported, then the item is struck off.
    agenda.wake(tx, case_id, Step.WATCH_SLA, now, [clock_ordinal(kind, cycle)])
