"""Rules of the agents' desk: tickets, their two clocks in every cycle, and who is told of them."""

from typing import Any

import sqlalchemy as sa

from amends.store.audit.rule import Rule, blank, one_of
from amends.store.schema import agenda, cases, sla_clocks, tickets

_CLOCKS = ("first_response", "resolution")


def _ticket(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = tickets.c.id.label("row"), tickets.c.case_id, cases.c.journey
    return sa.select(*columns).join(cases, cases.c.id == tickets.c.case_id).where(*where)


def _clock(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = sla_clocks.c.id.label("row"), sla_clocks.c.case_id, cases.c.journey
    return sa.select(*columns).join(cases, cases.c.id == sla_clocks.c.case_id).where(*where)


def _odd_state() -> sa.Select[Any]:
    row = tickets.c
    new = sa.and_(row.state == "new", row.first_response_at.is_(None), row.solved_at.is_(None))
    answered = sa.and_(row.first_response_at.is_not(None), sa.not_(blank(row.assignee)))
    taken = sa.and_(row.state == "open", answered, row.solved_at.is_(None))
    done = sa.and_(
        row.state == "solved",
        answered,
        row.solved_at.is_not(None),
        row.solved_at >= row.first_response_at,
        sa.not_(blank(row.root_cause)),
    )
    # NULL where a time is missing: that is no proof of being right.
    return _ticket(sa.not_(sa.func.coalesce(sa.or_(new, taken, done), sa.false())))


def _missing_clock() -> sa.Select[Any]:
    of_it = sla_clocks.c.case_id == tickets.c.case_id
    count = sa.func.count()
    known = (
        sa.select(count)
        .where(of_it, one_of(sla_clocks.c.kind, *_CLOCKS), sla_clocks.c.cycle <= tickets.c.cycle)
        .scalar_subquery()
    )
    every = sa.select(count).where(of_it).scalar_subquery()
    due = 2 * (tickets.c.cycle + 1)
    return _ticket(sa.or_(known != due, every != due))


def _clock_of_nothing() -> sa.Select[Any]:
    return _clock(sa.not_(sa.exists().where(tickets.c.case_id == sla_clocks.c.case_id)))


def _odd_times() -> sa.Select[Any]:
    row = sla_clocks.c
    return _clock(sa.or_(row.warn_at < row.started_at, row.due_at < row.warn_at, row.met_at < row.started_at))


def _runs_against_its_ticket() -> sa.Select[Any]:
    """Clocks of earlier cycles are met; of the present one, the response by taking and the resolution by solving."""
    must_be_met = sa.or_(
        sla_clocks.c.cycle < tickets.c.cycle,
        tickets.c.state == "solved",
        sa.and_(tickets.c.state == "open", sla_clocks.c.kind == "first_response"),
    )
    met = sla_clocks.c.met_at.is_not(None)
    against = sa.or_(sa.and_(must_be_met, sa.not_(met)), sa.and_(sa.not_(must_be_met), met))
    return _clock(against).join(tickets, tickets.c.case_id == sla_clocks.c.case_id)


def _unwatched() -> sa.Select[Any]:
    number = sla_clocks.c.cycle * 2 + sa.case((sla_clocks.c.kind == "resolution", 1), else_=0)
    watched = sa.exists().where(
        agenda.c.case_id == sla_clocks.c.case_id,
        agenda.c.step == "watch_sla",
        agenda.c.ordinal == number,
    )
    return _clock(cases.c.closed_at.is_(None), sla_clocks.c.met_at.is_(None), sa.not_(watched))


def _nobody_told() -> sa.Select[Any]:
    planned = sa.exists().where(
        agenda.c.case_id == tickets.c.case_id,
        agenda.c.step == "notify_agent",
        agenda.c.ordinal == tickets.c.cycle,
    )
    return _ticket(tickets.c.state != "solved", sa.not_(planned))


def _unasked() -> sa.Select[Any]:
    planned = sa.exists().where(
        agenda.c.case_id == tickets.c.case_id,
        agenda.c.step == "survey",
        agenda.c.ordinal == tickets.c.cycle,
    )
    waiting = sa.and_(cases.c.closed_at.is_(None), cases.c.outcome.is_(None))
    return _ticket(waiting, tickets.c.state == "solved", sa.not_(planned))


_REPAIR = "The daily sweep puts it back: `amends run JOURNEY.yaml --read-back-days 3`."
_LOOK = "Look at it with `amends case ID`; rows changed by hand are put right by hand."

TICKETS = (
    Rule(
        "ticket.state",
        "A ticket is new; or taken, by somebody at a time; or solved after that, with a root cause.",
        _LOOK,
        "ticket",
        _odd_state,
    ),
    Rule(
        "ticket.clocks",
        "A ticket has its two clocks for every cycle it has had, and no others.",
        f"Of an unsolved ticket: {_REPAIR}",
        "ticket",
        _missing_clock,
    ),
    Rule("clock.ticket", "Every clock belongs to a ticket.", _LOOK, "clock", _clock_of_nothing),
    Rule(
        "clock.times",
        "A clock starts, warns and is due in that order, and is met after its start.",
        _LOOK,
        "clock",
        _odd_times,
    ),
    Rule(
        "clock.met",
        "The clocks of a ticket stand where its state says: met by its taking, by its solving, or running.",
        _LOOK,
        "clock",
        _runs_against_its_ticket,
    ),
    Rule("clock.watched", "Every running clock of an open case is watched.", _REPAIR, "clock", _unwatched),
    Rule(
        "ticket.notified",
        "Telling the agent was planned for the present cycle of every unsolved ticket.",
        _REPAIR,
        "ticket",
        _nobody_told,
    ),
    Rule(
        "ticket.survey",
        "A survey was planned for every solved ticket whose case has no outcome yet.",
        _REPAIR,
        "ticket",
        _unasked,
    ),
)
