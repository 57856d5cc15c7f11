"""Business time: opening hours, lunch breaks and public holidays of one brand, as arithmetic on UTC instants.

Opening hours are wall-clock times in the brand's zone; everything returned is aware UTC. An instant counts as
open exactly when the wall clock shows a time within an opening period, start included and end excluded, so a
wall hour that daylight saving skips is never open, and one that it repeats is open twice.

A sweep asks for tens of thousands of deadlines, so each calendar keeps the open spans of the years it was
asked about (UTC microseconds, with the open time up to each span's end) and answers by bisection.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from amends.domain.opening_periods import Periods, check_country, checked_periods, zone_of

LONGEST_CLOSURE_DAYS = 400
"""A calendar that stays shut for longer than this is a mistake in its settings, not a long holiday."""
LONGEST_DEADLINE_DAYS = 20 * 366
"""No target reaches further than this; it also bounds how many years a calendar has to unfold."""


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """When a brand works.

    `zone` is an IANA name. `weekly` is keyed by weekday, 0 = Monday; a missing day is closed. Python's `time`
    has no 24:00, so an end of 00:00 means midnight at the day's end, and a shift over midnight is two
    periods: 22:00-00:00 and, on the next day, 00:00-06:00.

    `country` (ISO 3166 alpha-2, None for none) closes the public holidays known to the `holidays` library,
    for Vietnam with Tet. The library guesses the days around Tet until the government announces them, and
    makes no working day of a Saturday exchanged for a bridge day: put such differences into `closed_days`
    and `open_days`. `open_days` gives single dates their own hours and wins over weekday and public holiday.

    Raises ValueError, saying what to change, for an unknown zone or country, periods that overlap or end
    before they start, a date both open and closed, or a calendar with no opening at all. The methods raise
    ValueError for naive datetimes and where no opening comes within LONGEST_CLOSURE_DAYS.
    """

    zone: str
    weekly: Mapping[int, Periods] = field(hash=False)
    country: str | None = "VN"
    closed_days: frozenset[date] = frozenset()
    open_days: Mapping[date, Periods] = field(default_factory=dict, hash=False)
    _unfolded: "_Unfolded" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_country(self.country)
        for weekday in self.weekly:
            if weekday not in range(7):
                raise ValueError(f"weekday {weekday!r} does not exist: use 0 for Monday to 6 for Sunday")
        weekly = {d: checked_periods(_WEEKDAYS[d], self.weekly[d]) for d in sorted(self.weekly)}
        open_days = {d: checked_periods(d.isoformat(), self.open_days[d]) for d in sorted(self.open_days)}
        for day, periods in open_days.items():
            if not periods:
                raise ValueError(
                    f"{day}: listed as an open day without hours; list it as a closed day instead"
                )
            if day in self.closed_days:
                raise ValueError(f"{day}: both an open and a closed day; remove it from one of the two lists")
        if not any(weekly.values()) and not open_days:
            raise ValueError("the calendar never opens: give at least one weekday an opening period")
        object.__setattr__(self, "weekly", weekly)
        object.__setattr__(self, "open_days", open_days)
        object.__setattr__(self, "closed_days", frozenset(self.closed_days))
        object.__setattr__(self, "_unfolded", _Unfolded(zone_of(self.zone)))

    def is_open(self, at: datetime) -> bool:
        """Whether `at` lies in an opening period (the closing instant itself does not)."""
        instant = _micros(at)
        spans = self._covering(instant, instant)
        i = bisect_right(spans.starts, instant) - 1
        return i >= 0 and instant < spans.ends[i]

    def next_open(self, at: datetime) -> datetime:
        """`at` itself when open, else the next opening, in UTC."""
        instant = _micros(at)
        spans = self._covering(instant, instant)
        i = bisect_right(spans.ends, instant)
        while i == len(spans.ends):
            spans = self._one_year_more(spans, instant)
            i = bisect_right(spans.ends, instant)
        spans.refuse_long_closure(instant, i)
        return _utc(max(instant, spans.starts[i]))

    def add_minutes(self, start: datetime, minutes: float) -> datetime:
        """The first instant at which `minutes` business minutes have passed since `start`, in UTC.

        60 minutes from 16:30 with closing time 17:30 is 17:30 of that day, not the next morning; 0 minutes is
        `start` itself, open or not. Raises ValueError for negative minutes, and for a deadline more than
        LONGEST_DEADLINE_DAYS away.
        """
        if not minutes >= 0:
            raise ValueError(f"cannot add {minutes:g} business minutes: give a number of 0 or more")
        instant = _micros(start)
        needed = round(min(minutes, _MINUTES_BEYOND_ALL) * _MINUTE)
        if not needed:
            return start.astimezone(UTC)
        spans = self._covering(instant, instant)
        while spans.open_until(instant) + needed > spans.total:
            spans = self._one_year_more(spans, instant)
        wanted = spans.open_until(instant) + needed
        i = bisect_left(spans.after, wanted)
        spans.refuse_long_closure(instant, i)
        deadline = spans.ends[i] - (spans.after[i] - wanted)
        _refuse_far_deadline(instant, deadline)
        return _utc(deadline)

    def minutes_between(self, a: datetime, b: datetime) -> float:
        """Business minutes from `a` to `b`; negative when `b` is the earlier."""
        first, last = _micros(a), _micros(b)
        spans = self._covering(min(first, last), max(first, last))
        return (spans.open_until(last) - spans.open_until(first)) / _MINUTE

    def _covering(self, first: int, last: int) -> "_Spans":
        spans = self._unfolded.spans
        if spans.since <= first and last < spans.until:
            return spans
        years = (_utc(first).year, _utc(last).year)
        if spans.since < spans.until:  # keep the years unfolded before
            years = (min(years[0], _utc(spans.since).year), max(years[1], _utc(spans.until - 1).year))
        return self._unfold(*years)

    def _one_year_more(self, spans: "_Spans", instant: int) -> "_Spans":
        """The spans with the next year added, unless the search for open time after `instant` is hopeless."""
        resumed = max(instant, spans.ends[-1]) if spans.ends else instant
        if spans.until - resumed > LONGEST_CLOSURE_DAYS * _DAY:
            raise _never_opens_after(resumed)
        _refuse_far_deadline(instant, spans.until)
        return self._unfold(_utc(spans.since).year, _utc(spans.until - 1).year + 1)

    def _unfold(self, first_year: int, last_year: int) -> "_Spans":
        if first_year < 2 or last_year > 9998:
            raise ValueError(f"no calendar for the years {first_year} to {last_year}: check the dates given")
        by_year = self._unfolded.by_year
        for year in range(first_year, last_year + 1):
            if year not in by_year:
                by_year[year] = list(self._spans_of_year(year))
        spans = _Spans.of(
            _year_start(first_year),
            _year_start(last_year + 1),
            [span for year in range(first_year, last_year + 1) for span in by_year[year]],
        )
        self._unfolded.spans = spans
        return spans

    def _spans_of_year(self, year: int) -> Iterator[tuple[int, int]]:
        """Open spans of one UTC year, in order: per stretch of constant UTC offset, a plain shift."""
        weekly = {weekday: _of_day(periods) for weekday, periods in self.weekly.items()}
        for since, until, offset in _offsets(self._unfolded.zone, year):
            for day in range((since + offset) // _DAY, (until + offset - 1) // _DAY + 1):
                local_date = date.fromordinal(day + _EPOCH_ORDINAL)
                special = self.open_days.get(local_date)
                if special is not None:
                    periods = _of_day(special)
                elif local_date in self.closed_days or (
                    self.country is not None and local_date in _public_holidays(self.country, local_date.year)
                ):
                    continue
                else:
                    periods = weekly.get(local_date.weekday(), ())
                midnight = day * _DAY - offset
                for opens, closes in periods:
                    span = max(midnight + opens, since), min(midnight + closes, until)
                    if span[0] < span[1]:
                        yield span


def always_open(zone: str) -> BusinessCalendar:
    """A calendar that never closes: every minute is a business minute, holidays included."""
    whole_day = ((time(0), time(0)),)
    return BusinessCalendar(zone, dict.fromkeys(range(7), whole_day), country=None)


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# All arithmetic is in whole microseconds: exact, so that adding twice equals adding once.
_MINUTE = 60_000_000
_DAY = 24 * 60 * _MINUTE
# Any greater number is refused just the same, and infinity cannot be rounded.
_MINUTES_BEYOND_ALL = LONGEST_DEADLINE_DAYS * 24 * 60 + 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()


@dataclass(frozen=True, slots=True)
class _Spans:
    """Disjoint open spans within [since, until), in order; some touch, at midnight say.

    `after[i]` is the open time from `since` to the end of span i, `total` to `until`; `after_long_closure`
    lists the spans that follow more than LONGEST_CLOSURE_DAYS without any.
    """

    since: int
    until: int
    starts: list[int]
    ends: list[int]
    after: list[int]
    after_long_closure: list[int]
    total: int

    @classmethod
    def of(cls, since: int, until: int, spans: list[tuple[int, int]]) -> "_Spans":
        starts = [start for start, _ in spans]
        ends = [end for _, end in spans]
        after: list[int] = []
        total = 0
        for start, end in zip(starts, ends, strict=True):
            total += end - start
            after.append(total)
        closures = [
            i
            for i, start in enumerate(starts)
            if start - (ends[i - 1] if i else since) > LONGEST_CLOSURE_DAYS * _DAY
        ]
        return cls(since, until, starts, ends, after, closures, total)

    def open_until(self, instant: int) -> int:
        """Open time from `since` to `instant`."""
        i = bisect_right(self.starts, instant) - 1
        return self.after[i] - max(self.ends[i] - instant, 0) if i >= 0 else 0

    def refuse_long_closure(self, instant: int, i: int) -> None:
        """Raise ValueError if a wait longer than LONGEST_CLOSURE_DAYS lies between `instant` and span `i`.

        The answer must not depend on the years that happen to be unfolded already, hence this second look.
        """
        for late in self.after_long_closure:
            resumed = max(instant, self.ends[late - 1]) if late else instant
            if late <= i and self.starts[late] - resumed > LONGEST_CLOSURE_DAYS * _DAY:
                raise _never_opens_after(resumed)


@dataclass(slots=True)
class _Unfolded:
    """What a calendar has worked out so far. Threads may repeat each other's work here but never spoil it."""

    zone: ZoneInfo
    by_year: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    spans: _Spans = field(default_factory=lambda: _Spans.of(0, 0, []))


