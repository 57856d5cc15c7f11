"""Cost follows the work due, not the world (DESIGN 4.7): every query of a sweep finds its rows by an index.

The statements are taken from the store's own functions as they run, and both databases are asked how they would
carry them out with a few thousand idle rows around.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import EffectState, Step
from amends.store import (
    agenda,
    cases,
    forgetting,
    inbox,
    journeys,
    ledger,
    ledger_lookups,
    resealing,
    restored,
    retention,
    surveys,
    tickets,
    upkeep,
    vouchers,
)
from amends.store.engine import Store, Tx
from amends.store.ledger_lookups import EffectFilter
from amends.store.operator_log import Deed
from amends.store.schema import agenda as agenda_table
from amends.store.schema import cases as cases_table
from amends.store.schema import (
    customers,
    effects,
    feedbacks,
    operator_log,
    quarantine,
    sla_clocks,
    webhook_events,
)
from amends.store.schema import surveys as surveys_table
from amends.store.schema import tickets as tickets_table
from amends.store.schema import timeline as timeline_table
from amends.store.schema import vouchers as vouchers_table
from tests.conftest import CIPHER
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.servers import TEMPLATE, new_database
from tests.store.plans import few, tables_read_whole, touched
from tests.store.rows import claim_of, feedback, intent

IDLE = 3_000
"""Cases that nothing is due for, each with a row in every table that grows."""


def fill(tx: Tx) -> None:
    version_id = journeys.register(tx, JOURNEY, NINE)
    ids = range(1, IDLE + 1)
    later = NINE + 1_000 * HOUR

    def add(table: sa.Table, **columns: Callable[[int], Any] | object) -> None:
        rows = [{name: f(i) if callable(f) else f for name, f in columns.items()} for i in ids]
        tx.execute(table.insert(), rows)

    add(customers, id=lambda i: i, key=lambda i: f"tel:{i}", phone=lambda i: f"84{i:09}")
    add(
        cases_table,
        id=lambda i: i,
        journey="complaint",
        version_id=version_id,
        customer_id=lambda i: i,
        opened_at=NINE,
        last_feedback_at=NINE,
        stars=1,
        severity="urgent",
    )
    add(
        feedbacks,
        journey="complaint",
        source="marketplace",
        external_id=str,
        customer_id=lambda i: i,
        received_at=NINE,
        occurred_at=NINE,
        scale="five_stars",
        rating=1.0,
        text="Tệ",
        raw={},
        verdict="case",
        case_id=lambda i: i,
    )
    add(
        agenda_table,
        case_id=lambda i: i,
        journey="complaint",
        step="conclude",
        ordinal=0,
        due_at=lambda i: later if i % 2 else None,
    )
    add(
        effects,
        case_id=lambda i: i,
        customer_id=lambda i: i,
        journey="complaint",
        step="acknowledge",
        channel="zns",
        ordinal=0,
        key=str,
        provider_id=lambda i: f"m-{i}",
        policy="at_most_once",
        state="accepted",
        attempts=1,
        created_at=NINE,
        settled_at=NINE,
    )
    add(
        tickets_table,
        case_id=lambda i: i,
        state="solved",
        severity="urgent",
        assignee="lan",
        cycle=0,
        summary="",
        opened_at=NINE,
    )
    add(
        sla_clocks,
        case_id=lambda i: i,
        kind="resolution",
        cycle=0,
        severity="urgent",
        started_at=NINE,
        warn_at=NINE,
        due_at=NINE,
        met_at=NINE,
    )
    add(surveys_table, case_id=lambda i: i, cycle=0, asked_at=NINE)
    add(timeline_table, case_id=lambda i: i, at=NINE, event="case.opened", actor="amends")
    add(vouchers_table, journey="complaint", code=str, case_id=lambda i: i, state="issued", value_vnd=50_000)

    add(
        quarantine,
        journey="complaint",
        source="marketplace",
        fingerprint=str,
        location="",
        problems=[],
        raw={},
        received_at=NINE,
        state=lambda i: "open" if i % 2 else "dropped",
        settled_at=lambda i: None if i % 2 else NINE,
    )
    add(
        webhook_events,
        door="zalo:default",
        key=str,
        name="follow",
        received_at=NINE,
        occurred_at=NINE,
        state="done",
    )
    add(operator_log, at=NINE, actor="mai", action="forget", subject=lambda i: f"customer {i}")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with many idle cases. PostgreSQL takes statistics of itself; nobody has SQLite do so, so it guesses."""
    if request.param == "sqlite":
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('growth') / 'amends.db'}", CIPHER)
        store.migrate()
    else:
        store = Store(new_database(request.getfixturevalue("postgres_server"), TEMPLATE), CIPHER)
    with store.begin() as tx:
        fill(tx)
        if store.is_postgres:
            tx.execute(sa.text("ANALYZE"))
    yield store
    store.close()


