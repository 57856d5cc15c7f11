"""The audit as a run at Prefect: clean after a real sweep, and Failed, told and tabled when somebody has broken it."""

import json
import time
from typing import Any

import httpx
import pytest

from amends.domain.journey import ComplaintJourney
from amends.store.schema import budgets, effects, feedbacks
from flows.complaint import complaint
from flows.verify import verify
from tasks.sweep import Runtime
from tests.flows.bench import NOT_ON_ZALO, drop_reviews, review

PHONE = "84912345678"


class Prefect:
    """What the server keeps of runs."""

    def __init__(self, api: str) -> None:
        self.api = api

    def ask(self, path: str, **body: object) -> Any:
        return httpx.post(f"{self.api}/{path}", json=body, timeout=30).raise_for_status().json()

    def run(self, run_id: object) -> Any:
        return httpx.get(f"{self.api}/flow_runs/{run_id}", timeout=30).raise_for_status().json()

    def events_of(self, run_id: object, prefix: str) -> list[Any]:
        """Our own events of a run; they arrive a moment after it."""
        wanted = {"event": {"prefix": [prefix]}, "any_resource": {"id": [f"prefect.flow-run.{run_id}"]}}
        for _ in range(600):
            if found := self.ask("events/filter", filter=wanted)["events"]:
                return list(found)
            time.sleep(0.1)
        return []

    def table_of(self, run_id: object) -> list[Any]:
        [artifact] = self.ask("artifacts/filter", flow_runs={"id": {"any_": [str(run_id)]}})
        assert artifact["key"] == "verify"
        return list(json.loads(artifact["data"]))


@pytest.fixture
def prefect(prefect_api: str) -> Prefect:
    return Prefect(prefect_api)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_clean_after_a_sweep_and_told_when_broken(
    prefect: Prefect, runtime: Runtime, journey: ComplaintJourney
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=PHONE), review(2, phone=NOT_ON_ZALO)])
    await complaint(journey, read_back_days=3)
    state = await verify(return_state=True)
    run_id = state.state_details.flow_run_id
    assert (state.name, state.message) == ("Completed", "clean")
    assert {row["result"] for row in prefect.table_of(run_id)} == {"ok"}
    [event] = prefect.events_of(run_id, "amends.verify.")
    assert (event["event"], event["resource"]["prefect.resource.id"]) == (
        "amends.verify.clean",
        "amends.installation",
    )
    with runtime.store.begin() as tx:
        tx.execute(feedbacks.update().where(feedbacks.c.external_id == "r1").values(reason=""))
        tx.execute(budgets.insert().values(journey="complaint", spent_count=3, spent_vnd=0))
    state = await verify(return_state=True)
    run_id = state.state_details.flow_run_id
    assert (state.name, state.message) == ("Failed", "feedback.verdict 1x, voucher.budget 1x")
    broken = {row["rule"]: row for row in prefect.table_of(run_id) if row["result"] == "VIOLATED"}
    assert broken.keys() == {"feedback.verdict", "voucher.budget"}
    assert broken["feedback.verdict"]["first"].endswith("(AM000001)")
    [event] = prefect.events_of(run_id, "amends.verify.")
    assert event["event"] == "amends.verify.violated"
    assert event["payload"] == {
        "violations": {"feedback.verdict": 1, "voucher.budget": 1},
        "journeys": ["complaint"],
    }
    run = prefect.run(run_id)
    assert run["state"]["type"] == "FAILED"
    assert PHONE not in json.dumps([event, broken, run])


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_the_daily_sweep_says_what_it_reconciled(
    prefect: Prefect, runtime: Runtime, journey: ComplaintJourney
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=PHONE)])
    frequent = await complaint(journey, return_state=True)
    assert "reconcile" not in await frequent.aresult()
    with runtime.store.begin() as tx:
        tx.execute(effects.update().where(effects.c.step == "notify_agent").values(state="waiting"))
    daily = await complaint(journey, read_back_days=3, return_state=True)
    assert (await daily.aresult())["reconcile"] == {"missed ratings": 0, "repaired": 1}
    [event] = prefect.events_of(daily.state_details.flow_run_id, "amends.reconciled")
    assert event["resource"]["prefect.resource.id"] == "amends.journey.complaint"
    assert event["payload"] == {
        "journey": "complaint",
        "missed": {},
        "repaired": {"notify agent": 1},
        "proved": 0,
    }
