"""Quiet hours: the part of every day in which no customer is messaged.

They are the complement of an opening time without holidays, so they share its treatment of daylight saving.
"""

from dataclasses import dataclass, field
from datetime import datetime, time
from functools import lru_cache

from amends.domain.business_time import BusinessCalendar, always_open
from amends.domain.opening_periods import Periods


@dataclass(frozen=True, slots=True)
class QuietHours:
    """No messages from `start` (included) to `end` (excluded), wall time in `zone` (IANA name), every day.

    May cross midnight: 21:00 to 08:00. `start == end` means no quiet hours. Raises ValueError for an unknown
    zone and for times that carry a zone of their own.
    """

    start: time
    end: time
    zone: str
    _allowed: BusinessCalendar = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", _allowed(self.start, self.end, self.zone))

    def is_quiet(self, at: datetime) -> bool:
        """Whether messages must wait at `at` (aware, else ValueError)."""
        return not self._allowed.is_open(at)

    def next_allowed(self, at: datetime) -> datetime:
        """`at` itself when messages are allowed, else the instant the quiet hours end; in UTC."""
        return self._allowed.next_open(at)


@lru_cache(maxsize=64)  # quiet hours are rebuilt with every journey read, their calendars need not be
def _allowed(start: time, end: time, zone: str) -> BusinessCalendar:
    midnight = time(0)
    if start == end:
        return always_open(zone)
    periods: Periods
    if start < end:
        before = ((midnight, start),) if start != midnight else ()
        periods = (*before, (end, midnight))
    else:
        periods = ((end, start),)
    return BusinessCalendar(zone, dict.fromkeys(range(7), periods), country=None)
