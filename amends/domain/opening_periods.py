"""Opening periods as people write them: checked, and refused in words that name the day, the problem and the fix."""

from datetime import time
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

Periods = tuple[tuple[time, time], ...]
"""Opening periods of one day, `(start, end)` in wall time; an end of 00:00 is midnight at the day's end."""


def checked_periods(day: str, periods: Periods) -> Periods:
    """The periods of a day in order, or ValueError naming day, problem and remedy."""
    for opens, closes in periods:
        if opens.tzinfo or closes.tzinfo:
            raise ValueError(f"{day}: {_show(opens, closes)} has a time zone; give plain wall times")
        if opens == closes != time(0):
            raise ValueError(f"{day}: {_show(opens, closes)} is empty; set a later end or remove it")
        if time(0) != closes < opens:
            raise ValueError(
                f"{day}: {_show(opens, closes)} ends before it begins; split a shift over midnight "
                f"into {opens:%H:%M}-24:00 and 00:00-{closes:%H:%M} of the next day"
            )
    ordered = tuple(sorted((opens, closes) for opens, closes in periods))
    for earlier, later in pairwise(ordered):
        if earlier[1] == time(0) or later[0] < earlier[1]:
            raise ValueError(
                f"{day}: {_show(*earlier)} and {_show(*later)} overlap; "
                f"end the first by {later[0]:%H:%M} or make them one period"
            )
    return ordered


def check_country(country: str | None) -> None:
    """ValueError when the public holidays of `country` (ISO 3166 alpha-2) are not known."""
    if country is None:
        return
    try:
        holidays.country_holidays(country)
    except NotImplementedError as error:
        raise ValueError(
            f"no public holidays known for country {country!r}: use a two-letter code such as VN, or none"
        ) from error


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name, or ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}: use an IANA name such as Asia/Ho_Chi_Minh") from error


def _show(opens: time, closes: time) -> str:
    return f"{opens:%H:%M}-" + ("24:00" if closes == time(0) else f"{closes:%H:%M}")
