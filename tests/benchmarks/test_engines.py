"""The benchmark itself on a small scale: Amends and the floor, engine only, SQLite; and that it finds what is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL, temporary_settings

from amends.store.schema import cases, vouchers
from benchmarks.checks import same_book
from benchmarks.engines import floor_arm
from benchmarks.engines.cases import complaints, day, expected_book, name_of
from benchmarks.engines.child import run
from benchmarks.engines.memory import InMemory
from benchmarks.engines.meter import Meter
from benchmarks.engines.order import Measured, Order
from benchmarks.part import FailedRun

CASES = 8


def order(arm: str, home: Path, api: str) -> Order:
    folder = home / arm
    folder.mkdir()
    database = f"sqlite:///{folder / 'amends.db'}"
    script = str(home / "script")
    return Order(arm, CASES, 32, str(folder), database, None, api, (), warm_up=0, script=script)


@pytest.fixture(scope="module")
async def ours(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> tuple[Order, Measured]:
    """One run of Amends, whose script the floor repeats."""
    made = order("amends", tmp_path_factory.mktemp("ours"), prefect_api)
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        return made, await run(made)


@pytest.fixture
def theirs(tmp_path: Path, ours: tuple[Order, Measured]) -> Order:
    """The floor's order, on a database of its own."""
    return replace(order("floor", tmp_path, ""), script=ours[0].script)


async def test_amends_and_the_floor_bring_every_case_to_its_voucher(
    ours: tuple[Order, Measured], theirs: Order
) -> None:
    made, measured = ours
    repeated = await run(theirs)
    assert measured.cases == repeated.cases == CASES
    assert measured.wall_s > repeated.wall_s > 0
    for each in (made, theirs):
        engine = sa.create_engine(each.database)
        with engine.connect() as connection:
            closed = sa.select(sa.func.count()).where(cases.c.closed_at.is_not(None))
            given = sa.select(sa.func.count()).select_from(vouchers)
            assert connection.scalar(closed) == connection.scalar(given) == CASES
        engine.dispose()


async def test_a_run_that_loses_a_call_is_a_failed_run(
    theirs: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgetful(floor: floor_arm.Floor, client: httpx.AsyncClient, entry: Mapping[str, Any]) -> None:
        if "AM000007" not in str(entry):
            await call(floor, client, entry)

    call = floor_arm.Floor._call
    monkeypatch.setattr(floor_arm.Floor, "_call", forgetful)
    with pytest.raises(FailedRun, match="AM000007"):
        await run(theirs)


def test_a_call_made_twice_is_found_in_the_book() -> None:
    vendor, batch = InMemory(7), complaints(1, 2, day(0))
    book: list[Mapping[str, Any]] = [
        {"kind": "agent_notification", "title": f"[{case.case_code}] urgent ticket"} for case in batch
    ]
    book += [
        {"kind": "zns", "template_id": template, "phone": case.phone, "params": {"case_code": case.case_code}}
        for case in batch
        for template in ("310001", "320001", "330001")
    ]
    same_book(book, expected_book(batch), name_of)
    with pytest.raises(FailedRun, match="2, expected 1"):
        same_book([*book, book[-1]], expected_book(batch), name_of)
    assert vendor.book() == []


def test_the_meter_counts_only_what_runs_inside() -> None:
    meter = Meter()
    sum(range(1_000_000))
    assert (meter.wall_s, meter.cpu_s) == (0, 0)
    with meter.running():
        sum(range(1_000_000))
    assert meter.cpu_s > 0
    assert meter.wall_s > 0
