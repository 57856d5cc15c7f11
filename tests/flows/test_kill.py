"""SIGKILL at every ledger transition: run again, and the vendor's book is the same but for what is uncertain."""

import asyncio
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store.engine import Store
from amends.store.schema import effects
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.conftest import CIPHER, copy_database
from tests.flows.bench import BEST_MARK, NEVER_RATES, drop_reviews, move, review, sent, solve_all
from tests.flows.child import Orders, start_sweep

OPEN_CALLS = 2
LEASE = timedelta(seconds=130)
"""A little more than the lease of a dead sweep."""


async def _busy_morning(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    """Bring cases to every step that sends: apologies, notifications, surveys and a voucher are due at once."""
    drop_reviews(runtime, "first", [review(1, phone=BEST_MARK), review(2, phone=NEVER_RATES)])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=20)))
    move(clock, sandbox, timedelta(hours=4))
    await complaint(journey)
    drop_reviews(runtime, "second", [review(3, phone="84912000003")])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=20)))
    move(clock, sandbox, timedelta(hours=5))
    drop_reviews(runtime, "third", [review(n, phone=f"8491200001{n}") for n in (4, 5, 6)])


@pytest.mark.slow
async def test_a_sweep_killed_at_any_ledger_transition_is_finished_by_the_next(
    runtime: Runtime,
    journey: ComplaintJourney,
    sandbox: Sandbox,
    clock: VirtualClock,
    prefect_api: str,
    tmp_path: Path,
) -> None:
    settings = runtime.settings.model_copy(update={"open_calls": OPEN_CALLS})
    runtime = Runtime(settings, runtime.store, clock)
    use_runtime(runtime)
    await _busy_morning(runtime, journey, sandbox, clock)
    runtime.store.close()
    origin = runtime.store.engine.url.render_as_string(hide_password=False)

    async def play(kill_at: int) -> tuple[int, Counter[tuple[str, str]], list[Any]]:
        """From the busy morning's database: a sweep killed there, then a whole one after the lease."""
        before = len(sandbox.book())
        url = copy_database(origin, tmp_path, f"kill{kill_at}")
        store = Store(url, CIPHER)
        start = VirtualClock(clock.now())
        orders = Orders.of(Runtime(settings, store, start), journey, prefect_api, kill_at)
        exit_code = 0
        if kill_at:
            child = start_sweep(orders)
            await asyncio.to_thread(child.join, 180)
            exit_code = child.exitcode if child.exitcode is not None else 1
            start.advance(LEASE)
        use_runtime(Runtime(settings, store, start))
        await complaint(journey)
        with store.read() as tx:
            uncertain = tx.execute(sa.select(effects).where(effects.c.state == "uncertain")).all()
            resent = tx.execute(sa.select(effects).where(effects.c.attempts > 1)).all()
        store.close()
        assert all(row.detail for row in uncertain)
        assert len(uncertain) + len(resent) <= OPEN_CALLS
        return exit_code, sent(sandbox.book()[before:]), [*uncertain, *resent]

    _, whole, nothing_uncertain = await play(0)
    assert whole.total() >= 8
    assert nothing_uncertain == []

    # Every transition on SQLite; on PostgreSQL, where each try copies a database, every third.
    stride = 3 if runtime.store.is_postgres else 1
    for kill_at in range(1, 500, stride):
        exit_code, got, unsure = await play(kill_at)
        if exit_code == 0:
            break
        assert exit_code == -9
        missing, extra = whole - got, got - whole
        customers_extra = {key: n for key, n in extra.items() if key[1] in ("custom", "rating", "voucher")}
        assert not customers_extra, f"transition {kill_at}: sent twice {customers_extra}"
        # What is missing or an agent got twice is one of the calls that were open, and the ledger lists it.
        assert missing.total() + extra.total() <= len(unsure), f"transition {kill_at}: {missing} {extra}"
    assert kill_at > 20, "the sweep has fewer ledger transitions than it should"
    shutil.rmtree(tmp_path / "prefect-child", ignore_errors=True)
