"""Dates in all the ways they come, and the errors they deserve."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.dates import parse_when

ZONE = "Asia/Ho_Chi_Minh"
NOW = datetime(2026, 11, 23, 3, 0, 15, 250_000, tzinfo=UTC)  # 10:00:15 in Vietnam


def when(value: object, *formats: str) -> str:
    return parse_when(value, now=NOW, zone=ZONE, formats=formats).strftime("%Y-%m-%d %H:%M:%S")


epochs = st.integers(int(datetime(1990, 1, 2, tzinfo=UTC).timestamp()), int(NOW.timestamp()))
moments = epochs.map(lambda epoch: datetime.fromtimestamp(epoch, ZoneInfo(ZONE)))


@given(moments, st.sampled_from(["%d-%m-%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y%m%dT%H%M%S%z"]))
def test_a_format_gives_back_what_it_wrote(moment: datetime, form: str) -> None:
    read = parse_when(moment.strftime(form), now=NOW, zone=ZONE, formats=[form])
    assert read == moment
    assert read.tzinfo is UTC


@given(moments, st.sampled_from(["/", "-", "."]), st.booleans())
def test_iso_and_day_first_need_no_format(moment: datetime, separator: str, padded: bool) -> None:
    clock = moment.strftime("%H:%M:%S")
    day = f"{moment.day:02}" if padded else str(moment.day)
    month = f"{moment.month:02}" if padded else str(moment.month)
    for text in (
        moment.isoformat(),
        moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        separator.join([str(moment.year), month, day]) + f" {clock}",
        separator.join([day, month, str(moment.year)]) + f" {clock}",
    ):
        assert parse_when(text, now=NOW, zone=ZONE) == moment, text


@given(
    st.datetimes(datetime(1990, 1, 3), datetime(2026, 11, 22)),  # noqa: DTZ001 - clocks on a wall
    st.sampled_from([ZONE, "America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "UTC"]),
)
def test_a_date_without_a_zone_is_what_the_clocks_of_the_zone_showed(wall: datetime, zone: str) -> None:
    """In the hour that a clock is set back it is the first of the two, as `datetime` has it."""
    read = parse_when(wall.isoformat(" "), now=NOW, zone=zone)
    assert read == wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert read.tzinfo is UTC


@given(moments)
def test_epochs_in_seconds_and_milliseconds_as_numbers_and_texts(moment: datetime) -> None:
    seconds = int(moment.timestamp())
    for value in (seconds, float(seconds), seconds * 1000, str(seconds), str(seconds * 1000)):
        assert parse_when(value, now=NOW, zone=ZONE) == moment


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2 tuần trước", "2026-11-09 03:00:15"),
        ("2 tuan truoc", "2026-11-09 03:00:15"),
        ("một tuần trước", "2026-11-16 03:00:15"),
        ("3 ngày trước", "2026-11-20 03:00:15"),
        ("2 hôm trước", "2026-11-21 03:00:15"),
        ("12 giờ trước", "2026-11-22 15:00:15"),
        ("1 tiếng trước", "2026-11-23 02:00:15"),
        ("5 phút trước", "2026-11-23 02:55:15"),
        ("1 tháng trước", "2026-10-23 03:00:15"),
        ("Hôm qua", "2026-11-22 03:00:15"),
        ("hôm kia", "2026-11-21 03:00:15"),
        ("vừa xong", "2026-11-23 03:00:15"),
        ("hôm qua lúc 10:30", "2026-11-22 03:30:00"),
        ("yesterday", "2026-11-22 03:00:15"),
        ("2 weeks ago", "2026-11-09 03:00:15"),
        ("ngày 5 tháng 3 năm 2026", "2026-03-04 17:00:00"),
        ("12 thg 5, 2026", "2026-05-11 17:00:00"),
        ("May 5 2026", "2026-05-04 17:00:00"),
        ("Mon, 11 May 2026 10:00:00 +0000", "2026-05-11 10:00:00"),
        ("20:15, 12/05/2026", "2026-05-12 13:15:00"),
        ("2026-05-12 9:30", "2026-05-12 02:30:00"),
        ("2026-05-12 09:30:00 UTC", "2026-05-12 09:30:00"),
        ("20260512", "2026-05-11 17:00:00"),
        ("20260512093000", "2026-05-12 02:30:00"),
        ("9/7/20", "2020-07-08 17:00:00"),
    ],
)
def test_words_and_odd_forms(text: str, utc: str) -> None:
    assert when(text) == utc


def test_a_date_and_time_object_is_taken_as_it_is() -> None:
    assert when(datetime(2026, 5, 12, 9, tzinfo=UTC)) == "2026-05-12 09:00:00"
    assert when(datetime(2026, 5, 12, 9)) == "2026-05-12 02:00:00"  # noqa: DTZ001 - the brand's zone is meant


def test_formats_come_first_and_the_rest_still_works() -> None:
    assert when("05/12/2020", "%m/%d/%Y") == "2020-05-11 17:00:00"
    assert when("05/12/2020", "%d/%m/%Y") == "2020-12-04 17:00:00"
    assert when("2 tuần trước", "%d/%m/%Y") == "2026-11-09 03:00:15"
    assert when("5.12.2020", "%Y", "%d.%m.%Y") == "2020-12-04 17:00:00"


def test_who_writes_months_first_is_never_read_day_first() -> None:
    with pytest.raises(ValueError, match="fits none of the date formats %m/%d/%Y: add"):
        when("05/12/2020 10:00", "%m/%d/%Y")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("31-02-2026 10:15:00", "no such date in day-month-year order: write"),
        ("05/13/2026", "no such date in day-month-year order: write"),
        ("2026-13-01", "no such date in year-month-day order: write"),
        ("20:15 05/13/2026", "do not make one date"),
        ("10 giờ 30 ngày 5/6/2026", "do not make one date"),
        ("giao chậm quá", "not a date we can read: write"),
        ("", "not a date we can read: write"),
        ("tháng 5", "not a date we can read"),
        ("May 2026", "not a date we can read"),
        ("5", "bare number of 1 digits"),
        ("2026", "bare number of 4 digits"),
        ("45992", "serial day"),
        (True, "a bool is not a date"),
        (None, "a NoneType is not a date"),
        (["2026-05-12"], "a list is not a date"),
        (float("nan"), "no epoch time"),
        (float("inf"), "no epoch time"),
        (1e300, "no epoch time"),
        ("9" * 40, "no epoch time"),
        (0, "before 1990: write"),
        ("31/12/1989", "before 1990"),
        ("12/12/2026", "in the future: is its day before its month"),
        ("tomorrow 23:00", "in the future"),
        ("4102444800", "in the future"),
    ],
)
def test_errors_name_the_way_out(value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        when(value)


def test_a_clock_may_run_a_day_ahead_but_no_more() -> None:
    assert parse_when(NOW + timedelta(days=1), now=NOW, zone=ZONE) == NOW + timedelta(days=1)
    with pytest.raises(ValueError, match="future"):
        parse_when(NOW + timedelta(days=1, seconds=1), now=NOW, zone=ZONE)


@given(st.text(max_size=30))
def test_any_text_is_a_date_in_range_or_a_value_error(text: str) -> None:
    try:
        read = parse_when(text, now=NOW, zone=ZONE)
    except ValueError:
        return
    assert datetime(1990, 1, 1, tzinfo=UTC) <= read <= NOW + timedelta(days=1)


def test_formats_and_repeated_words_are_fast() -> None:
    def rate(text: str, formats: tuple[str, ...], times: int) -> float:
        when(text, *formats)
        start = time.process_time()
        for _ in range(times):
            parse_when(text, now=NOW, zone=ZONE, formats=formats)
        return times / (time.process_time() - start)

    # Measured 100,000 a second and more on one slow core; the bar leaves room for a busy machine.
    assert rate("12-05-2026 10:15:00", ("%d-%m-%Y %H:%M:%S",), 5000) > 25_000
    assert rate("2 tuần trước", ("%d/%m/%Y",), 5000) > 25_000
