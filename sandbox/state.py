"""Everything one running sandbox remembers; `fresh` is the state after start and after a reset."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sandbox.book import Book
from sandbox.clock import Clock, epoch_ms
from sandbox.oauth import Tokens

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
OA_ID = "sandbox-oa"


@dataclass(frozen=True, slots=True)
class Start:
    """How a sandbox starts. `now` None means the machine's clock."""

    seed: int = 7
    now: datetime | None = None
    night_rule: bool = True
    daily_quota: int = 1_000_000


@dataclass(slots=True)
class Switches:
    """What a test may turn while the sandbox runs. `template_status` overrides that of single templates."""

    night_rule: bool
    daily_quota: int
    refuse_sends_with: int | None = None
    template_status: dict[str, str] = field(default_factory=dict)


class RatingRow(NamedTuple):
    """One answer, ordered by the moment it becomes visible (epoch ms)."""

    submit_ms: int
    msg_id: str
    body: dict[str, Any]


@dataclass(slots=True)
class Round:
    """Where one person stands in the surveys about one case."""

    number: int = 1
    asks: int = 0
    answered_at: datetime | None = None


@dataclass(slots=True)
class State:
    """One Official Account and its customers. Only the event loop touches it, so there are no locks."""

    start: Start
    clock: Clock
    tokens: Tokens
    switches: Switches
    book: Book = field(default_factory=Book)
    ratings: dict[str, list[RatingRow]] = field(default_factory=dict)
    rounds: dict[tuple[str, str], Round] = field(default_factory=dict)
    copies: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    used_quota: Counter[str] = field(default_factory=Counter)

    @property
    def seed(self) -> int:
        return self.start.seed

    def quota_left(self, now: datetime) -> int:
        """Messages left today. The day is Vietnam's: Zalo does not document its hour of reset."""
        return self.switches.daily_quota - self.used_quota[_day(now)]

    def use_quota(self, now: datetime) -> None:
        self.used_quota[_day(now)] += 1

    def add_rating(self, template_id: str, row: RatingRow) -> None:
        insort(self.ratings.setdefault(template_id, []), row)

    def ratings_between(self, template_id: str, from_ms: int, to_ms: int) -> list[RatingRow]:
        """Answers submitted in [from_ms, to_ms] and not after the sandbox's clock, oldest first."""
        rows = self.ratings.get(template_id, [])
        until = min(to_ms, epoch_ms(self.clock.now()))
        return rows[bisect_left(rows, from_ms, key=_submitted) : bisect_right(rows, until, key=_submitted)]


def fresh(start: Start) -> State:
    """A sandbox nobody has called yet."""
    return State(
        start=start,
        clock=Clock(start.now),
        tokens=Tokens(start.seed),
        switches=Switches(start.night_rule, start.daily_quota),
    )


def is_night(now: datetime) -> bool:
    """22:00 to 06:00 in Vietnam, when Zalo refuses tags 2 and 3 (-133)."""
    hour = now.astimezone(VIETNAM).hour
    return hour >= 22 or hour < 6


def delivered_at(sent: datetime, msg_id: str) -> datetime:
    """1 to 20 seconds after sending, fixed by the message id."""
    return sent + timedelta(seconds=1 + int(msg_id[:4], 16) % 20)


def _day(now: datetime) -> str:
    return now.astimezone(VIETNAM).date().isoformat()


def _submitted(row: RatingRow) -> int:
    return row.submit_ms
