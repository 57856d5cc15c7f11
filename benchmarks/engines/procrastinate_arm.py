"""procrastinate: a chain of jobs on PostgreSQL, each deferring the next in the transaction that writes its rows.

Jobs run at least once: a worker that dies in a call leaves its job `doing`, and whoever retries it repeats the call.
People's acts are deferred jobs; nothing of a case lives in a process between them.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.engines import peer_rows as rows
from benchmarks.engines.cases import Complaint, Day
from benchmarks.engines.meter import Meter
from benchmarks.engines.order import Order
from benchmarks.engines.peer_calls import Calls, open_calls
from benchmarks.engines.vendor import Vendor
from benchmarks.part import FailedRun


class Chain:
    """The jobs of one case, in order; each is handed the number of the case."""

    def __init__(self, app: App, engine: AsyncEngine, calls: Calls) -> None:
        self._engine, self._calls = engine, calls
        self.cases: dict[int, Complaint] = {}
        retried = {"retry": 3}
        self.detect: Task[Any, Any, Any] = app.task(name="detect", **retried)(self._detect)
        self.acknowledge: Task[Any, Any, Any] = app.task(name="acknowledge", **retried)(self._acknowledge)
        self.notify: Task[Any, Any, Any] = app.task(name="notify", **retried)(self._notify)
        self.solved: Task[Any, Any, Any] = app.task(name="solved", **retried)(self._solved)
        self.survey: Task[Any, Any, Any] = app.task(name="survey", **retried)(self._survey)
        self.answered: Task[Any, Any, Any] = app.task(name="answered", **retried)(self._answered)
        self.reward: Task[Any, Any, Any] = app.task(name="reward", **retried)(self._reward)

    async def _detect(self, number: int) -> None:
        case, at = self._case(number)
        await self._write(number, self.acknowledge, rows.opened(case, at))

    async def _acknowledge(self, number: int) -> None:
        case, at = self._case(number)
        sent = rows.settled(case, "acknowledge", await self._calls.apologise(case), at)
        await self._write(number, self.notify, sent, rows.ticket(case, at))

    async def _notify(self, number: int) -> None:
        case, at = self._case(number)
        await self._write(number, None, rows.settled(case, "notify", await self._calls.notify(case), at))

    async def _solved(self, number: int) -> None:
        case, at = self._case(number)
        await self._write(number, self.survey, rows.watched(case, at))

    async def _survey(self, number: int) -> None:
        case, at = self._case(number)
        await self._write(number, None, rows.settled(case, "survey", await self._calls.survey(case), at))

    async def _answered(self, number: int) -> None:
        case, at = self._case(number)
        await self._write(number, self.reward, rows.rewarded(case, at))

    async def _reward(self, number: int) -> None:
        case, at = self._case(number)
        sent = rows.settled(case, "voucher", await self._calls.voucher(case), at)
        await self._write(number, None, sent, rows.closed(case, at))

    def _case(self, number: int) -> tuple[Complaint, datetime]:
        case = self.cases[number]
        return case, rows.utc_now(case.at)

    async def _write(
        self, number: int, then: Task[Any, Any, Any] | None, *writes: Sequence[rows.Write]
    ) -> None:
        """The rows of a step and the job of the next one: both, or neither."""
        async with self._engine.begin() as tx:
            for statement, parameters in (each for group in writes for each in group):
                await tx.execute(statement, parameters)
            if then is not None:
                raw = await tx.get_raw_connection()
                await then.configure(connection=raw.driver_connection).defer_async(number=number)


class Procrastinate:
    def __init__(self, order: Order, app: App, engine: AsyncEngine, calls: Calls) -> None:
        self._at_once, self._app, self._engine, self._calls = order.at_once, app, engine, calls
        self._chain = Chain(app, engine, calls)
        self._closed = 0

    async def play(self, batch: Sequence[Complaint], on: Day, meter: Meter) -> None:
        """Raises FailedRun when a case is not closed."""
        await self._calls.log_in()
        self._chain.cases |= {case.number: case for case in batch}
        numbers = [{"number": case.number} for case in batch]
        with meter.running():
            await self._chain.detect.configure().batch_defer_async(*numbers)
            await self._work()
        await self._chain.solved.configure().batch_defer_async(*numbers)
        with meter.running():
            await self._work()
        await self._chain.answered.configure().batch_defer_async(*numbers)
        with meter.running():
            await self._work()
        self._closed += len(batch)
        async with self._engine.connect() as connection:
            if (found := await connection.scalar(rows.CLOSED)) != self._closed:
                raise FailedRun(f"{found} cases of {self._closed} are closed with a voucher")

    async def _work(self) -> None:
        """A worker until nothing is left to do."""
        await self._app.run_worker_async(
            concurrency=self._at_once, wait=False, install_signal_handlers=False, listen_notify=False
        )


@asynccontextmanager
async def opened(order: Order, vendor: Vendor) -> AsyncIterator[Procrastinate]:
    url = sa.make_url(order.database)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=plain, min_size=4, max_size=order.at_once))
    engine = create_async_engine(url, pool_size=order.at_once, max_overflow=0)
    async with engine.begin() as tx:
        for statement in rows.SCHEMA:
            await tx.exec_driver_sql(statement)
    async with app.open_async(), open_calls(vendor.url) as calls:
        await app.schema_manager.apply_schema_async()
        yield Procrastinate(order, app, engine, calls)
    await engine.dispose()
