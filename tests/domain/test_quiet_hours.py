"""Quiet hours: over midnight, within a day, none, and at clock changes."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.quiet_hours import QuietHours

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
over_midnight = QuietHours(time(21), time(8), "Asia/Ho_Chi_Minh")
siesta = QuietHours(time(12), time(13, 30), "Asia/Ho_Chi_Minh")


def vn(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


@pytest.mark.parametrize(
    ("hours", "at", "allowed"),
    [
        (over_midnight, "2026-03-06 20:59:59", "2026-03-06 20:59:59"),
        (over_midnight, "2026-03-06 21:00", "2026-03-07 08:00"),
        (over_midnight, "2026-03-07 00:00", "2026-03-07 08:00"),
        (over_midnight, "2026-03-07 07:59:59", "2026-03-07 08:00"),
        (over_midnight, "2026-03-07 08:00", "2026-03-07 08:00"),
        (over_midnight, "2026-02-16 23:00", "2026-02-17 08:00"),  # Tet changes nothing
        (siesta, "2026-03-06 11:59", "2026-03-06 11:59"),
        (siesta, "2026-03-06 12:00", "2026-03-06 13:30"),
        (siesta, "2026-03-06 23:00", "2026-03-06 23:00"),
        (QuietHours(time(0), time(8), "Asia/Ho_Chi_Minh"), "2026-03-06 00:00", "2026-03-06 08:00"),
        (QuietHours(time(21), time(0), "Asia/Ho_Chi_Minh"), "2026-03-06 23:00", "2026-03-07 00:00"),
        (QuietHours(time(8), time(8), "Asia/Ho_Chi_Minh"), "2026-03-06 08:00", "2026-03-06 08:00"),
        (QuietHours(time(0), time(0), "Asia/Ho_Chi_Minh"), "2026-03-06 00:00", "2026-03-06 00:00"),
    ],
)
def test_by_hand(hours: QuietHours, at: str, allowed: str) -> None:
    assert hours.next_allowed(vn(at)) == vn(allowed)
    assert hours.next_allowed(vn(at)).tzinfo is UTC
    assert hours.is_quiet(vn(at)) == (at != allowed)


def test_the_zone_of_the_question_does_not_matter() -> None:
    half_past_ten_at_night = datetime(2026, 3, 6, 15, 30, tzinfo=UTC)
    assert over_midnight.is_quiet(half_past_ten_at_night)
    assert over_midnight.next_allowed(half_past_ten_at_night) == datetime(2026, 3, 7, 1, 0, tzinfo=UTC)


def test_quiet_hours_that_end_in_the_skipped_hour_end_when_the_clocks_jump() -> None:
    hours = QuietHours(time(22), time(2, 30), "Europe/Berlin")
    jump = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert hours.next_allowed(jump - timedelta(hours=2)) == jump


def test_a_repeated_hour_can_be_quiet_twice() -> None:
    hours = QuietHours(time(22), time(2, 30), "Europe/Berlin")
    first_end = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert hours.next_allowed(first_end - timedelta(hours=2)) == first_end
    assert hours.is_quiet(first_end + timedelta(minutes=30))
    assert hours.next_allowed(first_end + timedelta(minutes=30)) == first_end + timedelta(hours=1)


def test_naive_times_and_unknown_zones_are_refused() -> None:
    naive = datetime(2026, 3, 6, 22, 0)  # noqa: DTZ001
    with pytest.raises(ValueError, match="has no time zone"):
        over_midnight.is_quiet(naive)
    with pytest.raises(ValueError, match="has no time zone"):
        over_midnight.next_allowed(naive)
    with pytest.raises(ValueError, match="unknown time zone 'Mars'"):
        QuietHours(time(21), time(8), "Mars")


def test_equal_settings_are_equal() -> None:
    assert QuietHours(time(21), time(8), "Asia/Ho_Chi_Minh") == over_midnight
    assert hash(QuietHours(time(21), time(8), "Asia/Ho_Chi_Minh")) == hash(over_midnight)
    assert siesta != over_midnight


wall_times = st.integers(0, 24 * 4 - 1).map(lambda quarters: time(quarters // 4, quarters % 4 * 15))
zones = st.sampled_from(["Asia/Ho_Chi_Minh", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"])
# Days with a clock change in one of the zones, and their neighbours.
changes = st.sampled_from(
    ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]
)
instants = st.builds(
    lambda day, minutes: datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes),
    changes,
    st.integers(-24 * 60, 48 * 60),
)


def quiet_by_the_wall_clock(hours: QuietHours, at: datetime) -> bool:
    clock = at.astimezone(ZoneInfo(hours.zone)).time()
    if hours.start <= hours.end:
        return hours.start <= clock < hours.end
    return clock >= hours.start or clock < hours.end


@given(st.builds(QuietHours, wall_times, wall_times, zones), instants)
def test_the_next_allowed_minute_is_the_first_that_is_not_quiet(hours: QuietHours, at: datetime) -> None:
    assert hours.is_quiet(at) == quiet_by_the_wall_clock(hours, at)
    expected = at
    while quiet_by_the_wall_clock(hours, expected):
        expected += timedelta(minutes=1)
    assert hours.next_allowed(at) == expected
    assert not hours.is_quiet(hours.next_allowed(at))
