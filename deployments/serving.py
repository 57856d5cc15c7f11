"""Serving journeys: each is two Prefect deployments, a frequent sweep and a daily one; one more verifies them all."""

import asyncio
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from amends.domain.journey import ComplaintJourney, version_of
from deployments.warm_start import start_warm
from flows.complaint import complaint
from flows.verify import verify

READ_BACK_DAYS = 3
"""How far the daily sweep reads ratings back, in days."""
STOP_SECONDS = 20

# A fixed origin, so that a restart neither moves the sweeps nor makes Prefect plan them anew.
_ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)

_FLOWS: dict[str | None, Flow[..., Any]] = {flow.name: flow for flow in (complaint, verify)}

# The next sweep does what this one would have done, so a run that finds another one running is not worth a queue.
_ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def deployments_of(journey: ComplaintJourney, every: timedelta, daily_at: time) -> list[RunnerDeployment]:
    """`<journey>-frequent` and `<journey>-daily`; `daily_at` is in the brand's time zone.

    The journey itself is the parameter, so that Prefect's form shows it field by field.
    """
    often = Interval(every, anchor_date=_ORIGIN, timezone=journey.timezone, slug="frequent")
    daily = Cron(f"{daily_at.minute} {daily_at.hour} * * *", timezone=journey.timezone, slug="daily")
    minutes = f"{every.total_seconds() / 60:g}"
    return [
        _deployment(journey, "frequent", often, 0, f"a sweep every {minutes} min"),
        _deployment(
            journey,
            "daily",
            daily,
            READ_BACK_DAYS,
            f"a sweep at {daily_at:%H:%M} that reads ratings back {READ_BACK_DAYS} days",
        ),
    ]


def _deployment(
    journey: ComplaintJourney, kind: str, schedule: Schedule, read_back_days: float, what: str
) -> RunnerDeployment:
    version = version_of(journey)
    return RunnerDeployment.from_flow(
        complaint,
        name=f"{journey.name}-{kind}",
        schedule=schedule,
        parameters={"journey": journey.model_dump(mode="json"), "read_back_days": read_back_days},
        version=version,
        description=(
            f"Complaint journey **{journey.name}** of {journey.brand}, version `{version}`: {what}, "
            f"times in {journey.timezone}."
        ),
        tags=["amends", journey.name],
        concurrency_limit=_ONE_AT_A_TIME,
        # By module, so that the working directory may be any: paths in journeys are relative to it.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def verify_deployment(every: timedelta) -> RunnerDeployment:
    """`verify`, the audit of the whole installation."""
    return RunnerDeployment.from_flow(
        verify,
        name="verify",
        schedule=Interval(every, anchor_date=_ORIGIN, timezone="UTC", slug="verify"),
        description=f"The audit of all journeys' books, every {every.total_seconds() / 60:g} min. It changes nothing.",
        tags=["amends"],
        concurrency_limit=_ONE_AT_A_TIME,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


async def serve_until_stopped(deployments: Sequence[RunnerDeployment]) -> None:
    """Register the deployments and run what is due, a forked process per run, until SIGINT, SIGTERM or SIGHUP.

    At the end the schedules are paused, so that no backlog of missed runs waits for the next start, which
    resumes them. Runs under way are cancelled; the next sweep goes on where they stopped.
    """
    runner = Runner(name="amends", pause_on_shutdown=True)
    for deployment in deployments:
        deployment_id = await runner.aadd_deployment(deployment)
        start_warm(runner, deployment_id, _FLOWS[deployment.flow_name])
    serving = asyncio.create_task(runner.start())
    stopped = asyncio.Event()
    await asyncio.sleep(0)  # the runner sets its own handler of SIGTERM first; ours replaces it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stopped.is_set() and runner.started:
        await runner.astop()
    # Pausing asks the API, again and again when that is away; nobody waits for it longer than this.
    await asyncio.wait({serving}, timeout=STOP_SECONDS)
    if not serving.done():
        serving.cancel()
        await asyncio.wait({serving})
    if not serving.cancelled() and not stopped.is_set():
        serving.result()  # raises what ended the runner by itself


@contextmanager
def announced(home: Path, url: str) -> Iterator[None]:
    """Note in `home` that the server at `url` is ours, for `running_server`, as long as the block lasts."""
    note = home / "serving.json"
    note.write_text(json.dumps({"url": url}), encoding="utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def running_server(home: Path) -> str | None:
    """The API URL of the server that `amends serve` runs with this home; None when none answers."""
    try:
        url = str(json.loads((home / "serving.json").read_text(encoding="utf-8"))["url"])
        # A killed `amends serve` leaves its note behind, but its server ends with it.
        return url if httpx.get(f"{url}/health", timeout=5).status_code == 200 else None
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None


def answers(url: str) -> bool:
    """Whether anything answers at this API URL, be it a refusal."""
    try:
        httpx.get(f"{url}/health", timeout=10)
    except httpx.HTTPError:
        return False
    return True
