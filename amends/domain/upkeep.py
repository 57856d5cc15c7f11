"""What must be on the agenda of an open case: a case that nothing is planned for would be forgotten for ever."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from amends.domain.case import Ticket, TicketState
from amends.domain.effects import Step
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.sla import ClockKind, SlaClock

_AFTER_SOLVING = (Step.SURVEY, Step.CONCLUDE, Step.REWARD, Step.CLOSE)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an open case stands. Items are (step, ordinal); times are aware UTC."""

    outcome: CaseOutcome | None
    ticket: Ticket | None
    clocks: Mapping[ClockKind, SlaClock]
    """Of the ticket's present cycle."""
    planned: Collection[tuple[Step, int]]
    """Items still to be done."""
    over: Collection[tuple[Step, int]]
    struck_off: Collection[tuple[Step, int]]
    """Items that are neither to be done nor over: somebody has lost their due time."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An item that must be on the agenda and is not."""

    step: Step
    ordinal: int
    due_at: datetime


def missing_clocks(standing: Standing) -> bool:
    """Whether an unsolved ticket lacks a clock of its present cycle."""
    ticket = standing.ticket
    return (
        ticket is not None
        and ticket.state is not TicketState.SOLVED
        and len(standing.clocks) < len(ClockKind)
    )


def lost_items(standing: Standing, journey: ComplaintJourney, now: datetime) -> list[Lost]:
    """Every item that has fallen off, with the time it is due. Doing a step again sends nothing twice."""
    found = {(lost.step, lost.ordinal): lost for lost in _lost(standing, journey, now)}
    return list(found.values())


def _lost(standing: Standing, journey: ComplaintJourney, now: datetime) -> Iterator[Lost]:
    known = {*standing.planned, *standing.over, *standing.struck_off}
    for step, ordinal in standing.struck_off:
        yield Lost(step, ordinal, now)
    if (Step.ACKNOWLEDGE, 0) not in known:
        yield Lost(Step.ACKNOWLEDGE, 0, now)
    ticket = standing.ticket
    if ticket is None:
        if (Step.OPEN_TICKET, 0) not in standing.planned:
            yield Lost(Step.OPEN_TICKET, 0, now)
    elif ticket.state is not TicketState.SOLVED:
        if (Step.NOTIFY_AGENT, ticket.cycle) not in known:
            yield Lost(Step.NOTIFY_AGENT, ticket.cycle, now)
        for number, kind in enumerate(ClockKind):
            item = Step.WATCH_SLA, ticket.cycle * len(ClockKind) + number
            if (clock := standing.clocks.get(kind)) is not None and item not in known:
                yield Lost(*item, clock.warn_at)
    elif not any(step in _AFTER_SOLVING for step, _ in (*standing.planned, *standing.struck_off)):
        yield _next_of_solved(standing, ticket, journey, now)


def _next_of_solved(standing: Standing, ticket: Ticket, journey: ComplaintJourney, now: datetime) -> Lost:
    cycle = ticket.cycle
    if standing.outcome is None:
        if (Step.SURVEY, cycle) in standing.over:
            return Lost(Step.CONCLUDE, cycle, now)
        return Lost(
            Step.SURVEY, cycle, (ticket.solved_at or now) + timedelta(hours=journey.survey.delay_hours)
        )
    earns = journey.reward.enabled and standing.outcome in journey.reward.outcomes
    if earns and (Step.REWARD, cycle) not in standing.over:
        return Lost(Step.REWARD, cycle, now)
    return Lost(Step.CLOSE, cycle, now)
