"""A step works off all that is due, or one small chunk of the newest and says whether there is more."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.effects import Step
from amends.store import agenda
from amends.store.agenda import Claim, Item
from amends.store.engine import Store
from amends.store.schema import agenda as rows
from tasks import chunks
from tasks.sweep import Sweep
from tests.domain.examples import JOURNEY, NINE
from tests.store.rows import add_case
from tests.tasks.rig import sweep_over

DUE = 5


@pytest.fixture
def sweep(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """A sweep of five cases whose surveys are due, the first the longest; chunks without Prefect."""
    monkeypatch.setattr(chunks, "_task_of", lambda _step: chunks._chunk)
    with store.begin() as tx:
        for hours in range(DUE, 0, -1):
            due_at = NINE - timedelta(hours=hours)
            agenda.plan(tx, [Item(add_case(tx), JOURNEY.name, Step.SURVEY, 0, due_at)])
    return sweep_over(store, tmp_path, clock=VirtualClock(NINE), channels={})


async def work_off(sweep: Sweep) -> list[list[int]]:
    """The places in order of age that each chunk of surveys took, the oldest being 0."""
    taken: list[list[int]] = []

    async def note(_sweep: Sweep, claims: list[Claim]) -> None:
        taken.append([claim.id - first for claim in claims])
        with sweep.store.begin() as tx:
            agenda.finish(tx, [(claim, "sent") for claim in claims])

    with sweep.store.read() as tx:
        first = tx.execute(sa.select(sa.func.min(rows.c.id))).scalar_one()
    await chunks.run_due(sweep, Step.SURVEY, note)
    return taken


async def test_a_sweep_takes_all_oldest_first(sweep: Sweep) -> None:
    sweep.settings = sweep.settings.model_copy(update={"chunk_size": 2})
    assert await work_off(sweep) == [[0, 1], [2, 3], [4]]
    assert not sweep.left_over


async def test_a_run_for_news_takes_the_newest_and_leaves_the_rest(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "NEWS_CHUNK", 2)
    sweep.newest_first = True
    assert await work_off(sweep) == [[4, 3]]
    assert sweep.left_over


async def test_a_run_for_news_that_has_taken_all_leaves_nothing(sweep: Sweep) -> None:
    sweep.newest_first = True
    assert await work_off(sweep) == [[4, 3, 2, 1, 0]]
    assert not sweep.left_over
