"""The re-seal: bounded pieces, any number of stops, and in the end nothing in clear or under an old data key."""

import sqlalchemy as sa

from amends.store import cursors, inbox, keyring, resealing, webhook_events
from amends.store.engine import Store, Tx
from amends.store.resealing import SEALED
from amends.store.schema import customers, feedbacks
from amends.store.schema import webhook_events as events
from amends.store.sealed import SealedJson
from tests.conftest import CIPHER
from tests.domain.examples import NINE
from tests.store.rows import add_ticket, feedback
from tests.store.test_inbox import rejected

RAW = {"số": "0912345678", "ghi chú": ["Tệ", None, 1.5]}


def fill(tx: Tx, people: int = 5) -> None:
    """A row in every table with sealed columns, some with nothing in them."""
    inbox.receive(
        tx, "complaint", [feedback(str(n), phone=f"849123456{n:02}", raw=RAW) for n in range(people)], NINE
    )
    inbox.receive(tx, "complaint", [feedback("silent", text="", customer_ref="u1")], NINE)
    inbox.reject(tx, "complaint", [rejected()], NINE)
    add_ticket(tx)
    for key, payload in (("k1", {"phone": "84912345678"}), ("k2", None)):
        webhook_events.take_in(tx, [webhook_events.Event("zalo:default", key, "x", NINE, NINE, payload)])


def in_clear(store: Store) -> None:
    """Put everything back as it was before there was encryption."""
    with store.begin() as tx:
        for table, columns in SEALED.items():
            for row in tx.execute(sa.select(table.c.id, *columns)).mappings().all():
                values = {
                    column.name: sa.type_coerce(
                        row[column.name],
                        column.type.impl if isinstance(column.type, SealedJson) else sa.Text(),
                    )
                    for column in columns
                }
                tx.execute(table.update().where(table.c.id == row["id"]).values(values))


def contents(store: Store) -> list[list[object]]:
    with store.read() as tx:
        return [
            sorted((tuple(row) for row in tx.execute(sa.select(table.c.id, *columns))), key=str)
            for table, columns in SEALED.items()
        ]


def left(store: Store) -> dict[str, tuple[int, int]]:
    """Of each table with anything left: rows under an older key, and in clear."""
    with store.read() as tx:
        return {s.table: (s.older, s.clear) for s in resealing.states(tx) if s.left}


def step(store: Store, limit: int = 2) -> int:
    with store.begin() as tx:
        return resealing.reseal(tx, limit)


def test_rows_from_before_encryption_are_read_and_then_sealed(store: Store) -> None:
    with store.begin() as tx:
        fill(tx)
    before = contents(store)
    assert left(store) == {}
    in_clear(store)
    assert contents(store) == before
    assert left(store) == {
        "customers": (0, 7),
        "feedbacks": (0, 6),
        "quarantine": (0, 1),
        "tickets": (0, 1),
        "webhook_events": (0, 1),
    }
    looked_at = []
    while seen := step(store):
        looked_at.append(seen)
    assert max(looked_at) == 2
    assert left(store) == {}
    assert contents(store) == before


def test_a_new_data_key_reaches_every_row_in_pieces_and_after_a_kill(store: Store) -> None:
    with store.begin() as tx:
        fill(tx)
    before = contents(store)
    while step(store):
        pass
    with store.begin() as tx:
        keyring.renew(tx, CIPHER)
    assert step(store) == 2
    assert left(store)["customers"] == (5, 0)
    # Killed in mid-batch: what was not committed is done again.
    with store.engine.connect() as tx:
        assert resealing.reseal(tx, 2) == 2
        tx.rollback()
    assert left(store)["customers"] == (5, 0)
    while step(store):
        pass
    assert left(store) == {}
    assert contents(store) == before


def test_new_rows_are_looked_at_once_and_nothing_else(store: Store) -> None:
    with store.begin() as tx:
        fill(tx)
    while step(store):
        pass
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [feedback("new", phone="84912345699")], NINE)
    assert [step(store, 100) for _ in range(3)] == [1, 1, 0]


def test_what_was_missed_is_gone_back_for(store: Store) -> None:
    """A process that has run since before the change may still write under the old key."""
    with store.begin() as tx:
        fill(tx)
    assert step(store) == 2
    with store.begin() as tx:
        assert not resealing.start_over(tx), "it is on its way"
    while step(store):
        pass
    with store.begin() as tx:
        tx.execute(
            customers.update().where(customers.c.name.is_(None)).values(name=sa.type_coerce("Lan", sa.Text))
        )
    assert step(store) == 0
    assert left(store) == {"customers": (0, 7)}
    with store.begin() as tx:
        assert resealing.start_over(tx)
    while step(store):
        pass
    assert left(store) == {}


def test_rows_that_somebody_is_writing_to_are_left_alone(postgres: Store) -> None:
    with postgres.begin() as tx:
        fill(tx)
    in_clear(postgres)
    with postgres.begin() as tx:
        first = sa.select(sa.func.min(feedbacks.c.id)).scalar_subquery()
        tx.execute(feedbacks.update().where(feedbacks.c.id == first).values(verdict="case"))
        while step(postgres):  # in another transaction
            pass
        assert left(postgres) == {"feedbacks": (0, 1)}
    with postgres.begin() as tx:
        assert resealing.start_over(tx)
    while step(postgres):
        pass
    assert left(postgres) == {}


def test_an_event_that_is_done_has_nothing_to_seal(store: Store) -> None:
    with store.begin() as tx:
        webhook_events.take_in(tx, [webhook_events.Event("zalo:default", "k", "x", NINE, NINE, None)])
        assert tx.execute(sa.select(events.c.payload)).scalar_one() is None
    while step(store):
        pass
    with store.read() as tx:
        assert tx.execute(sa.select(sa.type_coerce(events.c.payload, sa.Text))).scalar_one() is None
        assert cursors.get(tx, "reseal webhook_events") is not None
