"""SLA clocks: deadlines and ladders by hand, late sweeps, and the laws that keep escalations single."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.business_time import BusinessCalendar, always_open
from amends.domain.sla import (
    MAX_RUNGS,
    ClockKind,
    ClockTarget,
    SlaClock,
    SlaEvent,
    SlaState,
    due_events,
    events_of,
    from_ordinal,
    next_event_at,
    ordinal_of,
    start_clock,
    state_of,
)

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
MICROSECOND = timedelta(microseconds=1)
office = BusinessCalendar("Asia/Ho_Chi_Minh", dict.fromkeys(range(5), ((time(8, 30), time(17, 30)),)))


def vn(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


def friday_clock() -> SlaClock:
    """Two business hours from Friday 16:30: warns Friday 17:30 (half), due Monday 09:30."""
    start = vn("2026-03-06 16:30")
    return start_clock(ClockKind.FIRST_RESPONSE, 0, start, ClockTarget(120), 0.5, office)


LADDER = (0, 60, 480)  # Monday 09:30, Monday 10:30, Monday 17:30


# --- starting a clock --------------------------------------------------------------------------------


def test_a_business_clock_runs_over_the_weekend_without_counting_it() -> None:
    clock = friday_clock()
    assert clock.started_at == vn("2026-03-06 16:30")
    assert clock.warn_at == vn("2026-03-06 17:30")
    assert clock.due_at == vn("2026-03-09 09:30")
    assert {at.tzinfo for at in (clock.started_at, clock.warn_at, clock.due_at)} == {UTC}


def test_a_calendar_clock_runs_at_night() -> None:
    target = ClockTarget(24 * 60, business=False)
    clock = start_clock(ClockKind.RESOLUTION, 1, vn("2026-03-06 16:30"), target, 0.75, office)
    assert clock.warn_at == vn("2026-03-07 10:30")
    assert clock.due_at == vn("2026-03-07 16:30")
    assert clock.started_at.tzinfo is UTC


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, float("nan")])
def test_a_warning_share_must_lie_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="warning share must lie between 0 and 1"):
        start_clock(ClockKind.RESOLUTION, 0, vn("2026-03-06 16:30"), ClockTarget(60), share, office)


@pytest.mark.parametrize("minutes", [0, -5])
def test_a_target_needs_a_minute(minutes: int) -> None:
    with pytest.raises(ValueError, match="cannot be met: give 1 or more"):
        ClockTarget(minutes)


@pytest.mark.parametrize("business", [True, False])
def test_a_naive_start_is_refused(business: bool) -> None:
    naive = datetime(2026, 3, 6, 16, 30)  # noqa: DTZ001
    with pytest.raises(ValueError, match="has no time zone"):
        start_clock(ClockKind.RESOLUTION, 0, naive, ClockTarget(60, business), 0.5, office)


# --- states ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (vn("2026-03-06 16:30"), SlaState.ON_TRACK),
        (vn("2026-03-06 17:30") - MICROSECOND, SlaState.ON_TRACK),
        (vn("2026-03-06 17:30"), SlaState.AT_RISK),
        (vn("2026-03-09 09:30") - MICROSECOND, SlaState.AT_RISK),
        (vn("2026-03-09 09:30"), SlaState.BREACHED),
        (vn("2026-12-09 09:30"), SlaState.BREACHED),
    ],
)
def test_the_states_of_an_unmet_clock(now: datetime, state: SlaState) -> None:
    assert state_of(friday_clock(), now) is state


def test_met_in_time_is_met_and_met_late_is_breached_for_ever() -> None:
    due_at = friday_clock().due_at
    in_time = replace(friday_clock(), met_at=due_at - MICROSECOND)
    late = replace(friday_clock(), met_at=due_at)
    for days in (0, 1, 1000):
        assert state_of(in_time, due_at + timedelta(days=days)) is SlaState.MET
        assert state_of(late, due_at + timedelta(days=days)) is SlaState.BREACHED


def test_the_past_is_judged_without_knowing_the_future() -> None:
    met = replace(friday_clock(), met_at=vn("2026-03-09 09:00"))
    assert state_of(met, vn("2026-03-09 08:59")) is SlaState.AT_RISK
    assert state_of(met, vn("2026-03-09 09:00")) is SlaState.MET


# --- events ------------------------------------------------------------------------------------------


def test_the_warning_and_the_rungs_of_the_ladder() -> None:
    assert events_of(friday_clock(), LADDER, office) == (
        SlaEvent(0, vn("2026-03-06 17:30")),
        SlaEvent(1, vn("2026-03-09 09:30")),
        SlaEvent(2, vn("2026-03-09 10:30")),
        SlaEvent(3, vn("2026-03-09 17:30")),
    )
    assert events_of(friday_clock(), (), office) == (SlaEvent(0, vn("2026-03-06 17:30")),)


def test_rungs_of_a_clock_that_falls_due_at_night_climb_in_business_time() -> None:
    target = ClockTarget(12 * 60, business=False)
    clock = start_clock(ClockKind.RESOLUTION, 0, vn("2026-03-05 16:30"), target, 0.5, office)
    _, first, second = events_of(clock, (0, 30), office)
    assert (first.at, second.at) == (vn("2026-03-06 04:30"), vn("2026-03-06 09:00"))


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        (range(MAX_RUNGS + 1), "10 rungs is too long: use at most 9"),
        ((-1, 0), r"\[-1, 0\] must be 0 or more"),
        ((60, 0), r"\[60, 0\] must be 0 or more and must not fall"),
    ],
)
def test_ladders_that_make_no_sense_are_refused(ladder: Sequence[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        events_of(friday_clock(), ladder, office)


def due(clock: SlaClock, now: str, done: Sequence[int] = ()) -> list[int]:
    return [event.level for event in due_events(events_of(clock, LADDER, office), clock, vn(now), done)]


def test_events_come_due_one_by_one() -> None:
    clock = friday_clock()
    assert due(clock, "2026-03-06 17:29") == []
    assert due(clock, "2026-03-06 17:30") == [0]
    assert due(clock, "2026-03-06 17:30", done=[0]) == []
    assert due(clock, "2026-03-09 09:30", done=[0]) == [1]
    assert due(clock, "2026-03-09 10:30", done=[0, 1]) == [2]
    assert due(clock, "2026-03-09 17:30", done=[0, 1, 2]) == [3]
    assert due(clock, "2027-03-09 17:30", done=[0, 1, 2, 3]) == []


def test_a_late_sweep_raises_every_rung_but_no_pointless_warning() -> None:
    assert due(friday_clock(), "2026-03-09 09:29") == [0]
    assert due(friday_clock(), "2026-03-09 09:30") == [1]
    assert due(friday_clock(), "2026-03-12 08:00") == [1, 2, 3]
    assert due(friday_clock(), "2026-03-12 08:00", done=[2]) == [1, 3]


def test_a_clock_met_in_time_raises_nothing() -> None:
    met = replace(friday_clock(), met_at=vn("2026-03-09 09:00"))
    assert due(met, "2026-03-09 09:15") == []  # the warning was never sent, and is pointless now
    assert due(met, "2026-03-12 08:00") == []


def test_a_breach_before_the_answer_is_still_raised_by_a_late_sweep() -> None:
    met_late = replace(friday_clock(), met_at=vn("2026-03-09 11:00"))
    assert due(met_late, "2026-03-12 08:00") == [1, 2]
    assert due(met_late, "2026-03-12 08:00", done=[1]) == [2]
    met_at_due = replace(friday_clock(), met_at=vn("2026-03-09 09:30"))
    assert due(met_at_due, "2026-03-12 08:00") == [1]


def next_at(clock: SlaClock, now: str, done: Sequence[int] = ()) -> datetime | None:
    return next_event_at(events_of(clock, LADDER, office), clock, vn(now), done)


def test_when_to_look_again() -> None:
    clock = friday_clock()
    assert next_at(clock, "2026-03-06 16:30") == vn("2026-03-06 17:30")
    assert next_at(clock, "2026-03-06 18:00") == vn("2026-03-06 17:30")  # overdue
    assert next_at(clock, "2026-03-06 18:00", done=[0]) == vn("2026-03-09 09:30")
    assert next_at(clock, "2026-03-09 10:00") == vn("2026-03-09 09:30")
    assert next_at(clock, "2026-03-09 10:00", done=[1]) == vn("2026-03-09 10:30")  # never back to the warning
    assert next_at(clock, "2026-03-09 10:00", done=[0, 1, 2, 3]) is None
    met_late = replace(clock, met_at=vn("2026-03-09 11:00"))
    assert next_at(met_late, "2026-03-12 08:00", done=[1]) == vn("2026-03-09 10:30")
    assert next_at(met_late, "2026-03-12 08:00", done=[1, 2]) is None
    assert next_at(replace(clock, met_at=vn("2026-03-06 17:00")), "2026-03-06 17:00") is None


# --- laws --------------------------------------------------------------------------------------------

START = datetime(2026, 3, 6, 9, 30, tzinfo=UTC)
moments = st.integers(0, 14 * 24 * 12).map(lambda fives: START + timedelta(minutes=5 * fives))
ladders = st.lists(st.integers(0, 96).map(lambda fives: fives * 5), max_size=MAX_RUNGS).map(sorted)


@st.composite
def any_clock(draw: st.DrawFn) -> SlaClock:
    target = ClockTarget(draw(st.integers(1, 200)) * 5, draw(st.booleans()))
    share = draw(st.sampled_from([0.1, 0.5, 0.75, 0.9]))
    calendar = draw(st.sampled_from([office, always_open("Asia/Ho_Chi_Minh")]))
    clock = start_clock(ClockKind.RESOLUTION, 0, START, target, share, calendar)
    return replace(clock, met_at=draw(st.none() | moments))


clocks = any_clock()


@given(clocks, ladders, st.lists(moments, max_size=12).map(sorted))
def test_no_level_is_ever_due_twice(clock: SlaClock, ladder: list[int], sweeps: list[datetime]) -> None:
    events = events_of(clock, ladder, office)
    raised: list[int] = []
    for now in sweeps:
        raised += [event.level for event in due_events(events, clock, now, raised)]
    assert len(raised) == len(set(raised))


@given(clocks, ladders, st.lists(moments, max_size=12).map(sorted))
def test_late_and_frequent_sweeps_raise_the_same_escalations(
    clock: SlaClock, ladder: list[int], sweeps: list[datetime]
) -> None:
    events = events_of(clock, ladder, office)
    end = START + timedelta(days=60)
    raised: set[int] = set()
    for now in [*sweeps, end]:
        raised |= {event.level for event in due_events(events, clock, now, raised)}
    assert raised - {0} == {event.level for event in due_events(events, clock, end, ())}
    if clock.met_at is None:
        assert raised - {0} == set(range(1, len(ladder) + 1))


@given(clocks, ladders, moments)
def test_a_breach_and_its_escalation_never_disagree(
    clock: SlaClock, ladder: list[int], now: datetime
) -> None:
    events = events_of(clock, [0, *ladder][:MAX_RUNGS], office)
    levels = {event.level for event in due_events(events, clock, now, ())}
    state = state_of(clock, now)
    assert (1 in levels) == (state is SlaState.BREACHED)
    assert (0 in levels) == (state is SlaState.AT_RISK)


@given(clocks, moments, moments)
def test_a_breach_is_for_ever(clock: SlaClock, one: datetime, other: datetime) -> None:
    before, after = sorted((one, other))
    if state_of(clock, before) is SlaState.BREACHED:
        assert state_of(clock, after) is SlaState.BREACHED


@given(clocks, ladders)
def test_following_next_event_at_meets_every_event_on_time(clock: SlaClock, ladder: list[int]) -> None:
    """A sweep that always sleeps until `next_event_at` finds something to do each time it wakes."""
    events = events_of(clock, ladder, office)
    now, done = START, set[int]()
    while (at := next_event_at(events, clock, now, done)) is not None:
        now = max(now, at)
        found = due_events(events, clock, now, done)
        assert found
        assert all(event.at == now for event in found)
        done |= {event.level for event in found}
    met_at = clock.met_at or START + timedelta(days=365)
    assert done == {event.level for event in events if event.at < met_at + MICROSECOND * (event.level > 0)}


@given(clocks, ladders, moments, st.sets(st.integers(0, MAX_RUNGS)))
def test_nothing_is_due_exactly_when_the_next_event_lies_ahead(
    clock: SlaClock, ladder: list[int], now: datetime, done: set[int]
) -> None:
    events = events_of(clock, ladder, office)
    at = next_event_at(events, clock, now, done)
    assert bool(due_events(events, clock, now, done)) == (at is not None and at <= now)


# --- ordinals ----------------------------------------------------------------------------------------


def test_ordinals_by_hand() -> None:
    """Stored in the effect ledger: these numbers must never change."""
    assert ordinal_of(ClockKind.FIRST_RESPONSE, 0, 0) == 0
    assert ordinal_of(ClockKind.FIRST_RESPONSE, 0, 9) == 9
    assert ordinal_of(ClockKind.RESOLUTION, 0, 0) == 10
    assert ordinal_of(ClockKind.FIRST_RESPONSE, 1, 3) == 23
    assert ordinal_of(ClockKind.RESOLUTION, 7, 2) == 152


@given(st.sampled_from(ClockKind), st.integers(0, 10**6), st.integers(0, MAX_RUNGS))
def test_an_ordinal_gives_its_parts_back(kind: ClockKind, cycle: int, level: int) -> None:
    assert from_ordinal(ordinal_of(kind, cycle, level)) == (kind, cycle, level)


@given(st.integers(0, 10**9))
def test_every_number_is_an_ordinal(ordinal: int) -> None:
    assert ordinal_of(*from_ordinal(ordinal)) == ordinal


@pytest.mark.parametrize(("cycle", "level"), [(-1, 0), (0, -1), (0, MAX_RUNGS + 1)])
def test_parts_out_of_range_are_refused(cycle: int, level: int) -> None:
    with pytest.raises(ValueError, match="no SLA ordinal for cycle"):
        ordinal_of(ClockKind.RESOLUTION, cycle, level)


def test_negative_ordinals_are_refused() -> None:
    with pytest.raises(ValueError, match="SLA ordinals start at 0, not -1"):
        from_ordinal(-1)
