"""Retention: what is old goes, a page at a time, and nothing else does."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from amends.store import cases, inbox, operator_log, people, retention, timeline, webhook_events, zalo_users
from amends.store.engine import Store, Tx
from amends.store.operator_log import Deed
from amends.store.retention import Removed
from amends.store.schema import cases as cases_table
from amends.store.schema import (
    cursors,
    customers,
    feedbacks,
    incidents,
    intake_counts,
    quarantine,
)
from amends.store.schema import operator_log as operator_log_table
from amends.store.schema import webhook_events as webhook_events_table
from amends.store.webhook_events import Event
from amends.store.zalo_users import ZaloId
from tests.domain.examples import NINE
from tests.privacy import PHONE, UID, her_feedback, rejected, traces
from tests.store.rows import add_case, count, feedback

DAY = timedelta(days=1)
NOW = NINE + 500 * DAY
Work = Callable[[Tx], Removed]


def run(store: Store, work: Work, pages: int = 9) -> int:
    """Page after page, as the sweep does; returns how many rows went."""
    rows = 0
    for _ in range(pages):
        with store.begin() as tx:
            removed = work(tx)
        rows += removed.rows
        if not removed.more:
            return rows
    raise AssertionError("there is no end to it")


def test_old_webhooks_go_and_newer_ones_stay(store: Store) -> None:
    with store.begin() as tx:
        for number in range(7):
            at = NINE + number * DAY
            webhook_events.take_in(tx, [Event("zalo:default", f"k{number}", "follow", at, at, {"a": 1})])
    assert run(store, lambda tx: retention.webhook_events_before(tx, NINE + 5 * DAY, 2)) == 5
    with store.read() as tx:
        keys = tx.execute(sa.select(webhook_events_table.c.key)).scalars().all()
    assert sorted(keys) == ["k5", "k6"]


def test_the_operators_log_and_the_counts_of_requests_too(store: Store) -> None:
    with store.begin() as tx:
        for number in range(5):
            at = NINE + number * DAY
            operator_log.record(tx, Deed(at, "mai", "forget", "customer 1"))
            webhook_events.add_counts(tx, {("zalo", "accepted"): 1, ("till", "stale"): 2}, at.date())
    assert run(store, lambda tx: retention.operator_log_before(tx, NINE + 3 * DAY, 2)) == 3
    assert run(store, lambda tx: retention.intake_counts_before(tx, NINE + 3 * DAY, 4)) == 6
    with store.read() as tx:
        assert (count(tx, operator_log_table), count(tx, intake_counts)) == (2, 4)


def test_only_resolved_incidents_go(store: Store) -> None:
    with store.begin() as tx:
        for number, resolved in enumerate([NINE, None, NINE + 9 * DAY, NINE, NINE]):
            row = {"stopped": f"zns:{number}", "code": "1", "detail": "", "times": 1, "opened_at": NINE}
            tx.execute(incidents.insert().values(last_seen_at=NINE, resolved_at=resolved, **row))
    assert run(store, lambda tx: retention.incidents_before(tx, NINE + DAY, 2)) == 3
    with store.read() as tx:
        assert sorted(tx.execute(sa.select(incidents.c.stopped)).scalars()) == ["zns:1", "zns:2"]


def bad_rows(store: Store) -> None:
    """f1: open and old; f2: settled long ago; f3: settled lately; f4: open and new."""
    with store.begin() as tx:
        for name, received, settled in (
            ("f1", NINE, None),
            ("f2", NINE, NINE + DAY),
            ("f3", NINE, NINE + 9 * DAY),
            ("f4", NINE + 9 * DAY, None),
        ):
            inbox.reject(tx, "complaint", [rejected(name, {"who": name})], received)
            state = "dropped" if settled else "open"
            row = quarantine.update().where(quarantine.c.fingerprint == name)
            tx.execute(row.values(state=state, settled_at=settled, settled_by="mai" if settled else None))


@pytest.mark.parametrize(
    ("settled", "still_open", "emptied"),
    [
        (NINE + 5 * DAY, None, {"f2"}),
        (None, NINE + 5 * DAY, {"f1"}),
        (NINE + 5 * DAY, NINE + 5 * DAY, {"f1", "f2"}),
    ],
)
def test_quarantine_is_emptied_but_still_knows_its_rows(
    store: Store, settled: Any, still_open: Any, emptied: set[str]
) -> None:
    bad_rows(store)

    def work(tx: Tx) -> Removed:
        return retention.quarantine_before(tx, settled, still_open, 3, NOW)

    assert run(store, work) == len(emptied)
    assert run(store, work) == 0
    with store.begin() as tx:
        rows = tx.execute(sa.select(quarantine)).all()
        assert {row.fingerprint for row in rows if row.raw == {}} == emptied
        assert inbox.reject(tx, "complaint", [rejected("f1", {"who": "f1"}), rejected("f2", {})], NOW) == 0
        by = {row.fingerprint: (row.state, row.settled_by) for row in rows}
    assert by["f1"] == (("dropped", "amends") if "f1" in emptied else ("open", None))
    assert by["f2"] == ("dropped", "mai")


def person(tx: Tx, number: int, heard: Any, *, closed: Any = None, opened: bool = False) -> int:
    """A customer last heard of at `heard`, with a case if it is `opened` or was ever `closed`."""
    phone = f"849{number:08}"
    inbox.receive(tx, "complaint", [feedback(f"p{number}", phone=phone, customer_name="Lan")], heard)
    customer_id = inbox.find_customer(tx, phone)
    assert customer_id is not None
    if opened or closed:
        case_id = add_case(tx, customer_id=customer_id)
        if closed:
            cases.close(tx, [case_id], closed)
    return customer_id


def forget_old(tx: Tx) -> Removed:
    return retention.customers_before(tx, NOW - 365 * DAY, 2, NOW)


def test_customers_not_heard_of_for_long_are_anonymised_and_nobody_else_is(store: Store) -> None:
    lately = NOW - 10 * DAY
    with store.begin() as tx:
        old = person(tx, 1, NINE)
        old_case = person(tx, 2, NINE, closed=NINE + DAY)
        kept = [
            person(tx, 3, lately),
            person(tx, 4, NINE, opened=True),
            person(tx, 5, NINE, closed=lately),
        ]
        chats = person(tx, 6, NINE)
        zalo_users.belongs_to(tx, ZaloId("default", "u6"), chats)
        zalo_users.acted(tx, {ZaloId("default", "u6"): lately})
    assert run(store, forget_old) == 2
    assert run(store, forget_old) == 0
    with store.read() as tx:
        rows = {row.id: row for row in tx.execute(sa.select(customers))}
        assert {id_ for id_, row in rows.items() if row.name is None} == {old, old_case}
        assert {id_ for id_, row in rows.items() if row.phone} == {*kept, chats}
        case_id = tx.execute(sa.select(cases_table.c.id).where(cases_table.c.customer_id == old_case))
        [line] = timeline.of_case(tx, case_id.scalar_one())
        assert (line.event, line.actor) == ("customer.forgotten", "amends")


def test_a_feedback_in_anybodys_open_case_keeps_its_words(store: Store) -> None:
    """An answer to a survey is a customer's of its own, without a case."""
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [feedback("m-1", source="survey-320001", text="Vẫn tệ")], NINE)
        case_id = add_case(tx)
        tx.execute(feedbacks.update().values(case_id=case_id, verdict="answer"))
    assert run(store, forget_old) == 0
    with store.read() as tx:
        assert tx.execute(sa.select(feedbacks.c.text)).scalar_one() == "Vẫn tệ"


