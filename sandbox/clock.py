"""The sandbox's one clock: the machine's, or a fixed moment that a test or a demo moves by hand."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(slots=True)
class Clock:
    """`fixed` (aware UTC) stands still until it is set again; None follows the machine's clock."""

    fixed: datetime | None = None

    def now(self) -> datetime:
        """Aware UTC."""
        return self.fixed if self.fixed is not None else datetime.now(UTC)

    def set(self, now: datetime | None) -> None:
        """Stop the clock at `now` (any aware datetime), or let it run with the machine's again (None).

        Raises ValueError for a naive datetime.
        """
        self.fixed = None if now is None else in_utc(now)


def in_utc(moment: datetime) -> datetime:
    """`moment` in UTC; raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset, for example 2026-11-23T09:00:00+07:00")
    return moment.astimezone(UTC)


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 in UTC, the only form of time on Zalo's wire."""
    return round(moment.timestamp() * 1000)
