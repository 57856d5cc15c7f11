"""Business time: examples computed by hand, and laws checked against counting the minutes one by one."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amends.domain.business_time import BusinessCalendar, always_open
from amends.domain.opening_periods import Periods

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
MICROSECOND = timedelta(microseconds=1)
OFFICE: Periods = ((time(8, 30), time(17, 30)),)
WITH_LUNCH: Periods = ((time(8, 30), time(12)), (time(13), time(17, 30)))
NIGHT: Periods = ((time(0), time(6)), (time(22), time(0)))


def monday_to_friday(periods: Periods) -> dict[int, Periods]:
    return dict.fromkeys(range(5), periods)


def every_day(periods: Periods) -> dict[int, Periods]:
    return dict.fromkeys(range(7), periods)


office = BusinessCalendar("Asia/Ho_Chi_Minh", monday_to_friday(OFFICE))
lunch = BusinessCalendar("Asia/Ho_Chi_Minh", monday_to_friday(WITH_LUNCH))
night = BusinessCalendar("Asia/Ho_Chi_Minh", every_day(NIGHT), country=None)


def vn(text: str) -> datetime:
    """A wall time in Vietnam, e.g. `2026-03-06 16:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


# --- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calendar", "start", "minutes", "deadline"),
    [
        pytest.param(office, "2026-03-06 16:30", 60, "2026-03-06 17:30", id="friday-up-to-closing-time"),
        pytest.param(office, "2026-03-06 16:30", 61, "2026-03-09 08:31", id="one-minute-more-is-monday"),
        pytest.param(office, "2026-03-07 12:00", 30, "2026-03-09 09:00", id="came-in-on-saturday"),
        pytest.param(office, "2026-03-06 17:30", 1, "2026-03-09 08:31", id="came-in-at-closing-time"),
        pytest.param(office, "2026-03-02 08:30", 45 * 60, "2026-03-06 17:30", id="a-whole-week"),
        pytest.param(lunch, "2026-03-06 11:45", 30, "2026-03-06 13:15", id="over-lunch"),
        pytest.param(lunch, "2026-03-06 12:20", 30, "2026-03-06 13:30", id="came-in-at-lunch"),
        pytest.param(lunch, "2026-03-06 11:30", 30, "2026-03-06 12:00", id="up-to-lunch"),
        # Tet 2026: new year's day is 17 February, days off Monday 16 to Friday 20.
        pytest.param(office, "2026-02-13 17:00", 60, "2026-02-23 09:00", id="over-tet-2026"),
        # Tet 2027: new year's day is Saturday 6 February, days off Thursday 4 to Wednesday 10.
        pytest.param(office, "2027-02-03 17:00", 60, "2027-02-11 09:00", id="over-tet-2027"),
        # National Day 2026: 1 and 2 September, with Monday 31 August as bridge day.
        pytest.param(office, "2026-08-28 17:00", 60, "2026-09-03 09:00", id="over-national-day-2026"),
        # National Day 2027: Thursday 2 and Friday 3 September.
        pytest.param(office, "2027-09-01 17:00", 60, "2027-09-06 09:00", id="over-national-day-2027"),
        pytest.param(office, "2026-12-31 17:00", 60, "2027-01-04 09:00", id="over-new-year"),
        pytest.param(night, "2026-03-06 23:30", 60, "2026-03-07 00:30", id="shift-over-midnight"),
        pytest.param(night, "2026-03-06 05:30", 60, "2026-03-06 22:30", id="between-two-shifts"),
        pytest.param(night, "2026-12-31 23:00", 480, "2027-01-01 23:00", id="shifts-over-new-year"),
    ],
)
def test_deadlines_computed_by_hand(
    calendar: BusinessCalendar, start: str, minutes: int, deadline: str
) -> None:
    got = calendar.add_minutes(vn(start), minutes)
    assert got == vn(deadline)
    assert got.tzinfo is UTC
    assert calendar.minutes_between(vn(start), vn(deadline)) == minutes
    assert calendar.minutes_between(vn(deadline), vn(start)) == -minutes


def test_zero_minutes_are_due_at_once_even_when_closed() -> None:
    sunday = vn("2026-03-08 03:00")
    assert office.add_minutes(sunday, 0) == sunday
    assert office.add_minutes(sunday, 0).tzinfo is UTC


def test_open_from_the_opening_instant_up_to_but_not_including_the_closing_instant() -> None:
    assert not office.is_open(vn("2026-03-06 08:30") - MICROSECOND)
    assert office.is_open(vn("2026-03-06 08:30"))
    assert office.is_open(vn("2026-03-06 17:30") - MICROSECOND)
    assert not office.is_open(vn("2026-03-06 17:30"))


def test_next_open() -> None:
    assert office.next_open(vn("2026-03-06 10:00")) == vn("2026-03-06 10:00")
    assert office.next_open(vn("2026-03-06 17:30")) == vn("2026-03-09 08:30")
    assert lunch.next_open(vn("2026-03-06 12:00")) == vn("2026-03-06 13:00")
    assert office.next_open(vn("2026-02-14 10:00")) == vn("2026-02-23 08:30")
    assert office.next_open(vn("2026-03-06 10:00")).tzinfo is UTC


def test_a_saturday_worked_for_the_bridge_day_and_a_day_closed_by_the_brand() -> None:
    calendar = BusinessCalendar(
        "Asia/Ho_Chi_Minh",
        monday_to_friday(OFFICE),
        closed_days=frozenset({date(2026, 8, 24)}),
        open_days={date(2026, 8, 22): ((time(9), time(10)),), date(2026, 9, 2): ((time(9), time(10)),)},
    )
    assert office.add_minutes(vn("2026-08-21 17:00"), 60) == vn("2026-08-24 09:00")
    assert calendar.add_minutes(vn("2026-08-21 17:00"), 60) == vn("2026-08-22 09:30")
    assert calendar.add_minutes(vn("2026-08-21 17:00"), 120) == vn("2026-08-25 09:00")
    assert calendar.is_open(vn("2026-09-02 09:30"))  # own hours win over National Day
    assert not calendar.is_open(vn("2026-09-02 10:30"))


def test_without_a_country_tet_is_a_working_day() -> None:
    calendar = BusinessCalendar("Asia/Ho_Chi_Minh", monday_to_friday(OFFICE), country=None)
    assert calendar.is_open(vn("2026-02-17 10:00"))
    assert not office.is_open(vn("2026-02-17 10:00"))


def test_always_open_counts_every_minute() -> None:
    calendar = always_open("Asia/Ho_Chi_Minh")
    assert calendar.is_open(vn("2026-02-17 00:00"))
    assert calendar.add_minutes(vn("2026-12-30 12:00"), 3 * 24 * 60) == vn("2027-01-02 12:00")
    assert calendar.add_minutes(vn("2026-12-30 12:00"), 0.5) == vn("2026-12-30 12:00:30")


# --- daylight saving ------------------------------------------------------------------------------


def test_a_skipped_hour_is_not_worked_and_a_repeated_one_is_worked_twice() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    calendar = BusinessCalendar("Europe/Berlin", {6: ((time(0), time(6)),)}, country=None)

    def worked(day: date) -> float:
        start = datetime.combine(day, time(0), berlin)
        return calendar.minutes_between(start, start + timedelta(days=1))

    assert worked(date(2026, 3, 22)) == 6 * 60
    assert worked(date(2026, 3, 29)) == 5 * 60
    assert worked(date(2026, 10, 25)) == 7 * 60


def test_office_hours_keep_their_wall_time_over_a_clock_change() -> None:
    calendar = BusinessCalendar("Europe/Berlin", monday_to_friday(OFFICE), country="DE")
    friday = datetime(2026, 3, 27, 16, 0, tzinfo=UTC)  # 17:00 in winter time
    assert calendar.add_minutes(friday, 60) == datetime(2026, 3, 30, 7, 0, tzinfo=UTC)  # 09:00 summer time


def test_an_opening_inside_the_skipped_hour_is_the_instant_the_clocks_jump() -> None:
    calendar = BusinessCalendar("America/New_York", {6: ((time(2, 30), time(5)),)}, country=None)
    jump = datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    assert calendar.next_open(jump - timedelta(hours=3)) == jump
    assert calendar.add_minutes(jump - timedelta(hours=3), 120) == jump + timedelta(hours=2)


# --- laws -----------------------------------------------------------------------------------------

# One without daylight saving, a usual one, one that changes by half an hour, one that changes at midnight.
ZONES = ["Asia/Ho_Chi_Minh", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"]
wall_times = st.integers(0, 24 * 12 - 1).map(lambda fives: time(fives // 12, fives % 12 * 5))


@st.composite
def day_periods(draw: st.DrawFn) -> Periods:
    times = sorted(draw(st.lists(wall_times, max_size=6, unique=True)))
    if len(times) % 2:
        times.append(time(0))  # open to the end of the day
    return tuple(zip(times[::2], times[1::2], strict=True))


# Around Tet, around the clock changes of the zones above, and around New Year.
days = st.sampled_from(["02-13", "03-06", "03-27", "04-03", "10-02", "10-23", "10-30", "12-30"]).flatmap(
    lambda day: st.integers(0, 4).map(lambda more: date.fromisoformat(f"2026-{day}") + timedelta(days=more))
)
instants = st.builds(
    lambda day, minutes: datetime.combine(day, time(0), UTC) + timedelta(minutes=minutes),
    days,
    st.integers(0, 24 * 60 - 1),
)
# Twice the longest must fit into 20 years of five minutes a week.
targets = st.one_of(st.integers(0, 600), st.integers(0, 2000))


@st.composite
def calendars(draw: st.DrawFn) -> BusinessCalendar:
    weekly = draw(st.dictionaries(st.integers(0, 6), day_periods(), min_size=1))
    if not any(weekly.values()):
        weekly[draw(st.integers(0, 6))] = OFFICE
    closed = draw(st.frozensets(days, max_size=3))
    opened = draw(st.dictionaries(days, day_periods().filter(bool), max_size=3))
    return BusinessCalendar(
        draw(st.sampled_from(ZONES)),
        weekly,
        draw(st.sampled_from(["VN", "DE", None])),
        closed,
        {day: periods for day, periods in opened.items() if day not in closed},
    )


def counted_open(calendar: BusinessCalendar, at: datetime) -> bool:
    """The definition, word for word: does the wall clock show a time within a period of its day?"""
    wall = at.astimezone(ZoneInfo(calendar.zone))
    if wall.date() in calendar.open_days:
        periods = calendar.open_days[wall.date()]
    elif wall.date() in calendar.closed_days or (calendar.country, wall.date()) in HOLIDAYS:
        return False
    else:
        periods = calendar.weekly.get(wall.weekday(), ())
    clock = wall.time()
    return any(opens <= clock and (clock < closes or closes == time(0)) for opens, closes in periods)


# Official public holidays in the days drawn above, written down by hand.
HOLIDAYS = {("VN", date(2026, 2, day)) for day in range(16, 21)}
HOLIDAYS |= {("VN", date(2027, 1, 1)), ("DE", date(2027, 1, 1))}
HOLIDAYS |= {("DE", date(2026, 4, 3)), ("DE", date(2026, 4, 6)), ("DE", date(2026, 10, 3))}


@given(calendars(), instants, st.integers(0, 900))
def test_equals_counting_minute_by_minute(calendar: BusinessCalendar, start: datetime, target: int) -> None:
    counted, at, opened = 0, start, None
    while counted < target and at < start + timedelta(days=3):
        if counted_open(calendar, at):
            opened = opened or at
            counted += 1
        at += timedelta(minutes=1)
    assert calendar.is_open(start) == counted_open(calendar, start)
    assert calendar.minutes_between(start, at) == counted
    if opened:
        assert calendar.next_open(start) == opened
    if counted == target:
        assert calendar.add_minutes(start, target) == at


@given(calendars(), instants, targets)
def test_the_minutes_added_are_the_minutes_between(
    calendar: BusinessCalendar, start: datetime, minutes: int
) -> None:
    deadline = calendar.add_minutes(start, minutes)
    assert calendar.minutes_between(start, deadline) == minutes
    assert calendar.minutes_between(deadline, start) == -minutes


@given(calendars(), instants, targets.filter(bool))
def test_a_deadline_ends_open_time(calendar: BusinessCalendar, start: datetime, minutes: int) -> None:
    """So it is the first instant that will do, within opening hours or at their very end."""
    deadline = calendar.add_minutes(start, minutes)
    assert calendar.is_open(deadline - MICROSECOND)
    assert calendar.minutes_between(start, deadline - MICROSECOND) < minutes


@given(calendars(), instants, targets, targets)
def test_adding_in_two_steps_equals_adding_once(
    calendar: BusinessCalendar, start: datetime, first: int, second: int
) -> None:
    in_two_steps = calendar.add_minutes(calendar.add_minutes(start, first), second)
    assert in_two_steps == calendar.add_minutes(start, first + second)


@given(calendars(), instants, instants, targets, targets)
def test_later_starts_and_longer_targets_never_end_earlier(
    calendar: BusinessCalendar, one: datetime, other: datetime, few: int, many: int
) -> None:
    few, many = sorted((few, many))
    early, late = sorted((one, other))
    assert early <= calendar.add_minutes(early, few) <= calendar.add_minutes(early, many)
    assert calendar.add_minutes(early, few) <= calendar.add_minutes(late, few)
    assert calendar.minutes_between(early, late) >= 0


@given(calendars(), instants)
def test_next_open_is_open_and_nothing_is_open_before_it(calendar: BusinessCalendar, at: datetime) -> None:
    opening = calendar.next_open(at)
    assert calendar.is_open(opening)
    assert calendar.minutes_between(at, opening) == 0
    assert (opening == at) == calendar.is_open(at)


@given(calendars(), instants, targets, st.lists(st.integers(2015, 2040), max_size=3))
@example(office, vn("2026-12-31 23:00"), 20_000, [2040, 2015])
def test_answers_do_not_depend_on_what_was_asked_before(
    calendar: BusinessCalendar, at: datetime, minutes: int, years: list[int]
) -> None:
    fresh = BusinessCalendar(
        calendar.zone, calendar.weekly, calendar.country, calendar.closed_days, calendar.open_days
    )
    for year in years:
        fresh.is_open(datetime(year, 6, 1, tzinfo=UTC))
    assert fresh.add_minutes(at, minutes) == calendar.add_minutes(at, minutes)
    assert fresh.next_open(at) == calendar.next_open(at)
    assert fresh == calendar
    assert hash(fresh) == hash(calendar)


def test_threads_may_share_a_calendar() -> None:
    starts = [datetime(year, 6, 1, tzinfo=UTC) for year in range(2010, 2040)]
    expected = [lunch.add_minutes(start, 5000) for start in starts]
    shared = BusinessCalendar("Asia/Ho_Chi_Minh", monday_to_friday(WITH_LUNCH))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda start: shared.add_minutes(start, 5000), starts)) == expected


def test_a_calendar_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(lunch))  # noqa: S301 - our own bytes
    assert copy == lunch
    assert copy.add_minutes(vn("2026-03-06 11:45"), 30) == vn("2026-03-06 13:15")


# --- refusals -------------------------------------------------------------------------------------


def hhmm(*texts: str) -> Periods:
    """`hhmm("08:30-12:00")`; 24:00 is written 00:00 here as in the calendar."""
    pairs = (text.split("-") for text in texts)
    return tuple((time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in pairs)


@pytest.mark.parametrize(
    ("weekly", "message"),
    [
        ({0: hhmm("08:30-12:00", "11:00-17:30")}, "Monday: 08:30-12:00 and 11:00-17:30 overlap; end the"),
        ({1: hhmm("13:00-00:00", "08:00-13:05")}, "Tuesday: 08:00-13:05 and 13:00-24:00 overlap"),
        ({2: hhmm("00:00-00:00", "08:00-09:00")}, "Wednesday: 00:00-24:00 and 08:00-09:00 overlap"),
        ({3: hhmm("08:00-09:00", "08:00-09:00")}, "Thursday: 08:00-09:00 and 08:00-09:00 overlap"),
        ({5: hhmm("22:00-06:00")}, "Saturday: 22:00-06:00 ends before it begins; split a shift over midnight "
         "into 22:00-24:00 and 00:00-06:00 of the next day"),
        ({6: hhmm("09:00-09:00")}, "Sunday: 09:00-09:00 is empty; set a later end"),
        ({4: ((time(8, tzinfo=UTC), time(9, tzinfo=UTC)),)}, "Friday: 08:00-09:00 has a time zone"),
        ({7: hhmm("08:00-09:00")}, "weekday 7 does not exist: use 0 for Monday"),
        ({}, "never opens: give at least one weekday"),
        ({0: (), 1: ()}, "never opens"),
    ],
)  # fmt: skip
def test_bad_hours_are_refused_with_day_problem_and_remedy(weekly: dict[int, Periods], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        BusinessCalendar("Asia/Ho_Chi_Minh", weekly)


def test_periods_that_touch_and_come_in_any_order_are_fine() -> None:
    calendar = BusinessCalendar("Asia/Ho_Chi_Minh", {4: hhmm("12:00-17:30", "08:30-12:00")})
    assert calendar.add_minutes(vn("2026-03-06 08:30"), 9 * 60) == vn("2026-03-06 17:30")


def test_contradictory_dates_are_refused() -> None:
    day = date(2026, 8, 22)
    with pytest.raises(ValueError, match="2026-08-22: both an open and a closed day"):
        BusinessCalendar(
            "Asia/Ho_Chi_Minh", {0: OFFICE}, closed_days=frozenset({day}), open_days={day: OFFICE}
        )
    with pytest.raises(ValueError, match="2026-08-22: listed as an open day without hours"):
        BusinessCalendar("Asia/Ho_Chi_Minh", {0: OFFICE}, open_days={day: ()})


def test_unknown_zone_and_country_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown time zone 'Asia/Saigonn'"):
        BusinessCalendar("Asia/Saigonn", {0: OFFICE})
    with pytest.raises(ValueError, match="unknown time zone ''"):
        BusinessCalendar("", {0: OFFICE})
    with pytest.raises(ValueError, match="no public holidays known for country 'XX'"):
        BusinessCalendar("Asia/Ho_Chi_Minh", {0: OFFICE}, country="XX")


def test_naive_times_are_refused() -> None:
    naive = datetime(2026, 3, 6, 16, 30)  # noqa: DTZ001
    for ask in (office.is_open, office.next_open, lambda at: office.add_minutes(at, 0)):
        with pytest.raises(ValueError, match="2026-03-06T16:30:00 has no time zone"):
            ask(naive)


@pytest.mark.parametrize("minutes", [-1, float("nan")])
def test_minutes_that_are_no_amount_are_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match="business minutes: give a number of 0 or more"):
        office.add_minutes(vn("2026-03-06 16:30"), minutes)


def test_a_calendar_that_stops_opening_raises_instead_of_searching_for_ever() -> None:
    last_day = BusinessCalendar("Asia/Ho_Chi_Minh", {}, open_days={date(2026, 3, 6): OFFICE})
    start = vn("2026-03-06 16:30")
    assert last_day.add_minutes(start, 60) == vn("2026-03-06 17:30")
    with pytest.raises(ValueError, match="no open time in the 400 days after 2026-03-06"):
        last_day.add_minutes(start, 61)
    with pytest.raises(ValueError, match="no open time in the 400 days after 2026-03-07"):
        last_day.next_open(vn("2026-03-07 08:00"))


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_gap_of_over_400_days_is_refused_whether_or_not_the_far_side_is_known(asked_before: bool) -> None:
    far = {date(2026, 3, 6): OFFICE, date(2028, 3, 6): OFFICE}
    calendar = BusinessCalendar("Asia/Ho_Chi_Minh", {}, open_days=far)
    if asked_before:
        assert calendar.minutes_between(vn("2026-01-01 00:00"), vn("2029-01-01 00:00")) == 2 * 9 * 60
    with pytest.raises(ValueError, match="no open time in the 400 days after 2026-03-06"):
        calendar.add_minutes(vn("2026-03-06 16:30"), 61)
    with pytest.raises(ValueError, match="no open time in the 400 days"):
        calendar.next_open(vn("2026-03-06 17:30"))
    assert calendar.next_open(vn("2027-02-06 00:00")) == vn("2028-03-06 08:30")  # 394 days


@pytest.mark.parametrize("minutes", [10**7, 10**15, float("inf")])
def test_an_absurdly_long_target_is_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match="the target reaches more than 7320 days beyond 2026-03-06"):
        office.add_minutes(vn("2026-03-06 16:30"), minutes)


def test_a_target_is_as_absurd_when_the_years_are_known_already() -> None:
    minutes = office.minutes_between(vn("2026-03-06 16:30"), vn("2046-03-26 17:00"))
    with pytest.raises(ValueError, match="the target reaches more than 7320 days beyond 2026-03-06"):
        office.add_minutes(vn("2026-03-06 16:30"), minutes)