def statements_of(store: Store, work: Callable[[Tx], object]) -> list[tuple[str, Any]]:
    """What `work` asks the database, with its parameters; rolled back afterwards."""
    heard: list[tuple[str, Any]] = []

    def listen(_c: object, _cursor: object, sql: str, parameters: Any, _x: object, many: bool) -> None:
        heard.extend((sql, one) for one in (parameters[:1] if many else [parameters]))

    with store.engine.connect() as tx:
        sa.event.listen(store.engine, "before_cursor_execute", listen)
        try:
            work(tx)
        finally:
            sa.event.remove(store.engine, "before_cursor_execute", listen)
            tx.rollback()
    return [(sql, parameters) for sql, parameters in heard if not sql.startswith(("BEGIN", "SAVEPOINT"))]


def some_case(tx: Tx) -> Any:
    return next(iter(cases.load(tx, [7], messages_since=NINE).values()))


OLD = NINE - HOUR
LEASE = {"now": NINE, "owner": "one", "lease_until": NINE + HOUR}
WORK: dict[str, Callable[[Tx], object]] = {
    "agenda.is_due": lambda tx: agenda.is_due(tx, "complaint", Step.CONCLUDE, NINE),
    "agenda.claim": lambda tx: agenda.claim(tx, "complaint", Step.CONCLUDE, limit=100, **LEASE),  # type: ignore[arg-type]
    "agenda.claim the newest": lambda tx: agenda.claim(
        tx,
        "complaint",
        Step.CONCLUDE,
        limit=100,
        newest_first=True,
        **LEASE,  # type: ignore[arg-type]
    ),
    "agenda.still_ours": lambda tx: agenda.still_ours(tx, [claim_of(7, Step.SURVEY)], "one"),
    "agenda.wake": lambda tx: agenda.wake(tx, 7, Step.CONCLUDE, NINE, [0]),
    "agenda.wake_all": lambda tx: agenda.wake_all(tx, [(7, Step.CONCLUDE, 0)], NINE),
    "agenda.next_due_at": lambda tx: agenda.next_due_at(tx, "complaint"),
    "agenda.postpone": lambda tx: agenda.postpone(tx, [(claim_of(7, Step.SURVEY), NINE)]),
    "agenda.finish": lambda tx: agenda.finish(tx, [(claim_of(7, Step.SURVEY), "sent")]),
    "inbox.has_unrouted": lambda tx: inbox.has_unrouted(tx, "complaint"),
    "inbox.take_unrouted": lambda tx: inbox.take_unrouted(tx, "complaint", 100),
    "inbox.route": lambda tx: inbox.route(tx, [inbox.Route(7, "case", "", 7)], NINE),
    "cases.load": lambda tx: cases.load(tx, [7, 8], messages_since=NINE),
    "cases.open_cases": lambda tx: cases.open_cases(tx, "complaint", [7]),
    "cases.open_cases of several": lambda tx: cases.open_cases(tx, "complaint", [7, 8, 9]),
    "cases.histories": lambda tx: cases.histories(tx, [some_case(tx)]),
    "cases.close": lambda tx: cases.close(tx, [7], NINE),
    "ledger.of_cases": lambda tx: ledger.of_cases(tx, [7, 8, 9], [Step.ACKNOWLEDGE]),
    "ledger.begin": lambda tx: ledger.begin(tx, [intent(7)], **LEASE),  # type: ignore[arg-type]
    "ledger.mark_uncertain": lambda tx: ledger.mark_uncertain(tx, [claim_of(7, Step.ACKNOWLEDGE)], NINE),
    "ledger.find": lambda tx: ledger.find(tx, provider_ids=["m-7", "m-8"], tracking_ids=["7" * 32, "8" * 32]),
    "ledger.prove": lambda tx: ledger.prove(tx, "7", "m-7", NINE, ""),
    "ledger_lookups.list_effects": lambda tx: ledger_lookups.list_effects(
        tx, EffectFilter([EffectState.UNCERTAIN], Step.ACKNOWLEDGE), limit=100
    ),
    "ledger_lookups.list_effects of a case": lambda tx: ledger_lookups.list_effects(
        tx, EffectFilter(case_id=7), limit=100
    ),
    "vouchers.reserve": lambda tx: vouchers.reserve(tx, "complaint", JOURNEY.reward, [7], NINE),
    "vouchers.cancel": lambda tx: vouchers.cancel(tx, [7]),
    "surveys.asked": lambda tx: surveys.asked(tx, [(7, 0)], NINE),
    "resealing.reseal": lambda tx: resealing.reseal(tx, 5),
    "tickets.clocks": lambda tx: tickets.clocks(tx, [7, 8, 9]),
    "retention.webhook_events_before": lambda tx: retention.webhook_events_before(tx, OLD, 5),
    "retention.operator_log_before": lambda tx: retention.operator_log_before(tx, OLD, 5),
    "retention.intake_counts_before": lambda tx: retention.intake_counts_before(tx, OLD, 5),
    "retention.incidents_before": lambda tx: retention.incidents_before(tx, OLD, 5),
    "retention.quarantine_before": lambda tx: retention.quarantine_before(tx, OLD, OLD, 5, NINE),
    "retention.customers_before": lambda tx: retention.customers_before(tx, OLD, 2, NINE),
    "retention.feedback_texts_before": lambda tx: retention.feedback_texts_before(tx, NINE + HOUR, 5),
    "forgetting.anonymise": lambda tx: forgetting.anonymise(tx, [7], Deed(NINE, "mai", "forget", "")),
    "inbox.receive: whom we have forgotten": lambda tx: inbox._forgotten(
        tx, inbox.ready(tx.dialect, [feedback("7")])
    ),
    "upkeep.open_cases": lambda tx: upkeep.open_cases(tx, "complaint", 7, 2),
    "upkeep.stranded": lambda tx: upkeep.stranded(tx, "complaint", NINE, 10),
    "ledger.doubts": lambda tx: ledger.doubts(tx, "complaint", "zns", 10, 7),
    "restored.doubt": lambda tx: restored.doubt(tx, 7, Step.SURVEY, 0, NINE),
    "restored.doubt_if_lost": lambda tx: restored.doubt_if_lost(tx, [7], Step.SURVEY, 0, NINE),
    "restored.next_case_id": lambda tx: (
        restored.last_restore(tx),
        restored.next_case_id(tx, restored.Restored(NINE, NINE, 9_999)),
    ),
    "tickets.unsolved": lambda tx: tickets.unsolved(tx, assignee="lan", limit=20),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_no_query_of_a_sweep_reads_a_growing_table_from_end_to_end(
    crowded: Store, work: Callable[[Tx], object]
) -> None:
    asked = statements_of(crowded, work)
    assert asked
    assert [sql for sql, parameters in asked if tables_read_whole(crowded, sql, parameters)] == []


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_a_sweep_looks_at_no_more_rows_than_concern_it(crowded: Store, work: Callable[[Tx], object]) -> None:
    """An index can be read from end to end, too; so count what is really looked at."""
    asked = statements_of(crowded, work)
    assert sum(touched(crowded, sql, parameters) for sql, parameters in asked) <= few(crowded)


def test_a_pooled_code_is_found_by_an_index(crowded: Store) -> None:
    pooled = JOURNEY.reward.model_dump(mode="json") | {"codes": {"kind": "pool", "path": "codes.txt"}}
    reward = type(JOURNEY.reward).model_validate(pooled)

    def work(tx: Tx) -> None:
        vouchers.reserve(tx, "complaint", reward, [10**9], NINE)

    searched = [pair for pair in statements_of(crowded, work) if "LIMIT" in pair[0]]
    assert searched
    assert [sql for sql, parameters in searched if tables_read_whole(crowded, sql, parameters)] == []


def test_a_full_read_would_be_noticed(crowded: Store) -> None:
    """The test of these tests: a question no index can answer."""

    def work(tx: Tx) -> None:
        tx.execute(sa.select(cases_table.c.id).where(cases_table.c.branch == "Nắng Quận 1"))

    ((sql, parameters),) = statements_of(crowded, work)
    assert tables_read_whole(crowded, sql, parameters) == {"cases"}
    assert touched(crowded, sql, parameters) > 5 * few(crowded)
