"""Prefect as one would first write it: a flow run per case, a task per step.

It never waits for agent or customer, whose acts it takes for done: that is in its favour. `async` throughout, since a
synchronous flow joins a heartbeat thread for up to a second. A run counts when Prefect's server has recorded it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa
from prefect import flow, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter
from prefect.client.schemas.objects import StateType

from benchmarks.engines import peer_rows as rows
from benchmarks.engines.cases import Complaint, Day
from benchmarks.engines.meter import Meter
from benchmarks.engines.order import Order
from benchmarks.engines.peer_calls import Calls, open_calls
from benchmarks.engines.vendor import Vendor
from benchmarks.part import FailedRun

STEPS = 8
LONGEST_S = 300.0
"""For so long the server may go on recording after the client has returned."""
_of_process: list[tuple[sa.Engine, Calls]] = []


def write(*writes: Sequence[rows.Write]) -> None:
    engine, _ = _of_process[0]
    with engine.begin() as tx:
        for statement, parameters in (each for group in writes for each in group):
            tx.execute(statement, parameters)


step = task(cache_policy=NO_CACHE, persist_result=False, retries=3, retry_delay_seconds=[1, 5, 20])


@step
async def detect(case: Complaint, at: datetime) -> None:
    write(rows.opened(case, at))


@step
async def acknowledge(case: Complaint, at: datetime) -> None:
    write(rows.settled(case, "acknowledge", await _of_process[0][1].apologise(case), at))


@step
async def open_ticket(case: Complaint, at: datetime) -> None:
    write(rows.ticket(case, at))


@step
async def notify_agent(case: Complaint, at: datetime) -> None:
    write(rows.settled(case, "notify", await _of_process[0][1].notify(case), at))


@step
async def watch_sla(case: Complaint, at: datetime) -> None:
    write(rows.watched(case, at))


@step
async def survey(case: Complaint, at: datetime) -> None:
    write(rows.settled(case, "survey", await _of_process[0][1].survey(case), at))


@step
async def reward(case: Complaint, at: datetime) -> None:
    write(rows.rewarded(case, at))
    write(rows.settled(case, "voucher", await _of_process[0][1].voucher(case), at))


@step
async def close(case: Complaint, at: datetime) -> None:
    write(rows.closed(case, at))


@flow(persist_result=False)
async def care_for(case: Complaint, at: datetime) -> None:
    await detect(case, at)
    await acknowledge(case, at)
    await open_ticket(case, at)
    await notify_agent(case, at)
    await watch_sla(case, at)
    await survey(case, at)
    await reward(case, at)
    await close(case, at)


class NaivePrefect:
    def __init__(self, order: Order, calls: Calls, engine: sa.Engine) -> None:
        self._at_once, self._calls, self._engine = order.at_once, calls, engine
        self._closed = 0

    async def play(self, batch: Sequence[Complaint], on: Day, meter: Meter) -> None:
        """Raises FailedRun when the server does not record every task run as completed."""
        await self._calls.log_in()
        gate, tag, at = asyncio.Semaphore(self._at_once), uuid4().hex, rows.utc_now(on.begins)

        async def one(case: Complaint) -> None:
            async with gate:
                await care_for(case, at)

        with meter.running(), tags(tag):
            await asyncio.gather(*(one(case) for case in batch))
            await _until_recorded(tag, STEPS * len(batch))
        self._closed += len(batch)
        with self._engine.connect() as connection:
            if (found := connection.scalar(rows.CLOSED)) != self._closed:
                raise FailedRun(f"{found} cases of {self._closed} are closed with a voucher")


async def _until_recorded(tag: str, wanted: int) -> None:
    query = TaskRunFilter.model_validate(
        {"tags": {"all_": [tag]}, "state": {"type": {"any_": [StateType.COMPLETED]}}}
    )
    deadline, found = time.monotonic() + LONGEST_S, 0
    async with get_client() as client:
        while found < wanted:
            if time.monotonic() > deadline:
                raise FailedRun(f"Prefect's server has recorded {found} of {wanted} task runs")
            await asyncio.sleep(0.1)
            answer = await client.request(
                "POST", "/task_runs/count", json={"task_runs": query.model_dump(mode="json")}
            )
            found = int(answer.json())


@asynccontextmanager
async def opened(order: Order, vendor: Vendor) -> AsyncIterator[NaivePrefect]:
    engine = sa.create_engine(order.database)
    with engine.begin() as tx:
        for statement in rows.SCHEMA:
            tx.exec_driver_sql(statement)
    async with open_calls(vendor.url) as calls:
        _of_process[:] = [(engine, calls)]
        yield NaivePrefect(order, calls, engine)
    engine.dispose()
