"""A run for news goes on while more comes in, and ends by itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from amends.clock import VirtualClock
from amends.domain.detection import Verdict
from amends.store import inbox
from amends.store.engine import Store
from amends.store.inbox import Route
from tasks import arrivals as module
from tasks.arrivals import arrivals
from tests.domain.examples import JOURNEY, NINE
from tests.store.rows import feedback
from tests.tasks.rig import sweep_over


def arrive(store: Store, *ids: str) -> None:
    with store.begin() as tx:
        inbox.receive(tx, JOURNEY.name, [replace(feedback(id_), source="till") for id_ in ids], NINE)


def judge_all(store: Store) -> int:
    with store.begin() as tx:
        taken = inbox.take_unrouted(tx, JOURNEY.name, 100)
        inbox.route(tx, [Route(one.id, Verdict.ABOVE_THRESHOLD, "fine") for one in taken], NINE)
    return len(taken)


async def rounds(store: Store, home: Path, later: list[list[str]], linger: float) -> list[int]:
    """How many ratings each round of a run found; after each round the next of `later` comes in."""
    sweep = sweep_over(store, home, clock=VirtualClock(NINE), channels={})
    found = []
    async for _ in arrivals(sweep, linger):
        found.append(judge_all(store))
        if later:
            arrive(store, *later.pop(0))
    return found


async def test_what_comes_in_during_a_run_is_another_round_of_it(store: Store, tmp_path: Path) -> None:
    arrive(store, "1")
    assert await rounds(store, tmp_path, [["2", "3"], ["4"]], linger=0.05) == [1, 2, 1]


async def test_what_a_step_has_left_over_is_another_round(store: Store, tmp_path: Path) -> None:
    sweep = sweep_over(store, tmp_path, clock=VirtualClock(NINE), channels={})
    rounds = 0
    async for _ in arrivals(sweep, 0.05):
        rounds += 1
        sweep.left_over = rounds < 3
    assert rounds == 3


async def test_without_lingering_there_is_one_round(store: Store, tmp_path: Path) -> None:
    arrive(store, "1")
    assert await rounds(store, tmp_path, [["2"]], linger=0) == [1]


async def test_a_run_ends_though_more_keeps_coming(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_RUN_S", 0.05)
    found = await rounds(store, tmp_path, [[str(n)] for n in range(10_000)], linger=1)
    assert 1 <= len(found) < 10_000
