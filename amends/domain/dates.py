"""Dates as people and exports write them: ISO 8601, epoch, day-first numbers, words of two languages."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

_LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of whichever zone
_EPOCH = _LOCAL_EPOCH.replace(tzinfo=UTC)
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST_AHEAD = timedelta(days=1)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
_LONGEST = 200
"""Characters; what reads dates in words takes time for long texts, seconds for the length of a page."""
_FIX = "write it as 2026-05-31 14:30, or name its format with date_formats"

_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)(.*)", re.DOTALL)
_SHORT_HOUR = re.compile(r"^[ T]+(\d):")
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DAY_FIRST = re.compile(
    r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?"
)
_NUMERIC_DATE = re.compile(r"(?<!\d)(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?!\d)")

# Words dateparser 1.5 does not know, as words it does.
_VIETNAMESE = (
    (re.compile(r"\b(?:vừa xong|vừa mới|mới đây|just now)\b"), "0 giây trước"),
    (re.compile(r"\bhôm kia\b"), "2 ngày trước"),
    (re.compile(r"\btiếng(?= trước)"), "giờ"),
    (re.compile(r"\bhôm(?= trước)"), "ngày"),
)
_NUMBER_WORD = re.compile(r"^(một|hai|ba|bốn|năm|sáu|bảy|tám|chín|mười)(?= \w+ trước$)")
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ["một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín", "mười"], start=1
    )
}


def parse_when(value: object, *, now: datetime, zone: str, formats: Sequence[str] = ()) -> datetime:
    """The moment meant by `value`, in UTC.

    Tries, in this order: the strptime `formats`; epoch seconds or milliseconds (numbers and digit strings);
    ISO 8601 and other year-first dates; day-first numeric dates; relative and written-out dates in
    Vietnamese and English, counted from `now`. What names no zone of its own is read in `zone` (IANA
    name); a date without a time is its midnight there. Relative dates keep the time of day of `now`, as
    their source rounds anyway. Raises `ValueError`, with the way to put it right, for anything else, for a
    date before 1990 and for one more than a day after `now` (clocks differ, but not by more).
    """
    when = _read(value, now, ZoneInfo(zone), formats)
    if when < _EARLIEST:
        raise ValueError(f"the date lies before 1990: {_FIX}")
    if when > now + _LATEST_AHEAD:
        raise ValueError(
            "the date lies in the future: is its day before its month? If not, name its format with "
            "date_formats, such as %m/%d/%Y"
        )
    return when


def _read(value: object, now: datetime, zone: ZoneInfo, formats: Sequence[str]) -> datetime:
    if not isinstance(value, str):
        return _from_no_text(value, zone)
    text = value.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"a text of {len(text)} characters is no date: {_FIX}")
    for form in formats:
        try:
            return _utc(datetime.strptime(text, form), zone)  # noqa: DTZ007 - _utc gives it the zone
        except ValueError:
            continue
    if found := _ISO.fullmatch(text):
        return _from_iso(found, now, zone)
    if text.isascii() and text.isdigit():
        return _from_digits(text, zone)
    if found := _DAY_FIRST.fullmatch(text):
        return _from_day_first(found, zone, formats)
    return _from_words(text.lower(), now.replace(microsecond=0), zone.key)


def _from_no_text(value: object, zone: ZoneInfo) -> datetime:
    if isinstance(value, datetime):
        return _utc(value, zone)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_epoch(value)
    raise ValueError(f"a {type(value).__name__} is not a date: {_FIX}")


def _utc(when: datetime, zone: ZoneInfo) -> datetime:
    try:
        if when.tzinfo:
            return when.astimezone(UTC)
        # `replace` and `astimezone` would do the same in three times the time, and every row comes by here.
        return _EPOCH + (when - _LOCAL_EPOCH - (zone.utcoffset(when) or timedelta()))
    except OverflowError:
        raise ValueError(f"the date is beyond the calendar: {_FIX}") from None


def _from_epoch(number: float) -> datetime:
    try:
        return datetime.fromtimestamp(number / 1000 if abs(number) >= _MILLISECONDS_FROM else number, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"the number is no epoch time in seconds or milliseconds: {_FIX}") from error


def _from_digits(text: str, zone: ZoneInfo) -> datetime:
    form = _COMPACT.get(len(text))
    if form and text[:2] in {"19", "20"}:
        try:
            return _utc(datetime.strptime(text, form), zone)  # noqa: DTZ007 - _utc gives it the zone
        except ValueError:
            pass
    if len(text) < 9:
        raise ValueError(
            f"a bare number of {len(text)} digits is no date (a spreadsheet's serial day?): {_FIX}"
        )
    if len(text) > 20:
        raise ValueError(f"a number of {len(text)} digits is no epoch time: {_FIX}")
    return _from_epoch(int(text))


def _from_iso(found: re.Match[str], now: datetime, zone: ZoneInfo) -> datetime:
    try:
        return _utc(datetime.fromisoformat(found[0]), zone)
    except ValueError:
        pass  # other signs between the parts, or fewer digits
    year, month, day, rest = found.groups()
    try:
        iso = date(int(year), int(month), int(day)).isoformat()
    except ValueError as error:
        raise ValueError(f"there is no such date in year-month-day order: {_FIX}") from error
    try:
        return _utc(datetime.fromisoformat(iso + _SHORT_HOUR.sub(r" 0\1:", rest)), zone)
    except ValueError:
        return _from_words(f"{iso}{rest}".lower(), now.replace(microsecond=0), zone.key)


def _from_day_first(found: re.Match[str], zone: ZoneInfo, formats: Sequence[str]) -> datetime:
    day, _, month, year, hour, minute, second = found.groups(default="0")
    # Somebody who told us that months come first must never have 05/12 read as 5 December.
    if any(_month_first(form) for form in formats):
        raise ValueError(f"it fits none of the date formats {', '.join(formats)}: add the format of this one")
    try:
        when = datetime(  # noqa: DTZ001 - _utc gives it the zone
            int(year) + (2000 if len(year) == 2 else 0),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second),
        )
    except ValueError as error:
        raise ValueError(f"there is no such date in day-month-year order: {_FIX}") from error
    return _utc(when, zone)


def _month_first(form: str) -> bool:
    return 0 <= form.find("%m") < form.find("%d")


# Exports repeat few distinct relative dates; dateparser takes about a millisecond for each.
@lru_cache(maxsize=10_000)
def _from_words(text: str, now: datetime, zone: str) -> datetime:
    for pattern, known in _VIETNAMESE:
        text = pattern.sub(known, text)
    text = _NUMBER_WORD.sub(lambda word: _NUMBERS[word[0]], text)
    try:
        when = _parser(now, zone).get_date_data(text).date_obj if text else None
    except (ValueError, OverflowError, ArithmeticError):
        when = None
    if not isinstance(when, datetime):
        raise ValueError(f"it is not a date we can read: {_FIX}")
    # dateparser swaps day and month, or drops parts, rather than give up: hold it to what is written.
    written = _NUMERIC_DATE.search(text)
    if written and (int(written[1]), int(written[3]), int(written[4])) != (when.day, when.month, when.year):
        raise ValueError(f"its parts do not make one date in day-month-year order: {_FIX}")
    return _utc(when, ZoneInfo(zone))


@lru_cache(maxsize=16)
def _parser(now: datetime, zone: str) -> Any:
    from dateparser.date import DateDataParser  # slow to import, and most imports never need it

    return DateDataParser(
        languages=["vi", "en"],
        settings={
            "RELATIVE_BASE": now.astimezone(ZoneInfo(zone)).replace(tzinfo=None),
            "TIMEZONE": zone,
            "RETURN_AS_TIMEZONE_AWARE": True,
            "DATE_ORDER": "DMY",
            "PREFER_DATES_FROM": "past",
            "REQUIRE_PARTS": ["day", "month"],
        },
    )
