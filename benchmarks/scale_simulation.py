"""A sale's evening, minute by minute: how long apologies and agents need to be through with it.

Arithmetic says what a quota or a team can do in a day. What it does not say is what their order does: a burst that
comes just before quiet hours, a quota that starts afresh at midnight, surveys that want the same quota two days later,
and agents who go home at nine. So this plays it: a model of our own, without the program, and with a fixed seed.
`python -m benchmarks.scale_simulation` prints the table of docs/scale.md in seconds.
"""

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.part import Part, Table
from benchmarks.show import show

DAY = 24 * 60
DAYS = 21
SALE = 3
"""The day of the sale; those before it fill the pipe."""
BAD = 0.3
"""Share of ratings that open a case (600 of 2,000 in the shipped sample of the measurements)."""
SURVEY_AFTER, SURVEYED = 2 * DAY, 0.9
QUIET_FROM, QUIET_TO = 21 * 60, 8 * 60
OPEN_FROM, OPEN_TO = 8 * 60, 21 * 60
MINUTES_PER_TICKET = 6
APOLOGY_TARGET, RESPONSE_TARGET = 12 * 60, 2 * 60
"""Twelve hours by the clock; the shipped journey's two hours of the team's working time."""


@dataclass(frozen=True)
class World:
    """One brand with one Official Account; `burst` is the sale's day over a usual one, half of it from 19 to 23."""

    name: str
    ratings_a_day: int = 1_000
    burst: float = 10
    quota_a_day: int = 5_000
    requests_per_s: float = 50
    agents: int = 4


@dataclass
class Queue:
    """First come, first served; counts by the minute they came in."""

    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    counted: int = SALE
    """The day on which those came in who are counted; others are served all the same."""
    waits: dict[int, int] = field(default_factory=dict)
    """Minutes waited to how many of them."""
    done_at: int = 0

    def put(self, minute: int, count: int) -> None:
        if count:
            self.waiting.append((minute, count))

    def serve(self, minute: int, capacity: int, waited: "Clock") -> int:
        """Serve up to `capacity`; returns how many."""
        left = capacity
        while self.waiting and left:
            since, count = self.waiting.popleft()
            taken = min(count, left)
            left -= taken
            if since // DAY == self.counted:
                wait = waited.between(since, minute)
                self.waits[wait] = self.waits.get(wait, 0) + taken
                self.done_at = minute
            if taken < count:
                self.waiting.appendleft((since, count - taken))
        return capacity - left

    def share_within(self, minutes: int) -> float:
        return sum(count for wait, count in self.waits.items() if wait <= minutes) / sum(self.waits.values())

    def wait_of(self, share: float) -> int:
        """By nearest rank, in minutes."""
        rest = math.ceil(share * sum(self.waits.values()))
        for wait, count in sorted(self.waits.items()):
            rest -= count
            if rest <= 0:
                return wait
        raise ValueError("nobody waited")


@dataclass(frozen=True)
class Clock:
    """Minutes that count: those between two times of every day."""

    start: int = 0
    end: int = DAY

    def between(self, since: int, until: int) -> int:
        return self._upto(until) - self._upto(since)

    def _upto(self, minute: int) -> int:
        day, rest = divmod(minute, DAY)
        return day * (self.end - self.start) + min(max(rest - self.start, 0), self.end - self.start)


def play(world: World, seed: int = 7) -> tuple[Queue, Queue, Queue]:
    """Three weeks; returns the apologies, the surveys, and the agents' first responses."""
    rng = random.Random(seed)
    apologies, responses = Queue(), Queue()
    surveys = Queue(counted=SALE + SURVEY_AFTER // DAY)
    later: dict[int, int] = {}
    quota = free = 0.0
    for minute in range(DAYS * DAY):
        of_day = minute % DAY
        if not of_day:
            quota = world.quota_a_day
        cases = _poisson(rng, _rate(world, minute) * BAD)
        apologies.put(minute, cases)
        responses.put(minute, cases)
        due = minute + SURVEY_AFTER
        later[due] = round(cases * SURVEYED)
        surveys.put(minute, later.pop(minute, 0))
        if QUIET_TO <= of_day < QUIET_FROM:
            capacity = int(min(quota, world.requests_per_s * 60))
            # A sweep takes its steps in order, so apologies come before surveys wherever both are due.
            sent = apologies.serve(minute, capacity, Clock())
            sent += surveys.serve(minute, capacity - sent, Clock())
            quota -= sent
        if OPEN_FROM <= of_day < OPEN_TO:
            free = min(free + world.agents / MINUTES_PER_TICKET, world.agents)
            free -= responses.serve(minute, int(free), Clock(OPEN_FROM, OPEN_TO))
    return apologies, surveys, responses


def _rate(world: World, minute: int) -> float:
    """Ratings expected in this minute: even over the day, but for half of the sale's, which come from 19 to 23."""
    usual = world.ratings_a_day / DAY
    if minute // DAY != SALE:
        return usual
    in_evening = 19 * 60 <= minute % DAY < 23 * 60
    return usual * world.burst * 0.5 * (1 + (DAY / 240 if in_evening else 0))


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


WORLDS = (
    World("a usual day", burst=1),
    World("a sale, 10 times"),
    World("quota 500", quota_a_day=500),
    World("quota 1,000", quota_a_day=1_000),
    World("2 requests/s", requests_per_s=2),
    World("12 agents", agents=12),
    World("a sale, 50 times", burst=50),
    World("50 times, quota 20,000, 40 agents", burst=50, quota_a_day=20_000, agents=40),
)


def rows() -> Iterator[tuple[str, ...]]:
    """One row for each world."""
    for world in WORLDS:
        apologies, surveys, responses = play(world)
        yield (
            world.name,
            f"{apologies.wait_of(0.5) / 60:.1f}",
            f"{apologies.wait_of(0.95) / 60:.1f}",
            f"{apologies.share_within(APOLOGY_TARGET):.0%}",
            f"{surveys.wait_of(0.95) / 60:.1f}",
            f"{responses.share_within(RESPONSE_TARGET):.0%}",
            f"{responses.done_at / DAY - SALE - 1:.1f}",
        )


def main() -> None:
    columns = (
        *("a brand of 1,000 ratings a day", "apology p50 h", "p95 h", "in 12 h", "survey p95 h late"),
        *("first response in 2 working h", "agents done, days after"),
    )
    note = "Customers and agents of the sale's day only. Unless said: quota 5,000, 50 requests/s, 4 agents."
    show(Part([Table("A sale's evening", columns, list(rows()), note)]))


if __name__ == "__main__":
    main()
