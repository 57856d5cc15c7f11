"""What comes in by the thousand: the same values, sealed and unsealed, that one row at a time would leave."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from amends.sealing import MARK, to_json
from amends.store.engine import Store, Tx
from amends.store.for_rows import ForRows, fill_in, if_new, insert_from, insert_of
from amends.store.in_list import in_list
from amends.store.schema import customers, feedbacks, quarantine
from tests.domain.examples import HOUR, NINE
from tests.store.rows import add_customer

GAPS = ("name", "phone", "email")
STRANGE = ["", "a\nb", 'he said "no"', "a\\b", "Nguyễn 🙁", "{1,2}", "null", "\u2028"]


def entry(fingerprint: str, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"journey": "complaint", "source": "till", "location": "l", "problems": []}
    return {**known, "fingerprint": fingerprint, "raw": {"a": 1}, "received_at": NINE, **changes}


ENTRIES = insert_of(quarantine, *entry(""), ending=if_new)
PEOPLE = fill_in(customers, "key", *GAPS, key="key", gaps=GAPS, cleared=["forgotten_at"])


def insert(tx: Tx, rows: Sequence[dict[str, Any]]) -> int:
    return ENTRIES.count(tx, [tuple(row.values()) for row in rows])


def fill(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    PEOPLE.execute(tx, [tuple(row.values()) for row in rows])


def person(key: str, **told: str) -> dict[str, Any]:
    return {"key": key, **dict.fromkeys(GAPS), **told}


def people(tx: Tx) -> dict[str, Any]:
    return {row.key: row for row in tx.execute(sa.select(customers))}


def test_rows_come_back_as_one_at_a_time_would_leave_them(store: Store) -> None:
    rows = [
        entry(f"f{n}", location=text, raw={text: [text, None, 1.5]}, received_at=NINE + n * HOUR)
        for n, text in enumerate(STRANGE)
    ]
    query = sa.select(*(quarantine.c[name] for name in rows[0])).order_by(quarantine.c.id)
    with store.begin() as tx:
        assert insert(tx, rows) == len(rows)
        at_once = tx.execute(query).mappings().all()
        tx.execute(quarantine.delete())
        tx.execute(quarantine.insert(), rows)
        assert at_once == tx.execute(query).mappings().all()
        assert [dict(row) for row in at_once] == rows


def test_what_a_column_seals_is_sealed_in_the_database(store: Store) -> None:
    with store.begin() as tx:
        insert(tx, [entry("f", raw={"phone": "0912345678"})])
        fill(tx, [person("k", name="Lan")])
        raw = tx.exec_driver_sql("SELECT CAST(raw AS text) FROM quarantine").scalar_one()
        name = tx.exec_driver_sql("SELECT name FROM customers").scalar_one()
    assert raw.startswith(f'"{MARK}')
    assert name.startswith(MARK)


def test_rows_that_are_there_are_left_alone_and_not_counted(store: Store) -> None:
    with store.begin() as tx:
        assert insert(tx, [entry("1"), entry("1", location="later"), entry("2")]) == 2
        assert insert(tx, [entry("2", location="later"), entry("3")]) == 1
        assert tx.execute(sa.select(quarantine.c.location)).scalars().all() == ["l"] * 3


def test_no_rows_are_no_statement(store: Store) -> None:
    with store.begin() as tx:
        assert insert(tx, []) == 0
        fill(tx, [])


def test_rows_are_numbered_in_their_order(store: Store) -> None:
    """Feedback is judged in that order."""
    names = [f"{n * 7919 % 1000:03}" for n in range(1_000)]
    with store.begin() as tx:
        insert(tx, [entry(name) for name in names])
        query = sa.select(quarantine.c.fingerprint).order_by(quarantine.c.id)
        assert tx.execute(query).scalars().all() == names


def test_a_column_may_be_looked_up_by_another_tables(store: Store) -> None:
    with store.begin() as tx:
        ids = [add_customer(tx) for _ in range(3)]
        keys = {row.id: row.key for row in people(tx).values()}
        wanted = [ids[2], ids[0], ids[2], ids[1]]
        names = ("source", "external_id", "occurred_at", "scale", "text", "raw", "journey", "received_at")

        def looked_up(tx: Tx, fresh: sa.FromClause) -> sa.Executable:
            whose = sa.select(customers.c.id).where(customers.c.key == fresh.c.key).scalar_subquery()
            source = sa.select(*(fresh.c[name] for name in names), whose)
            return if_new(insert_from(tx, feedbacks, [*names, "customer_id"], source))  # type: ignore[no-any-return]

        theirs = ForRows([customers.c.key, *(feedbacks.c[name] for name in names)], looked_up)
        told: tuple[Any, ...] = ("five_stars", "Tệ", {}, "complaint", NINE)
        rows = [(keys[id_], "till", str(n), NINE, *told) for n, id_ in enumerate(wanted)]
        assert theirs.count(tx, theirs.pack(tx.dialect, rows)) == len(wanted)
        found = tx.execute(sa.select(feedbacks).order_by(feedbacks.c.id)).all()
    assert [row.customer_id for row in found] == wanted
    assert {(row.journey, row.received_at) for row in found} == {("complaint", NINE)}


def test_only_gaps_are_filled_and_whoever_tells_something_is_no_longer_forgotten(store: Store) -> None:
    with store.begin() as tx:
        fill(tx, [person("a", name="Lan"), person("b", name="Minh")])
        tx.execute(customers.update().values(forgotten_at=NINE))
        fill(tx, [person("a", name="L.", phone="84912345678"), person("b", name="M."), person("c")])
        now = people(tx)
    assert (now["a"].name, now["a"].phone, now["a"].forgotten_at) == ("Lan", "84912345678", None)
    assert (now["b"].name, now["b"].phone, now["b"].forgotten_at) == ("Minh", None, NINE)
    assert now.keys() == {"a", "b", "c"}


def test_whom_nothing_is_told_of_is_not_locked(postgres: Store) -> None:
    with postgres.begin() as tx:
        fill(tx, [person("a", name="Lan"), person("b")])
    with postgres.begin() as one, postgres.engine.connect() as other:
        one.execute(sa.select(customers).with_for_update())
        other.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
        fill(other, [person("a", name="L.")])
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
            fill(other, [person("b", name="Minh")])


def test_in_list_finds_what_is_listed_and_nothing_else(store: Store) -> None:
    with store.begin() as tx:
        insert(tx, [entry(text) for text in [*STRANGE, "other"]])
        query = sa.select(quarantine.c.fingerprint).where(in_list(quarantine.c.fingerprint, "ids"))
        assert set(tx.execute(query, {"ids": [*STRANGE, "unknown"]}).scalars()) == set(STRANGE)
        assert tx.execute(query, {"ids": []}).all() == []


@pytest.mark.parametrize("value", [2**70, {"a": [-(2**64)]}, "Tệ 🙁", 1.5, None, {"1": ["x", {}]}])
def test_any_json_is_written_so_that_it_reads_back(value: object) -> None:
    assert json.loads(to_json(value)) == value
