"""A circuit breaker: stop calling a vendor in trouble, try it again with one call, and come back gently.

Closed: calls go out. Open (`retry_at` set): nobody calls until then; after that one call tries it. Coming back
(`allowance` set): so many calls may be open at once, doubling with every wave that goes well. Pure; times aware UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amends.domain.outcome import Outcome, OutcomeClass

OPENS_AFTER = 5
"""More failures than answers by so many, with no good wave in between."""
FIRST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(minutes=15)

_ANSWERED = (
    OutcomeClass.ACCEPTED,
    OutcomeClass.UNREACHABLE,
    OutcomeClass.PAYLOAD_REFUSED,
    OutcomeClass.WAIT_FOR_WINDOW,
)
_IN_TROUBLE = (OutcomeClass.RETRY_LATER, OutcomeClass.UNCERTAIN)
_OUR_OWN = ("fenced", "paced", "quota")
"""Codes of waits that are ours, not the vendor's."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Where one channel stands."""

    failures: int = 0
    openings: int = 0
    """How often it has opened since it last worked at full speed: each rest is twice as long."""
    allowance: int | None = None
    retry_at: datetime | None = None

    def resting(self, now: datetime) -> bool:
        return self.retry_at is not None and now < self.retry_at

    @property
    def calls_at_once(self) -> int | None:
        """How many calls may be open at once when it does not rest; None: no limit of its own."""
        return 1 if self.retry_at is not None else self.allowance


CLOSED = Breaker()


def in_trouble(outcome: Outcome) -> bool | None:
    """Whether the vendor is, by this outcome; None when the outcome says nothing about it."""
    if outcome.code in _OUR_OWN:
        return None
    if outcome.cls in _IN_TROUBLE:
        return True
    return False if outcome.cls in _ANSWERED else None


def after(breaker: Breaker, outcomes: Sequence[Outcome], now: datetime, most: int) -> Breaker:
    """The breaker after one wave's outcomes. `most` is how many calls may be open at once when all is well."""
    told = [in_trouble(outcome) for outcome in outcomes]
    bad, good = told.count(True), told.count(False)
    if not bad and not good:
        return breaker
    if good >= bad:
        return _better(breaker, most)
    failures = breaker.failures + bad - good
    if breaker.calls_at_once is None and failures < OPENS_AFTER:
        return replace(breaker, failures=failures)
    rest = min(FIRST_REST * float(2**breaker.openings), LONGEST_REST)
    # The vendor's own wish counts, when it asks for more.
    wished = [o.retry_at for o in outcomes if in_trouble(o) and o.retry_at is not None]
    return Breaker(openings=min(breaker.openings + 1, 10), retry_at=max([now + rest, *wished]))


def _better(breaker: Breaker, most: int) -> Breaker:
    at_once = breaker.calls_at_once
    if at_once is None or at_once * 2 >= most:
        return CLOSED
    return Breaker(openings=breaker.openings, allowance=at_once * 2)
