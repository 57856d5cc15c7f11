"""Everything one running sandbox remembers; `fresh` is the state after start and after a reset."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sandbox.book import Book
from sandbox.clock import Clock, epoch_ms
from sandbox.directory import Directory
from sandbox.fault_script import FaultScript, Rule
from sandbox.oauth import Tokens
from sandbox.post import Endpoint
from sandbox.templates import TEMPLATES, Template
from sandbox.webhooks import Webhooks

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


@dataclass(frozen=True, slots=True)
class Start:
    """How a sandbox starts. `now` None means the machine's clock."""

    seed: int = 7
    now: datetime | None = None
    night_rule: bool = True
    daily_quota: int = 1_000_000
    faults: tuple[Rule, ...] = ()
    webhooks: Endpoint | None = None


@dataclass(slots=True)
class Switches:
    """What a test may turn while the sandbox runs. None is no limit; docs/sandbox.md says what each does.

    `template_status` and `template_quality` override those of single templates. `balance` is VND and sinks with
    every accepted message.
    """

    night_rule: bool
    daily_quota: int
    refuse_sends_with: int | None = None
    template_status: dict[str, str] = field(default_factory=dict)
    template_quality: dict[str, str] = field(default_factory=dict)
    balance: int | None = None
    oa_linked: bool = True
    rating_methods: str = "both"
    promotions_per_user_per_day: int | None = None
    promotions_per_user_per_month: int | None = None
    rate_limit_per_minute: int | None = None


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
    book: Book
    webhooks: Webhooks
    directory: Directory
    templates: dict[str, Template] = field(default_factory=lambda: dict(TEMPLATES))
    ratings: dict[str, list[RatingRow]] = field(default_factory=dict)
    rounds: dict[tuple[str, str], Round] = field(default_factory=dict)
    copies: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    used_quota: Counter[str] = field(default_factory=Counter)
    promotions: Counter[tuple[str, str]] = field(default_factory=Counter)
    edits: Counter[tuple[str, str]] = field(default_factory=Counter)
    chat_calls: tuple[str, int] = ("", 0)
    faults: FaultScript = field(default_factory=FaultScript)

    @property
    def seed(self) -> int:
        return self.start.seed

    def quota_left(self, now: datetime) -> int:
        """Messages left today. The day is Vietnam's: Zalo does not document its hour of reset."""
        return self.switches.daily_quota - self.used_quota[day_in_vietnam(now)]

    def use_quota(self, now: datetime) -> None:
        self.used_quota[day_in_vietnam(now)] += 1

    def template_status(self, template: Template) -> str:
        """The switched status, else the registered one."""
        return self.switches.template_status.get(template.id, template.status)

    def use_up_quota(self, now: datetime) -> None:
        """Nothing is left until the next day in Vietnam."""
        day = day_in_vietnam(now)
        self.used_quota[day] = max(self.used_quota[day], self.switches.daily_quota)

    def add_rating(self, template_id: str, row: RatingRow) -> None:
        insort(self.ratings.setdefault(template_id, []), row)

    def ratings_between(self, template_id: str, from_ms: int, to_ms: int) -> list[RatingRow]:
        """Answers submitted in [from_ms, to_ms] and not after the sandbox's clock, oldest first."""
        rows = self.ratings.get(template_id, [])
        until = min(to_ms, epoch_ms(self.clock.now()))
        return rows[bisect_left(rows, from_ms, key=_submitted) : bisect_right(rows, until, key=_submitted)]


def fresh(start: Start) -> State:
    """A sandbox nobody has called yet."""
    clock, book = Clock(start.now), Book()
    state = State(
        start=start,
        clock=clock,
        tokens=Tokens(start.seed),
        switches=Switches(start.night_rule, start.daily_quota),
        book=book,
        webhooks=Webhooks(clock, book, lambda name, now: state.faults.for_webhook(name, now), start.webhooks),
        directory=Directory(start.seed),
        faults=FaultScript(start.faults, start.seed),
    )
    return state


def is_night(now: datetime) -> bool:
    """22:00 to 06:00 in Vietnam, when Zalo refuses tags 2 and 3 (-133)."""
    hour = now.astimezone(VIETNAM).hour
    return hour >= 22 or hour < 6


def delivered_at(sent: datetime, msg_id: str) -> datetime:
    """1 to 20 seconds after sending, fixed by the message id."""
    return sent + timedelta(seconds=1 + int(msg_id[:4], 16) % 20)


def day_in_vietnam(now: datetime) -> str:
    return now.astimezone(VIETNAM).date().isoformat()


def _submitted(row: RatingRow) -> int:
    return row.submit_ms
