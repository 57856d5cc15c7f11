"""SQLite in trouble under a sweep: it goes on or stops, nobody is messaged twice, and the next one finishes."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from amends.store.engine import Store
from cli.guard import explain
from tasks import chunks
from tests.flows.breakage import OPEN_CALLS, PHONES, Breakage, Morning

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def database_file(store: Store) -> Path:
    return Path(str(store.engine.url.database))


def ask_always(store: Store, pragma: Callable[[], str]) -> None:
    """Give the pragma to every transaction's connection before it begins."""

    @sa.event.listens_for(store.engine, "checkout")
    def prepare(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA {pragma()}")


async def test_a_full_disk_ends_the_sweep_and_the_next_one_finishes(morning: Morning) -> None:
    morning.rate_badly(18)
    room = 1_000_000
    ask_always(morning.store, lambda: f"max_page_count = {room}")

    def fill_the_disk() -> None:
        nonlocal room
        room = 1  # SQLite then takes the present size

    breakage = Breakage(morning.store, "COMMIT", fill_the_disk)
    state = await morning.sweep()
    assert state.is_failed()
    stopped_after = len(morning.sandbox.book(kind="zns"))
    assert OPEN_CALLS <= stopped_after < 24
    assert "disk is full" in str(state.message)
    assert PHONES not in str(state.message)
    assert "the disk of the database is full" in told(await state.aresult(raise_on_failure=False))
    assert len(breakage.errors) >= 4
    room = 1_000_000
    states = morning.states()
    # A try that can still write `sending`, and then no answer, has spent one wave's calls.
    assert states["sending"] + states["uncertain"] <= OPEN_CALLS * (1 + len(chunks.RETRY_AFTER_S))
    await morning.next_sweep()
    morning.assert_whole(uncertain=states["sending"] + states["uncertain"])


def told(error: Any) -> str:
    return explain(error) or ""


async def test_a_lock_that_is_let_go_in_time_is_waited_for_in_the_next_try(morning: Morning) -> None:
    ask_always(morning.store, lambda: "busy_timeout = 20")
    other = sqlite3.connect(database_file(morning.store), isolation_level=None)
    breakage = Breakage(
        morning.store,
        "COMMIT",
        lambda: other.execute("BEGIN IMMEDIATE"),
        on_error=lambda number: other.execute("ROLLBACK") if number == 2 else None,
    )
    assert (await morning.sweep()).is_completed()
    assert len(breakage.errors) == 2
    morning.assert_whole(uncertain=OPEN_CALLS)
    other.close()


async def test_a_lock_that_is_held_on_and_on_ends_the_sweep_and_the_next_one_finishes(
    morning: Morning,
) -> None:
    ask_always(morning.store, lambda: "busy_timeout = 20")
    other = sqlite3.connect(database_file(morning.store), isolation_level=None)
    Breakage(morning.store, "COMMIT", lambda: other.execute("BEGIN IMMEDIATE"))
    state = await morning.sweep()
    assert state.is_failed()
    assert "another program holds" in told(await state.aresult(raise_on_failure=False))
    other.execute("ROLLBACK")
    other.close()
    assert morning.states() == {"sending": OPEN_CALLS}
    await morning.next_sweep()
    morning.assert_whole(uncertain=OPEN_CALLS)


async def test_a_database_that_may_not_be_written_ends_the_sweep(morning: Morning) -> None:
    only = 0
    ask_always(morning.store, lambda: f"query_only = {only}")

    def forbid() -> None:
        nonlocal only
        only = 1

    Breakage(morning.store, "COMMIT", forbid)
    state = await morning.sweep()
    assert state.is_failed()
    assert "may not be written" in told(await state.aresult(raise_on_failure=False))
    only = 0
    await morning.next_sweep()
    morning.assert_whole(uncertain=OPEN_CALLS)


async def test_a_file_that_is_taken_away_is_noticed_at_the_next_transaction(morning: Morning) -> None:
    """SQLite itself would go on writing into the deleted file, and nobody would ever read that."""
    file = database_file(morning.store)
    aside = file.with_suffix(".aside")
    Breakage(morning.store, "COMMIT", lambda: file.rename(aside))
    state = await morning.sweep()
    assert state.is_failed()
    assert "has been replaced or removed" in told(await state.aresult(raise_on_failure=False))
    assert len(morning.sandbox.book(kind="zns")) == OPEN_CALLS
    aside.rename(file)
    await morning.next_sweep()
    morning.assert_whole(uncertain=OPEN_CALLS)


async def test_a_damaged_file_stops_the_sweep_before_anything_is_sent(
    morning: Morning, tmp_path: Path
) -> None:
    morning.store.close()
    file = database_file(morning.store)
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    state = await morning.sweep()
    assert state.is_failed()
    assert "amends restore" in told(await state.aresult(raise_on_failure=False))
    assert morning.sandbox.book() == []
    morning.store.close()
    file.write_bytes(whole)
    await morning.next_sweep()
    morning.assert_whole(uncertain=0)