@lru_cache(maxsize=512)
def _public_holidays(country: str, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=year))


def _of_day(periods: Periods) -> tuple[tuple[int, int], ...]:
    return tuple((_time_of_day(opens), _time_of_day(closes) or _DAY) for opens, closes in periods)


def _time_of_day(wall: time) -> int:
    return ((wall.hour * 60 + wall.minute) * 60 + wall.second) * 1_000_000 + wall.microsecond


def _offsets(zone: ZoneInfo, year: int) -> Iterator[tuple[int, int, int]]:
    """The stretches `(since, until, UTC offset)` of a UTC year in which the zone's offset does not change."""
    since, end = _year_start(year), _year_start(year + 1)
    offset = _offset_at(zone, since)
    for day in range(since, end, _DAY):
        if _offset_at(zone, day + _DAY) == offset:
            continue
        before, after = day, day + _DAY
        while after - before > 1_000_000:  # zone files know whole seconds
            middle = (before + after) // 2_000_000 * 1_000_000
            before, after = (middle, after) if _offset_at(zone, middle) == offset else (before, middle)
        if after < end:
            yield since, after, offset
            since, offset = after, _offset_at(zone, after)
    yield since, end, offset


def _offset_at(zone: ZoneInfo, instant: int) -> int:
    offset = _utc(instant).astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - a ZoneInfo always knows it
    return offset // timedelta(microseconds=1)


def _year_start(year: int) -> int:
    return (date(year, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY


def _micros(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone: pass aware datetimes, best in UTC")
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _utc(instant: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant)


def _refuse_far_deadline(start: int, deadline: int) -> None:
    if deadline - start > LONGEST_DEADLINE_DAYS * _DAY:
        raise ValueError(
            f"the target reaches more than {LONGEST_DEADLINE_DAYS} days beyond {_utc(start):%Y-%m-%d}: "
            "shorten it or widen the opening hours"
        )


def _never_opens_after(instant: int) -> ValueError:
    return ValueError(
        f"the calendar has no open time in the {LONGEST_CLOSURE_DAYS} days after {_utc(instant):%Y-%m-%d}: "
        "check its closed days and give it opening hours"
    )