def test_an_opt_out_outlives_retention(store: Store) -> None:
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [her_feedback()], NINE)
        people.opt_out(tx, PHONE, Deed(NINE, "mai", "opt out", ""))
    assert run(store, forget_old) == 1
    assert run(store, forget_old) == 0
    with store.begin() as tx:
        lan = inbox.find_customer(tx, PHONE)
        row = tx.execute(sa.select(customers).where(customers.c.id == lan)).one()
        assert (row.phone, row.name, row.opted_out_at) == (None, None, NINE)
        assert inbox.receive(tx, "complaint", [her_feedback()], NOW) == 0
        assert tx.execute(sa.select(customers.c.name).where(customers.c.id == lan)).scalar_one() is None
        # Whoever comes anew is no longer forgotten, and still not to be messaged.
        assert inbox.receive(tx, "complaint", [her_feedback("r2")], NOW) == 1
        row = tx.execute(sa.select(customers).where(customers.c.id == lan)).one()
        assert (row.phone, row.forgotten_at, row.opted_out_at) == (PHONE, None, NINE)


def test_words_that_became_no_case_go(store: Store) -> None:
    with store.begin() as tx:
        for number in range(6):
            at = NINE + (number // 4) * 100 * DAY
            inbox.receive(tx, "complaint", [feedback(str(number), zalo_uid=UID, raw={"a": 1})], at)
        case_id = add_case(tx)
        ids = tx.execute(sa.select(feedbacks.c.id).order_by(feedbacks.c.id)).scalars().all()
        verdicts = ["suppressed", "above_threshold", None, "case", "suppressed", "suppressed"]
        routes = [
            inbox.Route(id_, verdict, "", case_id if verdict == "case" else None)
            for id_, verdict in zip(ids, verdicts, strict=True)
            if verdict
        ]
        inbox.route(tx, routes, NINE)

    def work(tx: Tx) -> Removed:
        return retention.feedback_texts_before(tx, NINE + DAY, 2)

    assert run(store, work) == 2
    assert run(store, work) == 0
    with store.read() as tx:
        rows = tx.execute(sa.select(feedbacks).order_by(feedbacks.c.id)).all()
        assert [(bool(row.text), bool(row.raw)) for row in rows] == [(False, False)] * 2 + [(True, True)] * 4
        assert {row.rating for row in rows} == {1.0}
    assert run(store, lambda tx: retention.feedback_texts_before(tx, NOW, 2)) == 2


def test_two_sweeps_at_once_do_no_harm(store: Store) -> None:
    """Both walk along one cursor; a page done twice is a page done once."""
    with store.begin() as tx:
        for number in range(5):
            person(tx, number, NINE)
    with store.begin() as tx:
        forget_old(tx)
        tx.execute(cursors.delete())
    assert run(store, forget_old) == 3
    assert "customers" not in {table for table, _ in traces(store)}
