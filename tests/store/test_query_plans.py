"""Every statement of real sweeps, as they send it, with many idle cases around: none reads a growing table whole.

`test_growth.py` asks the same of the store's functions one by one, with parameters of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import tickets
from amends.store.engine import Store
from amends.store.schema import effects
from benchmarks.growth.idle import COPIED, multiply
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.conftest import CIPHER
from tests.flows.bench import changed, drop_reviews, move, review, solve_all
from tests.store.plans import tables_read_whole

IDLE = 3_000
_READING = ("SELECT", "UPDATE", "DELETE")
"""An INSERT looks for nothing by itself. (SQLite lists a look for orphans with it, and passes it over at run time.)"""


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """The runtime's own, in place of the one that the tests of this folder share."""
    store = Store(database_url, CIPHER)
    store.migrate()
    yield store
    store.close()


@contextmanager
def heard(store: Store) -> Iterator[dict[str, Any]]:
    """What is sent to the database meanwhile: each statement once, with the parameters it came with first."""
    statements: dict[str, Any] = {}

    def listen(_c: object, _cursor: object, sql: str, parameters: Any, _x: object, many: bool) -> None:
        if sql.startswith(_READING):
            statements.setdefault(sql, parameters[0] if many else parameters)

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    try:
        yield statements
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", listen)


def read_whole(store: Store, statements: dict[str, Any]) -> dict[str, set[str]]:
    """The statements for which the database reads one of the large tables from end to end."""
    large = {table.name for table in (*COPIED, effects)} - {"surveys"}  # few of the models were asked
    found = {sql: tables_read_whole(store, sql, parameters) & large for sql, parameters in statements.items()}
    return {sql: tables for sql, tables in found.items() if tables}


async def test_no_statement_of_a_sweep_reads_a_growing_table_whole(
    prefect_api: str, runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    store, morning = runtime.store, clock.now()
    quiet = changed(journey, reward=journey.reward.model_dump(mode="json") | {"outcomes": []})
    drop_reviews(runtime, "first", [review(n, phone=f"8491200000{n}") for n in range(5)])
    await complaint(quiet)
    solve_all(store, clock.now())
    for hours in (5, 55, 50):
        move(clock, sandbox, timedelta(hours=hours))
        await complaint(quiet)
    assert multiply(store, IDLE) >= IDLE
    recent = (morning + timedelta(hours=109)).isoformat()
    drop_reviews(
        runtime, "second", [review(n, phone=f"849120000{n}", occurred_at=recent) for n in range(10, 13)]
    )

    with heard(store) as daily:
        await complaint(quiet, read_back_days=3)  # it reconciles as well
    with store.begin() as tx:
        for ticket in sorted(tickets.unsolved(tx), key=lambda ticket: ticket.id)[-3:]:
            tickets.solve(tx, ticket.id, "lan", "giao hàng", clock.now())
    move(clock, sandbox, timedelta(hours=5))
    with heard(store) as usual:
        await complaint(quiet)
    statements = daily | usual

    tables = ("agenda", "cases", "customers", "effects", "feedbacks", "sla_clocks", "tickets")
    assert [table for table in tables if not any(table in sql for sql in statements)] == []
    assert read_whole(store, statements) == {}

    with store.engine.begin() as tx:
        tx.exec_driver_sql("DROP INDEX ix_agenda_due")
    store.engine.dispose()  # SQLite's driver keeps the last hundred statements, explanations of plans among them
    claims = {sql: tables for sql, tables in read_whole(store, statements).items() if "agenda" in tables}
    assert claims, "without its index, the look for what is due reads the agenda whole, and this test sees it"
