"""What is known about Zalo's templates and quotas, and for how long. No network.

A process may keep one `TemplateMemory` from sweep to sweep, so that a sweep of every minute does not ask for
the same templates every minute. Entries age by the clock of whoever asks.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Literal

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.zalo.templates import TemplateInfo

TEMPLATE_LIFE = timedelta(minutes=15)
TROUBLE_LIFE = timedelta(minutes=1)
"""How long "could not be read" and "may not be sent now" are believed: people mend these while we wait."""
QUOTA_LIFE = timedelta(minutes=5)
_QUOTA_USED_UP = "-144"


@dataclass(slots=True)
class QuotaMeter:
    """Messages that one Official Account may still send today, as the vendor last said, and those on their way.

    A send takes its place before it calls, so that many at once do not overshoot. A call on its way may or may
    not be in the vendor's number already; only while it is on its way it counts as not, hence `wait`.
    """

    daily: int | None = None
    left: int | None = None
    in_flight: int = 0
    generation: int = 0
    until: datetime | None = None
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)
    """Journeys of one desk send from threads of their own."""

    def fresh(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def read(self, daily: int | None, left: int | None, until: datetime) -> None:
        """The vendor's own numbers; None where it tells none, which holds nobody back."""
        self.daily, self.left, self.until = daily, left, until
        self.generation += 1

    def take(self) -> Literal["taken", "wait", "empty"]:
        with self._lock:
            if self.left is not None and self.left <= 0:
                return "empty"
            if self.left is not None and self.left <= self.in_flight:
                return "wait"
            self.in_flight += 1
            return "taken"

    def settle(self, generation: int, outcome: Outcome | None, told: int | None) -> None:
        """Give the place back. `told` is the remaining quota in the answer; no outcome: nobody knows.

        Answers of calls that began before the last reading say nothing about the day after it.
        """
        with self._lock:
            self.in_flight -= 1
        if generation != self.generation:
            return
        if outcome is not None and outcome.code == _QUOTA_USED_UP:
            self.left = 0
        elif outcome is None or outcome.cls in (OutcomeClass.ACCEPTED, OutcomeClass.UNCERTAIN):
            if told is not None:
                self.left = told if self.left is None else min(self.left, told)
            elif self.left is not None:
                self.left -= 1


@dataclass(slots=True)
class TemplateMemory:
    """Templates and quotas by account, remembered for some minutes; empty at first. One per process."""

    _templates: dict[tuple[str, str], tuple[TemplateInfo | None, datetime]] = field(default_factory=dict)
    _meters: dict[str, QuotaMeter] = field(default_factory=dict)
    _rating_verbs: dict[str, Literal["GET", "POST"]] = field(default_factory=dict)

    def template(self, account: str, template_id: str, now: datetime) -> tuple[bool, TemplateInfo | None]:
        """Whether an unexpired answer is known, and the answer: None when the template could not be read."""
        info, until = self._templates.get((account, template_id), (None, now))
        return (True, info) if now < until else (False, None)

    def keep_template(self, account: str, template_id: str, info: TemplateInfo | None, now: datetime) -> None:
        life = TEMPLATE_LIFE if info is not None and info.enabled else TROUBLE_LIFE
        self._templates[account, template_id] = (info, now + life)

    def forget(self, template_id: str) -> None:
        """Ask anew next time, e.g. after the vendor's webhook about a changed template."""
        for key in [key for key in self._templates if key[1] == template_id]:
            self._templates.pop(key, None)

    def meter(self, account: str) -> QuotaMeter:
        return self._meters.setdefault(account, QuotaMeter())

    def rating_verb(self, account: str) -> Literal["GET", "POST"]:
        """The HTTP method by which this account's ratings were last read."""
        return self._rating_verbs.get(account, "GET")

    def keep_rating_verb(self, account: str, verb: Literal["GET", "POST"]) -> None:
        self._rating_verbs[account] = verb
