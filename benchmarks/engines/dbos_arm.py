"""DBOS: a durable workflow per case on PostgreSQL, its rows in the transactions of a datasource, its calls in steps.

A workflow waits for agent and customer in `recv`, as its documents show for a human in the loop. Workflows are started
at once and not through a queue: one that waits for days would hold the queue's place. All that people do comes in one
`send_bulk`, and the clock starts after it: both are in its favour. Steps run at least once: a process that dies in a
call repeats it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSConfig, SendMessage
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.engines import peer_rows as rows
from benchmarks.engines.cases import Complaint, Day
from benchmarks.engines.meter import Meter
from benchmarks.engines.order import Order
from benchmarks.engines.peer_calls import Calls, open_calls
from benchmarks.engines.vendor import Vendor
from benchmarks.part import FailedRun

LONGEST_WAIT_S = 14 * 86_400.0


class Progress:
    """How many of the cases wait for people now; the benchmark's only, no part of the workflow."""

    def __init__(self) -> None:
        self._waiting, self._wanted, self._reached = 0, 0, asyncio.Event()

    def expect(self, wanted: int) -> None:
        self._waiting, self._wanted = 0, wanted
        self._reached.clear()

    def waits(self) -> None:
        self._waiting += 1
        if self._waiting == self._wanted:
            self._reached.set()

    async def all_wait(self) -> None:
        await self._reached.wait()


class Journey:
    """The workflow and its steps; a case's number is all that DBOS keeps as input."""

    def __init__(self, data: AsyncSQLAlchemyDatasource, calls: Calls, progress: Progress) -> None:
        cases: dict[int, Complaint] = {}
        self.cases = cases

        async def write(*writes: Sequence[rows.Write]) -> None:
            session = data.sql_session()
            for statement, parameters in (each for group in writes for each in group):
                await session.execute(statement, parameters)

        def case_of(number: int) -> tuple[Complaint, datetime]:
            return cases[number], rows.utc_now(cases[number].at)

        transaction = data.transaction(isolation_level="READ COMMITTED")

        @transaction
        async def detect(number: int) -> None:
            await write(rows.opened(*case_of(number)))

        @DBOS.step()
        async def apologise(number: int) -> str:
            return await calls.apologise(cases[number])

        @transaction
        async def open_ticket(number: int, msg_id: str) -> None:
            case, at = case_of(number)
            await write(rows.settled(case, "acknowledge", msg_id, at), rows.ticket(case, at))

        @DBOS.step()
        async def notify(number: int) -> str:
            return await calls.notify(cases[number])

        @transaction
        async def notified(number: int, msg_id: str) -> None:
            case, at = case_of(number)
            await write(rows.settled(case, "notify", msg_id, at))

        @transaction
        async def watch_sla(number: int) -> None:
            await write(rows.watched(*case_of(number)))

        @DBOS.step()
        async def survey(number: int) -> str:
            return await calls.survey(cases[number])

        @transaction
        async def asked(number: int, msg_id: str) -> None:
            case, at = case_of(number)
            await write(rows.settled(case, "survey", msg_id, at))

        @transaction
        async def reward(number: int) -> None:
            await write(rows.rewarded(*case_of(number)))

        @DBOS.step()
        async def voucher(number: int) -> str:
            return await calls.voucher(cases[number])

        @transaction
        async def close(number: int, msg_id: str) -> None:
            case, at = case_of(number)
            await write(rows.settled(case, "voucher", msg_id, at), rows.closed(case, at))

        @DBOS.workflow()
        async def care_for(number: int) -> None:
            await detect(number)
            await open_ticket(number, await apologise(number))
            await notified(number, await notify(number))
            progress.waits()
            await DBOS.recv_async("solved", timeout_seconds=LONGEST_WAIT_S)
            await watch_sla(number)
            await asked(number, await survey(number))
            progress.waits()
            await DBOS.recv_async("answered", timeout_seconds=LONGEST_WAIT_S)
            await reward(number)
            await close(number, await voucher(number))

        self.care_for = care_for


class Dbos:
    def __init__(self, data: AsyncSQLAlchemyDatasource, calls: Calls) -> None:
        self._data, self._calls, self._progress = data, calls, Progress()
        self._journey = Journey(data, calls, self._progress)
        self._closed = 0
        DBOS.launch()

    async def play(self, batch: Sequence[Complaint], on: Day, meter: Meter) -> None:
        """Raises FailedRun when a case is not closed."""
        await self._calls.log_in()
        self._journey.cases |= {case.number: case for case in batch}
        self._progress.expect(len(batch))
        with meter.running():
            started = (DBOS.start_workflow_async(self._journey.care_for, case.number) for case in batch)
            handles = await asyncio.gather(*started)
            results = [asyncio.ensure_future(handle.get_result()) for handle in handles]
            await self._all_wait(results)
        self._progress.expect(len(batch))
        await self._tell(handles, "solved")
        with meter.running():
            await self._all_wait(results)
        await self._tell(handles, "answered")
        with meter.running():
            await asyncio.gather(*results)
        self._closed += len(batch)
        async with self._data.engine.connect() as connection:
            if (found := await connection.scalar(rows.CLOSED)) != self._closed:
                raise FailedRun(f"{found} cases of {self._closed} are closed with a voucher")

    async def _all_wait(self, results: Sequence[asyncio.Future[None]]) -> None:
        """Until every workflow waits for people; one that has ended before that has failed, and its error is raised."""
        waiting = asyncio.ensure_future(self._progress.all_wait())
        ended, _ = await asyncio.wait([waiting, *results], return_when=asyncio.FIRST_COMPLETED)
        for each in ended:
            each.result()

    async def _tell(self, handles: Sequence[Any], topic: str) -> None:
        messages = [SendMessage(handle.get_workflow_id(), "yes", topic) for handle in handles]
        await DBOS.send_bulk_async(messages)


@asynccontextmanager
async def opened(order: Order, vendor: Vendor) -> AsyncIterator[Dbos]:
    url = sa.make_url(order.database)
    plain = url.render_as_string(hide_password=False)
    config: DBOSConfig = {"name": "amends-bench", "system_database_url": plain, "log_level": "ERROR"}
    DBOS(config=config)
    engine = create_async_engine(url, pool_size=order.at_once, max_overflow=0)
    async with engine.begin() as tx:
        for statement in rows.SCHEMA:
            await tx.exec_driver_sql(statement)
    data = await AsyncSQLAlchemyDatasource.create(plain, engine=engine)
    async with open_calls(vendor.url) as calls:
        yield Dbos(data, calls)
    DBOS.destroy()
    await engine.dispose()
