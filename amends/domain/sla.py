"""SLA clocks: how long a ticket may wait, when to warn, and when to climb the escalation ladder.

A clock runs from `started_at` up to, not including, `due_at`: at the due instant an unmet clock is breached,
and a clock met at that very instant was met late. So the state and an escalation at `due_at` never disagree.

Everything here is a pure function of the clock, the calendar and `now`; which levels have been raised already
is remembered by the caller.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from amends.domain.business_time import BusinessCalendar

MAX_RUNGS = 9
"""Rungs of an escalation ladder; with the warning as level 0, levels fit one decimal digit of the ordinal."""


class ClockKind(StrEnum):
    """What the customer is waiting for. The order is part of stored ordinals: only ever append."""

    FIRST_RESPONSE = "first_response"
    RESOLUTION = "resolution"


class SlaState(StrEnum):
    """Where a clock stands."""

    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    """The warning share of the target is used up."""
    BREACHED = "breached"
    """Not met before `due_at`. A clock met late stays breached for ever."""
    PAUSED = "paused"
    """Waiting for the customer. Not returned yet: pausing comes with SLA clocks as event streams."""
    MET = "met"
    """Met in time."""


@dataclass(frozen=True, slots=True)
class ClockTarget:
    """How long a clock may run: business minutes, or calendar minutes when `business` is False.

    Raises ValueError for less than one minute.
    """

    minutes: int
    business: bool = True

    def __post_init__(self) -> None:
        if self.minutes < 1:
            raise ValueError(f"an SLA target of {self.minutes} minutes cannot be met: give 1 or more")


@dataclass(frozen=True, slots=True)
class SlaClock:
    """One running or finished clock of a ticket; all times aware UTC.

    `cycle` counts from 0 and rises when the ticket is reopened and the clock starts anew. `met_at` is when
    the response or resolution came, None while awaited.
    """

    kind: ClockKind
    cycle: int
    started_at: datetime
    warn_at: datetime
    due_at: datetime
    met_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SlaEvent:
    """Something to raise at `at` (aware UTC): level 0 is the warning, 1 to 9 the rungs of the ladder."""

    level: int
    at: datetime


def start_clock(
    kind: ClockKind,
    cycle: int,
    started_at: datetime,
    target: ClockTarget,
    warn_share: float,
    calendar: BusinessCalendar,
) -> SlaClock:
    """A clock started at `started_at` that warns after `warn_share` of its target (0.75: three quarters).

    Raises ValueError unless 0 < `warn_share` < 1, for a naive `started_at`, and where the calendar does.
    """
    if not 0 < warn_share < 1:
        raise ValueError(f"the warning share must lie between 0 and 1, not {warn_share:g}: use 0.75, say")
    if started_at.tzinfo is None:
        raise ValueError(f"{started_at.isoformat()} has no time zone: pass aware datetimes, best in UTC")
    started_at = started_at.astimezone(UTC)
    early = target.minutes * warn_share
    if target.business:
        warn_at = calendar.add_minutes(started_at, early)
        due_at = calendar.add_minutes(started_at, target.minutes)
    else:
        warn_at = started_at + timedelta(minutes=early)
        due_at = started_at + timedelta(minutes=target.minutes)
    return SlaClock(kind, cycle, started_at, warn_at, due_at)


def state_of(clock: SlaClock, now: datetime) -> SlaState:
    """The state at `now`; a `met_at` later than `now` has not happened yet, so the past can be replayed."""
    if clock.met_at is not None and clock.met_at <= now:
        return SlaState.MET if clock.met_at < clock.due_at else SlaState.BREACHED
    if now >= clock.due_at:
        return SlaState.BREACHED
    return SlaState.AT_RISK if now >= clock.warn_at else SlaState.ON_TRACK


def events_of(clock: SlaClock, ladder: Sequence[int], calendar: BusinessCalendar) -> tuple[SlaEvent, ...]:
    """The warning and one event per rung, in order of level.

    `ladder` holds business minutes after `due_at`, usually beginning with 0; an empty one never escalates.
    Raises ValueError for more than MAX_RUNGS rungs, negative minutes, or a rung before the one below it.
    """
    if len(ladder) > MAX_RUNGS:
        raise ValueError(f"an escalation ladder of {len(ladder)} rungs is too long: use at most {MAX_RUNGS}")
    if any(minutes < 0 for minutes in ladder) or any(upper < lower for lower, upper in pairwise(ladder)):
        raise ValueError(f"escalation minutes {list(ladder)} must be 0 or more and must not fall: sort them")
    rungs = (
        SlaEvent(level, calendar.add_minutes(clock.due_at, m)) for level, m in enumerate(ladder, start=1)
    )
    return (SlaEvent(0, clock.warn_at), *rungs)


def due_events(
    events: Sequence[SlaEvent], clock: SlaClock, now: datetime, done: Collection[int]
) -> tuple[SlaEvent, ...]:
    """The events to raise now, in the order given; `done` holds the levels raised before.

    A sweep may come late, and then:

    - an escalation that fell due before the clock was met is still raised: an outage must not hide a breach,
      and each rung tells somebody else, so none is skipped for a higher one;
    - one that would have fallen due after the clock was met is never raised;
    - a warning is dropped once the clock is met or breached: there is nothing left to save by it.
    """
    return tuple(event for event in _wanted(events, clock, now, done) if event.at <= now)


def next_event_at(
    events: Sequence[SlaEvent], clock: SlaClock, now: datetime, done: Collection[int]
) -> datetime | None:
    """When to look at this clock again: the earliest event not yet raised, None when none is left.

    At or before `now` when `due_events` has something to raise already.
    """
    return min((event.at for event in _wanted(events, clock, now, done)), default=None)


def _wanted(
    events: Sequence[SlaEvent], clock: SlaClock, now: datetime, done: Collection[int]
) -> Iterator[SlaEvent]:
    met_at = clock.met_at
    for event in events:
        if event.level in done:
            continue
        if event.level == 0:
            if now < clock.due_at and (met_at is None or max(now, event.at) < met_at):
                yield event
        elif met_at is None or event.at <= met_at:
            yield event


_KINDS = tuple(ClockKind)
_LEVELS = MAX_RUNGS + 1


def ordinal_of(kind: ClockKind, cycle: int, level: int) -> int:
    """One number for (kind, cycle, level), the `ordinal` of the effect that raises the event.

    Raises ValueError for a negative cycle or a level outside 0..9.
    """
    if cycle < 0 or not 0 <= level < _LEVELS:
        raise ValueError(
            f"no SLA ordinal for cycle {cycle}, level {level}: cycles from 0, levels 0 to {MAX_RUNGS}"
        )
    return (cycle * len(_KINDS) + _KINDS.index(kind)) * _LEVELS + level


def from_ordinal(ordinal: int) -> tuple[ClockKind, int, int]:
    """The (kind, cycle, level) of an ordinal; the inverse of `ordinal_of`. Raises ValueError if negative."""
    if ordinal < 0:
        raise ValueError(f"SLA ordinals start at 0, not {ordinal}")
    clock, level = divmod(ordinal, _LEVELS)
    cycle, kind = divmod(clock, len(_KINDS))
    return _KINDS[kind], cycle, level
