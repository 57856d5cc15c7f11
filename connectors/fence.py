"""The fence: a call that may no longer leave does not.

A sweep owns its cases by lease. One that slept through its lease (a stopped process, a frozen machine) must not make
the calls it had committed as `sending`: another sweep has taken them over by now. No vendor of ours takes a fencing
token, so the fence stands on our side, at the last moment before a request leaves (ADR 0011).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from amends.domain.outcome import Outcome, OutcomeClass

FENCED = "fenced"
TOO_LATE = Outcome(
    OutcomeClass.RETRY_LATER, code=FENCED, detail="the lease ran out before the call left; it was not made"
)
"""What a send comes back with when it did not leave: surely not sent."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Until when calls may leave, aware UTC; None: for ever."""

    leave_before: datetime | None = None

    def closed(self, now: datetime) -> bool:
        return self.leave_before is not None and now >= self.leave_before


_NONE = Fence()
_current: ContextVar[Fence] = ContextVar("fence", default=_NONE)


@contextmanager
def leaving_before(moment: datetime | None) -> Iterator[None]:
    """Every send of this task must leave before `moment` (aware UTC), or not at all."""
    token = _current.set(Fence(moment))
    try:
        yield
    finally:
        _current.reset(token)


def fence() -> Fence:
    """The fence of the running task. Threads do not inherit it: hand it over."""
    return _current.get()
