"""The one clock. Everything that needs to know the time is handed one of these."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock: what production uses."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class VirtualClock:
    """A clock that moves only when told to: the demo plays two weeks in a minute, tests never sleep."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(
                "a clock needs an aware datetime; add a time zone, e.g. datetime(..., tzinfo=UTC)"
            )
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Move to `now` (never backwards)."""
        if now < self._now:
            raise ValueError(f"the clock stands at {self._now:%F %T} and cannot go back to {now:%F %T}")
        self._now = now.astimezone(UTC)

    def advance(self, by: timedelta) -> datetime:
        self.set(self._now + by)
        return self._now
