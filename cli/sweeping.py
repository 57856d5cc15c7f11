"""One sweep in this process, recorded by a Prefect server like any other."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings

from amends.clock import SystemClock
from amends.domain.journey import ComplaintJourney
from amends.settings import Settings
from amends.store.engine import Store
from cli.guard import Trouble, warn
from cli.show import heading, print_json, print_table
from deployments.api import api_settings
from deployments.server import prefect_server
from deployments.serving import answers, running_server
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep left: its run's id at Prefect, the figures, and the rows of its report."""

    run_id: str
    results: dict[str, dict[str, int]]
    report: list[dict[str, Any]]


def sweep_once(journey: ComplaintJourney, settings: Settings, store: Store, read_back_days: float) -> Swept:
    """Sweep now. Raises Trouble when the sweep failed."""
    use_runtime(Runtime(settings, store, SystemClock()))
    with api_in_use(settings) as url, temporary_settings(api_settings(url, settings.home / "prefect")):
        return asyncio.run(_sweep(journey, read_back_days))


@contextmanager
def api_in_use(settings: Settings) -> Iterator[str]:
    """The API to record runs at: the configured one, that of `amends serve`, or one for this run alone."""
    home = settings.home / "prefect"
    if url := PREFECT_API_URL.value():
        if not answers(url):
            raise Trouble("nothing answers at PREFECT_API_URL; start that server, or unset the variable")
        yield url
        return
    if url := running_server(home):
        yield url
        return
    warn("starting Prefect's server for this run (`amends serve` keeps one running) ...")
    with prefect_server(home) as url:
        yield url


async def _sweep(journey: ComplaintJourney, read_back_days: float) -> Swept:
    state = await complaint(journey, read_back_days, return_state=True)
    result = await state.aresult(raise_on_failure=False)
    if isinstance(result, Exception):
        raise result
    run_id = state.state_details.flow_run_id
    if not state.is_completed() or run_id is None:
        raise Trouble(f"the sweep ended as {state.name}: {state.message}")
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    async with get_client() as client:
        artifacts = await client.read_artifacts(flow_run_filter=of_run)
    report = [row for artifact in artifacts for row in json.loads(str(artifact.data))]
    return Swept(str(run_id), result, report)


def show(journey: ComplaintJourney, swept: Swept, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "journey": journey.name,
                "flow_run": swept.run_id,
                "results": swept.results,
                "report": swept.report,
            }
        )
        return
    heading(f"Sweep of {journey.name}")
    if not swept.report:
        print("Nothing was due.")
        return
    columns = ["step", "due", "results", "reasons", "seconds"]
    print_table(columns, [[row[name] for name in columns] for row in swept.report])
