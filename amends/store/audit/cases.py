"""Rules of the case: it is in exactly one place, so that it is never forgotten, and it ends with an outcome."""

from typing import Any

import sqlalchemy as sa

from amends.store.audit.rule import A_DAY_AGO, IN_A_DAY, Rule, differ, one_of, open_item, told
from amends.store.schema import agenda, cases, surveys, tickets, timeline

_PHASES = (("open_ticket",), ("survey", "conclude"), ("reward", "close"))
"""Where a case waits for us. In between, while its ticket is unsolved, it waits for an agent."""
_STEPS = (
    *("acknowledge", "open_ticket", "notify_agent", "watch_sla"),
    *("survey", "remind", "conclude", "reward", "close"),
)


def _case(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = cases.c.id.label("row"), cases.c.id.label("case_id"), cases.c.journey
    return sa.select(*columns).where(*where)


def _unsolved() -> sa.Exists:
    return sa.exists().where(tickets.c.case_id == cases.c.id, tickets.c.state != "solved")


def _places(*, but_for_retries: bool = False) -> sa.ColumnElement[int]:
    """In how many places a case is: on the agenda of how many phases, and with an agent."""
    by_hand = told(agenda.c.case_id, agenda.c.step + ".retried")
    where = (sa.not_(by_hand),) if but_for_retries else ()
    waiting = [open_item(cases.c.id, one_of(agenda.c.step, *steps), *where) for steps in _PHASES]
    counted = [sa.case((here, 1), else_=0) for here in (*waiting, _unsolved())]
    return sum(counted[1:], counted[0])


def _nowhere() -> sa.Select[Any]:
    return _case(cases.c.closed_at.is_(None), _places() == 0)


def _in_two_places() -> sa.Select[Any]:
    return _case(cases.c.closed_at.is_(None), _places() > 1, _places(but_for_retries=True) > 1)


def _half_closed() -> sa.Select[Any]:
    goes_on = open_item(cases.c.id, one_of(agenda.c.step, "open_ticket", "conclude", "close"))
    solved = sa.exists().where(tickets.c.case_id == cases.c.id, tickets.c.state == "solved")
    return _case(cases.c.closed_at.is_not(None), sa.or_(cases.c.outcome.is_(None), goes_on, sa.not_(solved)))


def _outcome_out_of_place() -> sa.Select[Any]:
    ending = open_item(cases.c.id, one_of(agenda.c.step, "reward", "close"))
    return _case(cases.c.closed_at.is_(None), differ(cases.c.outcome.is_not(None), ending))


def _without_apology_item() -> sa.Select[Any]:
    planned = sa.exists().where(
        agenda.c.case_id == cases.c.id, agenda.c.step == "acknowledge", agenda.c.ordinal == 0
    )
    return _case(cases.c.closed_at.is_(None), sa.not_(planned))


def _opens_with_something_else() -> sa.Select[Any]:
    first = (
        sa.select(timeline.c.event)
        .where(timeline.c.case_id == cases.c.id)
        .order_by(timeline.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return _case(sa.func.coalesce(first, "") != "case.opened")


def _closed_in_silence() -> sa.Select[Any]:
    return _case(cases.c.closed_at.is_not(None), sa.not_(told(cases.c.id, "case.closed")))


def _item(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = agenda.c.id.label("row"), agenda.c.case_id, agenda.c.journey
    return sa.select(*columns).where(*where)


def _odd_item() -> sa.Select[Any]:
    odd = sa.or_(
        agenda.c.journey != cases.c.journey,
        agenda.c.step.not_in(_STEPS),
        sa.and_(agenda.c.due_at.is_(None), agenda.c.result.is_(None)),
        differ(agenda.c.lease_owner.is_(None), agenda.c.lease_until.is_(None)),
    )
    return _item(odd).join(cases, cases.c.id == agenda.c.case_id)


def _odd_survey() -> sa.Select[Any]:
    row = surveys.c
    cycle = sa.select(tickets.c.cycle).where(tickets.c.case_id == row.case_id).scalar_subquery()
    begun = sa.or_(row.asked_at.is_not(None), row.skipped.is_not(None), row.answered_at.is_not(None))
    half_answered = differ(row.answered_at.is_not(None), row.satisfied.is_not(None))
    columns = row.id.label("row"), row.case_id, cases.c.journey
    return (
        sa.select(*columns)
        .join(cases, cases.c.id == row.case_id)
        .where(sa.or_(sa.func.coalesce(cycle, -1) < row.cycle, sa.not_(begun), half_answered))
    )


def _endless_lease() -> sa.Select[Any]:
    return _item(agenda.c.lease_until > IN_A_DAY)


def _overdue() -> sa.Select[Any]:
    return _item(agenda.c.due_at < A_DAY_AGO)


_REPAIR = "The daily sweep puts it back: `amends run JOURNEY.yaml --read-back-days 3`."
_LOOK = "Look at it with `amends case ID`; rows changed by hand are put right by hand."

CASES = (
    Rule(
        "case.forgotten",
        "Every open case waits for a step that has a due time, or for an agent who has not solved its ticket.",
        _REPAIR,
        "case",
        _nowhere,
    ),
    Rule("case.place", "No open case is in two places at once.", _LOOK, "case", _in_two_places),
    Rule(
        "case.closed",
        "A closed case has an outcome and a solved ticket, and nothing on its agenda that would move it on.",
        _LOOK,
        "case",
        _half_closed,
    ),
    Rule(
        "case.outcome",
        "An open case has an outcome exactly while its reward or its closing is due.",
        _LOOK,
        "case",
        _outcome_out_of_place,
    ),
    Rule(
        "case.apology",
        "The apology of every open case was planned.",
        _REPAIR,
        "case",
        _without_apology_item,
    ),
    Rule(
        "case.opened",
        "The timeline of every case begins with its opening.",
        "Lines of the timeline are never changed or deleted: find out who did.",
        "case",
        _opens_with_something_else,
    ),
    Rule(
        "case.told",
        "The timeline of every closed case tells its closing.",
        "Lines of the timeline are never changed or deleted: find out who did.",
        "case",
        _closed_in_silence,
    ),
    Rule(
        "agenda.item",
        "An item on the agenda is of its case's journey and of a step we know; over, it has a result; taken, a lease "
        "with an end.",
        f"One that is over without a result has fallen off. {_REPAIR}",
        "agenda item",
        _odd_item,
    ),
    Rule(
        "survey.row",
        "A survey is of a cycle its ticket has had; it was asked, skipped or answered, and an answer has a judgement.",
        _LOOK,
        "survey",
        _odd_survey,
    ),
    Rule(
        "agenda.lease",
        "No sweep holds a case for more than a day.",
        "Lower AMENDS_LEASE_SECONDS: a dead sweep's cases stay with it for that long.",
        "agenda item",
        _endless_lease,
        note=True,
    ),
    Rule(
        "agenda.overdue",
        "Nothing has been due for more than a day.",
        "Sweep its journey: `amends serve`, or `amends run JOURNEY.yaml`.",
        "agenda item",
        _overdue,
        note=True,
    ),
)
