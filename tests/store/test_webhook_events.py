"""Webhooks in the database: each once, kept until somebody understands them, and counted by the day."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from amends.store import webhook_events
from amends.store.engine import Store, Tx
from amends.store.schema import webhook_events as table
from amends.store.webhook_events import Event, EventState, Fate
from tests.domain.examples import HOUR, NINE
from tests.store.rows import at_once, count

DOOR = "zalo:default"
DAY = date(2026, 11, 2)


def event(key: str, door: str = DOOR, **changes: Any) -> Event:
    known: dict[str, Any] = {"name": "user_feedback", "received_at": NINE, "occurred_at": NINE - HOUR}
    return Event(door, key, **{**known, "payload": {"note": "Giao chậm"}, **changes})


def rows(tx: Tx) -> list[Any]:
    return list(tx.execute(sa.select(table).order_by(table.c.id)))


def wait(tx: Tx, *events: Event) -> None:
    webhook_events.take_in(tx, events)
    webhook_events.settle(tx, [Fate(one.door, one.key, EventState.WAITING) for one in events])


def test_an_event_is_kept_as_it_came(store: Store) -> None:
    with store.begin() as tx:
        assert webhook_events.take_in(tx, [event("k1")]) == {(DOOR, "k1")}
        [row] = rows(tx)
    assert (row.door, row.key, row.name) == (DOOR, "k1", "user_feedback")
    assert (row.received_at, row.occurred_at) == (NINE, NINE - HOUR)
    assert (row.payload, row.state, row.note) == ({"note": "Giao chậm"}, "new", "")


def test_only_what_was_not_there_before_is_new(store: Store) -> None:
    with store.begin() as tx:
        webhook_events.take_in(tx, [event("k1")])
    with store.begin() as tx:
        again = [event("k1", name="other"), event("k2"), event("k1", door="zalo:hanoi")]
        assert webhook_events.take_in(tx, again) == {(DOOR, "k2"), ("zalo:hanoi", "k1")}
        assert [row.name for row in rows(tx)] == ["user_feedback"] * 3


def test_no_events_are_nothing(store: Store) -> None:
    with store.begin() as tx:
        assert webhook_events.take_in(tx, []) == set()
        webhook_events.settle(tx, [])
        webhook_events.add_counts(tx, {}, DAY)


def test_an_event_taken_in_by_two_at_once_is_new_to_one_of_them(postgres: Store) -> None:
    def take_in() -> set[tuple[str, str]]:
        with postgres.begin() as tx:
            return webhook_events.take_in(tx, [event(f"k{number}") for number in range(20)])

    one, other = at_once([take_in] * 2)
    assert len(one) + len(other) == 20
    assert one.isdisjoint(other)


def test_what_is_done_needs_its_payload_no_longer_and_everything_else_keeps_it(store: Store) -> None:
    with store.begin() as tx:
        webhook_events.take_in(tx, [event(state) for state in EventState])
        webhook_events.settle(tx, [Fate(DOOR, state, state, f"became {state}") for state in EventState])
        assert {row.key: (row.state, row.note) for row in rows(tx)} == {
            state: (state, f"became {state}") for state in EventState
        }
        # SQL's NULL and not a JSON null: nothing of the customer's words is left.
        gone = tx.execute(sa.select(table.c.key).where(table.c.payload.is_(sa.null()))).scalars().all()
    assert gone == ["done"]


def test_a_fate_is_that_of_one_door_only(store: Store) -> None:
    with store.begin() as tx:
        webhook_events.take_in(tx, [event("k"), event("k", door="zalo:hanoi")])
        webhook_events.settle(tx, [Fate("zalo:hanoi", "k", EventState.IGNORED)])
        assert webhook_events.by_state(tx) == {(DOOR, "new"): 1, ("zalo:hanoi", "ignored"): 1}


def test_long_names_and_notes_are_cut_rather_than_refused(store: Store) -> None:
    with store.begin() as tx:
        webhook_events.take_in(tx, [event("k", name="n" * 500)])
        webhook_events.settle(tx, [Fate(DOOR, "k", EventState.UNREADABLE, "w" * 500)])
        [row] = rows(tx)
    assert (len(row.name), len(row.note)) == (80, 300)


def test_waiting_events_come_oldest_first_and_whole_of_their_door_only(store: Store) -> None:
    first, second = event("b"), event("a", payload={"rate": 1})
    with store.begin() as tx:
        wait(tx, first, second, event("c", door="zalo:hanoi"))
        webhook_events.take_in(tx, [event("new")])
        assert webhook_events.waiting(tx, DOOR) == [first, second]


def test_waiting_ends_with_a_fate(store: Store) -> None:
    with store.begin() as tx:
        wait(tx, event("a"), event("b"), event("c"))
        webhook_events.settle(
            tx, [Fate(DOOR, "a", EventState.DONE), Fate(DOOR, "b", EventState.IGNORED, "too old")]
        )
        assert [one.key for one in webhook_events.waiting(tx, DOOR)] == ["c"]


def test_waiting_is_an_index_range_however_many_events_there_were(store: Store) -> None:
    query = sa.select(table.c.id).where(table.c.state == "waiting", table.c.door == DOOR).order_by(table.c.id)
    with store.begin() as tx:
        webhook_events.take_in(tx, [event(f"k{number}") for number in range(2000)])
        wait(tx, event("w"))
        if store.is_postgres:
            tx.exec_driver_sql("ANALYZE webhook_events")
        explain = "EXPLAIN" if store.is_postgres else "EXPLAIN QUERY PLAN"
        written = query.compile(tx, compile_kwargs={"literal_binds": True})
        plan = " ".join(str(row) for row in tx.exec_driver_sql(f"{explain} {written}"))
    assert "ix_webhook_events_waiting" in plan


def test_requests_are_counted_by_day_door_and_outcome(store: Store) -> None:
    with store.begin() as tx:
        webhook_events.add_counts(tx, {(DOOR, "accepted"): 3, (DOOR, "bad_signature"): 1}, DAY)
        webhook_events.add_counts(tx, {(DOOR, "accepted"): 2, ("webhook:till", "accepted"): 7}, DAY)
        webhook_events.add_counts(tx, {(DOOR, "accepted"): 10}, date(2026, 11, 3))
        assert webhook_events.counts(tx, DAY) == {
            (DOOR, "accepted"): 15,
            (DOOR, "bad_signature"): 1,
            ("webhook:till", "accepted"): 7,
        }
        assert webhook_events.counts(tx, date(2026, 11, 3)) == {(DOOR, "accepted"): 10}
        assert webhook_events.counts(tx, date(2026, 11, 4)) == {}


def test_desks_that_count_at_once_lose_nothing(postgres: Store) -> None:
    def add() -> None:
        with postgres.begin() as tx:
            webhook_events.add_counts(tx, {(DOOR, "accepted"): 1, (DOOR, "duplicate"): 2}, DAY)

    at_once([add] * 8)
    with postgres.read() as tx:
        assert webhook_events.counts(tx, DAY) == {
            (DOOR, "accepted"): 8,
            (DOOR, "duplicate"): 16,
        }
        assert count(tx, table) == 0
