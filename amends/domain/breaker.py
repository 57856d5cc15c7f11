"""A circuit breaker: stop calling a vendor in trouble, try it again with one call, and come back gently.

Closed: calls go out. Open (`retry_at` set): nobody calls until then; after that one call tries it. Coming back
(`allowance` set): so many calls may be open at once, doubling with every wave that goes well. Pure; times aware UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amends.domain.outcome import Outcome, OutcomeClass

OPENS_AFTER = 5
"""More failures than other outcomes by so many, with no good wave in between."""
FIRST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(minutes=15)

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


def in_trouble(outcome: Outcome) -> bool:
    """Whether this outcome speaks of a vendor in trouble."""
    return outcome.cls in _IN_TROUBLE and outcome.code not in _OUR_OWN


def after(breaker: Breaker, outcomes: Sequence[Outcome], now: datetime, most: int) -> Breaker:
    """The breaker after one wave's outcomes. `most` is how many calls may be open at once when all is well.

    Only an accepted message closes it again: a refusal may be our own, made without a call (night, no address).
    """
    bad = sum(in_trouble(outcome) for outcome in outcomes)
    accepted = sum(outcome.accepted for outcome in outcomes)
    if breaker.calls_at_once is None:
        if 2 * bad <= len(outcomes):
            return CLOSED
        failures = breaker.failures + 2 * bad - len(outcomes)
        return (
            replace(breaker, failures=failures) if failures < OPENS_AFTER else _opened(breaker, outcomes, now)
        )
    if accepted and accepted >= bad:
        at_once = breaker.calls_at_once * 2
        return CLOSED if at_once >= most else Breaker(openings=breaker.openings, allowance=at_once)
    return _opened(breaker, outcomes, now) if bad else breaker


def _opened(breaker: Breaker, outcomes: Sequence[Outcome], now: datetime) -> Breaker:
    rest = min(FIRST_REST * float(2**breaker.openings), LONGEST_REST)
    # The vendor's own wish counts, when it asks for more.
    wished = [o.retry_at for o in outcomes if in_trouble(o) and o.retry_at is not None]
    return Breaker(openings=min(breaker.openings + 1, 10), retry_at=max([now + rest, *wished]))
