"""Playing the demo: the real flow, again and again, while a virtual clock runs through the window."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import inbox
from amends.store.audit import Finding
from amends.store.audit import audit as verify
from amends.store.engine import Store
from amends.store.reports import case_contacts, funnel
from cli.demo.agents import Agents
from cli.demo.audit import Audit, audit
from cli.demo.feed import Reviews, drop
from flows.complaint import complaint
from sandbox.process import Sandbox

START = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""Monday 2 November 2026, 09:00 in Viet Nam. Fixed, so that the same seed gives the same numbers on any day."""
TICK = timedelta(hours=3)
"""How far the clock moves between two sweeps. In production a sweep comes every few minutes."""


@dataclass(frozen=True, slots=True)
class Played:
    """The outcome of a demo."""

    figures: dict[str, int]
    audit: Audit
    findings: list[Finding]
    """How every rule of `amends verify` fared on our own books."""
    sweeps: int


async def play(
    journey: ComplaintJourney,
    reviews: Reviews,
    store: Store,
    clock: VirtualClock,
    sandbox: Sandbox,
    *,
    inbox_folder: Path,
    seed: int,
    days: int,
    on_tick: Callable[[datetime], None],
) -> Played:
    """Play `days` days; reviews arrive, sweeps run, customers and agents answer."""
    with store.begin() as tx:
        inbox.reject(tx, journey.name, reviews.rejected, clock.now())
    agents = Agents(store, journey, seed)
    end, arrived, sweeps = START + timedelta(days=days), 0, 0
    while True:
        now = clock.now()
        sandbox.set_clock(now)
        upto = arrived
        while upto < len(reviews.arrivals) and reviews.arrivals[upto].occurred_at <= now:
            upto += 1
        dropped = drop(inbox_folder, reviews.arrivals[arrived:upto], sweeps)
        arrived = upto
        await complaint(journey)
        sweeps += 1
        for path in dropped:
            path.unlink()
        on_tick(now)
        if now >= end:
            break
        clock.set(min(now + TICK, end))
        await asyncio.to_thread(agents.work_until, clock.now())
    with store.read() as tx:
        figures = funnel(tx, journey.name, clock.now()).as_dict()
        contacts = case_contacts(tx, journey.name)
    book = audit(sandbox.book(), contacts, max_reopens=journey.max_reopens)
    return Played(figures, book, verify(store, clock.now()), sweeps)
