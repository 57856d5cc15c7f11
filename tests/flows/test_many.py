"""One sweep over ten thousand cases."""

import asyncio

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from amends.domain.journey import ComplaintJourney
from amends.store.schema import cases, effects
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime
from tests.flows.bench import drop_reviews, review


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_sweep_over_ten_thousand_due_cases_is_tens_of_task_runs(
    runtime: Runtime, journey: ComplaintJourney, prefect_api: str
) -> None:
    """Nobody has a phone here, so every step but the agents' notifications runs; those go to a file."""
    contacts = {
        name: SecretStr(f"amends-file://{runtime.settings.home / 'agents.jsonl'}")
        for name in journey.contacts()
    }
    settings = runtime.settings.model_copy(update={"contacts": contacts})
    use_runtime(Runtime(settings, runtime.store, runtime.clock))
    drop_reviews(runtime, "flood", (review(n, phone=None) for n in range(10_000)))

    state = await complaint(journey, return_state=True)

    assert state.is_completed()
    with runtime.store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(cases)).scalar() == 10_000
        told = sa.select(sa.func.count()).where(
            effects.c.step == "notify_agent", effects.c.state == "accepted"
        )
        assert tx.execute(told).scalar() == 10_000
    flow_run_id = str(state.state_details.flow_run_id)
    assert 20 <= await _recorded_task_runs(prefect_api, flow_run_id) < 100


async def _recorded_task_runs(api: str, flow_run_id: str) -> int:
    """The number of task runs the server has recorded, once it no longer grows (it records behind the client)."""
    query = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    async with httpx.AsyncClient() as client:
        seen = -1
        while True:
            counted = (await client.post(f"{api}/task_runs/count", json=query)).raise_for_status().json()
            if counted == seen and counted > 0:
                return int(counted)
            seen = counted
            await asyncio.sleep(2.5)  # another process's real time, not ours to drive
