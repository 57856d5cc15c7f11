"""One database with so many idle cases, and sweeps over it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import agenda, tickets
from amends.store.engine import Store
from amends.store.opening import open_store
from benchmarks.checks import same_book, verified
from benchmarks.databases import empty_database
from benchmarks.growth.idle import MODELS, multiply
from benchmarks.part import FailedRun
from benchmarks.shop import MONDAY, drop_reviews, entry_name, expected_of, journey_of, settings_of
from flows.complaint import complaint
from sandbox.process import Sandbox, running_sandbox
from tasks.sweep import Runtime, use_runtime

NOW = MONDAY + timedelta(days=7, minutes=10)
"""When sweeps are timed: cases are closed, with an agent, or wait for their survey."""


@dataclass(frozen=True)
class Stage:
    """`cases` idle ones in a database of their own."""

    kind: str
    wanted: int
    cases: int
    runtime: Runtime
    sandbox: Sandbox
    journey: ComplaintJourney

    def sweep(self, name: str, numbers: range) -> float:
        """Seconds of one sweep over new bad ratings, checked against the vendor's book; none of them: an idle sweep."""
        if numbers:
            drop_reviews(self.runtime.settings.home, name, numbers, NOW - timedelta(hours=1))
        before = len(self.sandbox.book())
        use_runtime(self.runtime)
        started = time.perf_counter()
        asyncio.run(complaint(self.journey))
        seconds = time.perf_counter() - started
        same_book(self.sandbox.book()[before:], expected_of(numbers), entry_name)
        return seconds

    def check(self) -> None:
        verified(self.runtime.store, NOW)


@contextmanager
def opened_stage(kind: str, idle: int, home: Path) -> Iterator[Stage]:
    """A few cases played by the product, then copied until there are at least `idle`; a sandbox of its own."""
    home.mkdir()
    with running_sandbox(7, MONDAY) as sandbox, empty_database(kind) as url:
        settings = settings_of(home, url, sandbox)
        store, journey = open_store(settings), journey_of(home)
        store.migrate()
        runtime = Runtime(settings, store, VirtualClock(MONDAY))
        try:
            _play(runtime, sandbox, journey)
            cases = multiply(store, idle)
            with store.read() as tx:
                due = agenda.next_due_at(tx, journey.name)
            if due is None or due <= NOW:
                raise FailedRun(f"the idle cases are not idle: something is due at {due}")
            yield Stage(kind, idle, cases, runtime, sandbox, journey)
        finally:
            store.close()


def _play(runtime: Runtime, sandbox: Sandbox, journey: ComplaintJourney) -> None:
    use_runtime(runtime)
    half, home = MODELS // 2, runtime.settings.home
    drop_reviews(home, "first", range(half), MONDAY - timedelta(hours=1))
    _sweep_at(MONDAY, runtime, sandbox, journey)
    _solve(runtime.store, half, MONDAY + timedelta(minutes=5))
    for hours in (5, 60, 110):  # the survey, its reminder, and the end of the answer's window
        _sweep_at(MONDAY + timedelta(hours=hours), runtime, sandbox, journey)
    again = MONDAY + timedelta(days=7)
    drop_reviews(home, "second", range(half, MODELS), again - timedelta(hours=1))
    _sweep_at(again, runtime, sandbox, journey)
    _solve(runtime.store, half // 2, again + timedelta(minutes=5))
    _sweep_at(NOW, runtime, sandbox, journey)


def _sweep_at(now: datetime, runtime: Runtime, sandbox: Sandbox, journey: ComplaintJourney) -> None:
    clock = runtime.clock
    if isinstance(clock, VirtualClock):
        clock.advance(now - clock.now())
    sandbox.set_clock(now)
    asyncio.run(complaint(journey))


def _solve(store: Store, count: int, now: datetime) -> None:
    with store.begin() as tx:
        for ticket in tickets.unsolved(tx)[:count]:
            tickets.solve(tx, ticket.id, ticket.assignee or "lan", "giao hàng", now)
