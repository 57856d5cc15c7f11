"""A virtual clock that all processes of a test share: the parent moves it while children sweep."""

import multiprocessing
from datetime import UTC, datetime, timedelta


class SharedClock:
    """Like `VirtualClock`, and picklable into a child only while that is being started."""

    def __init__(self, start: datetime) -> None:
        self._seconds = multiprocessing.get_context("forkserver").Value("d", start.timestamp())

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._seconds.value, UTC)

    def set(self, now: datetime) -> None:
        self._seconds.value = now.timestamp()

    def advance(self, by: timedelta) -> datetime:
        self.set(self.now() + by)
        return self.now()
