"""Two sweeps at once, and one sweep over ten thousand cases."""

import asyncio
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store.schema import cases, effects
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.flows.bench import drop_reviews, move, review, sent, solve_all
from tests.flows.child import Orders, start_sweep


async def test_two_sweeps_at_once_double_nothing(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock, prefect_api: str
) -> None:
    """Two processes, the same database, the same due cases, through apology, survey and close."""
    people = [review(n, phone=f"8491200{n:04d}") for n in range(120)]
    again = [review(1_000 + n, phone=f"8491200{n:04d}") for n in range(0, 120, 3)]
    drop_reviews(runtime, "monday", people + again)
    for _ in range(2):
        orders = Orders.of(runtime, journey, prefect_api)
        children = [start_sweep(orders) for _ in range(2)]
        for child in children:
            await asyncio.to_thread(child.join, 240)
        assert [child.exitcode for child in children] == [0, 0]
        solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=20)))
        move(clock, sandbox, timedelta(hours=4))

    with runtime.store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(cases)).scalar() == 120
        states = set(tx.execute(sa.select(effects.c.state).distinct()).scalars())
    assert states <= {"accepted", "refused"}
    counted = sent(sandbox.book())
    assert set(counted.values()) == {1}
    apologies = sum(1 for _, kind in counted if kind == "custom")
    refused = {entry["phone"] for entry in sandbox.book(kind="zns_refused", template_type="custom")}
    assert apologies + len(refused) == 120


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
