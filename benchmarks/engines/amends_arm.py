"""Amends as it ships: the complaint journey's flow through Prefect, three sweeps a day, and people between them."""

import json
import pickle
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from psycopg.types.string import TextLoader
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney, load_journey
from amends.logs import set_up_logs
from amends.settings import Settings, ZaloSettings
from amends.store import tickets
from amends.store.engine import Store
from amends.store.opening import open_store
from amends.store.schema import cases, metadata, vouchers
from benchmarks.checks import verified
from benchmarks.engines.cases import MONDAY, Complaint, Day, as_row
from benchmarks.engines.meter import Meter
from benchmarks.engines.order import Order
from benchmarks.engines.vendor import APP, OPEN_CALLS, Vendor, customers_answer
from benchmarks.part import FailedRun
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime

JOURNEY = Path(__file__).resolve().parents[2] / "deployments" / "journeys" / "complaint.yaml"
Rows = dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]
"""Every row of a database as it is stored: by table and primary key."""


class Amends:
    """One installation: the shipped journey, its ratings from a file, its clock moved by hand."""

    def __init__(self, order: Order, vendor: Vendor) -> None:
        self._order, self._vendor, self._known = order, vendor, 0
        self._inbox = Path(order.home) / "inbox"
        self._inbox.mkdir()
        settings = _settings(order, vendor.url)
        self._store = open_store(settings)
        self._store.migrate()
        self._clock = VirtualClock(MONDAY)
        use_runtime(Runtime(settings, self._store, self._clock))
        self._journey = _journey(self._inbox)
        self._before: Rows = {}

    async def play(self, batch: Sequence[Complaint], on: Day, meter: Meter) -> None:
        """From the rating to the closed case; raises FailedRun when a case is not closed or has no voucher."""
        if self._order.script:
            self._before = _rows(self._store)
        self._ratings_come(batch, on)
        await self._sweep(meter)  # detect, apologise, open tickets, notify agents
        self._agents_solve(on)
        self._move(on, 1)
        await self._sweep(meter)  # look at the clocks, ask
        self._move(on, 2)
        self._known = customers_answer(self._vendor, self._known)
        await self._sweep(meter)  # hear, reward, close
        self._check(batch)

    async def _sweep(self, meter: Meter) -> None:
        with meter.running():
            await complaint(self._journey)

    def _move(self, on: Day, stage: int) -> None:
        now = (on.begins, on.asked, on.answered)[stage]
        self._clock.set(now)
        self._vendor.set_clock(now)

    def _ratings_come(self, batch: Sequence[Complaint], on: Day) -> None:
        self._move(on, 0)
        lines = (json.dumps(as_row(case), ensure_ascii=False) for case in batch)
        (self._inbox / f"{on.begins:%Y-%m-%d}.jsonl").write_text("\n".join(lines), "utf-8")

    def _agents_solve(self, on: Day) -> None:
        with self._store.begin() as tx:
            for ticket in tickets.unsolved(tx):
                tickets.solve(tx, ticket.id, ticket.assignee or "lan", "giao hàng", on.solved)

    def _check(self, batch: Sequence[Complaint]) -> None:
        verified(self._store, self._clock.now())
        numbers = [case.number for case in batch]
        with self._store.read() as tx:
            closed = sa.select(sa.func.count()).where(cases.c.id.in_(numbers), cases.c.closed_at.is_not(None))
            given = sa.select(sa.func.count()).where(vouchers.c.case_id.in_(numbers))
            found = (tx.scalar(closed), tx.scalar(given))
        if found != (len(batch), len(batch)):
            raise FailedRun(f"{found[0]} cases of {len(batch)} are closed, {found[1]} have a voucher")

    def close(self) -> None:
        if self._order.script:
            script = (self._before, _rows(self._store), self._vendor.book())
            Path(self._order.script).write_bytes(pickle.dumps(script))
        self._store.close()


@asynccontextmanager
async def opened(order: Order, vendor: Vendor) -> AsyncIterator[Amends]:
    set_up_logs("error")
    system = Amends(order, vendor)
    yield system
    system.close()


def _journey(inbox: Path) -> ComplaintJourney:
    data = load_journey(JOURNEY).model_dump(mode="json")
    data["sources"] = [{"kind": "file", "name": "shop", "path": str(inbox / "*.jsonl")}]
    data["reward"]["budget"] = {"count": 1_000_000, "vnd": 1_000_000_000_000}
    return ComplaintJourney.model_validate(data)


def _settings(order: Order, url: str) -> Settings:
    notify = f"amends-{url}/notify"
    names = ("lan", "minh", "thao", "shift_lead", "care_manager")
    return Settings(
        home=Path(order.home),
        database_url=SecretStr(order.database),
        zalo=ZaloSettings(
            app_id=APP["app_id"],
            secret_key=SecretStr(APP["secret_key"]),
            refresh_token=SecretStr(APP["refresh_token"]),
            oauth_url=url,
            business_url=url,
            openapi_url=url,
            requests_per_second=100_000,
        ),
        contacts={name: SecretStr(f"{notify}/{name}") for name in names},
        customer_mail_url=None,
        file_roots=[Path(order.home)],
        open_calls=OPEN_CALLS,
    )


def _rows(store: Store) -> Rows:
    """Read past the types of the schema: the floor writes what is stored, and neither seals nor converts it."""
    found: Rows = {}
    with store.read() as tx:
        cursor = tx.connection.cursor()
        if store.is_postgres:
            cursor.adapters.register_loader("jsonb", TextLoader)
        for table in metadata.sorted_tables:
            keys = [place for place, column in enumerate(table.columns) if column.primary_key]
            # Names of our own schema only.
            cursor.execute(f"SELECT {', '.join(table.columns.keys())} FROM {table.name}")  # noqa: S608
            found[table.name] = {tuple(row[place] for place in keys): tuple(row) for row in cursor.fetchall()}
    return found
