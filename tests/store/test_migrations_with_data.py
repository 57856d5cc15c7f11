"""An installation with data is upgraded without losing any of it, from every revision there was."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import Step, effect_key, tracking_id
from amends.store import inbox, migrate, resealing, zalo_users
from amends.store.engine import Store
from amends.store.schema import metadata
from amends.store.zalo_users import ZaloId
from tests.conftest import CIPHER
from tests.domain.examples import NINE
from tests.store.rows import feedback

Rows = dict[str, list[dict[str, Any]]]
NEW_IN = {
    "0002": {"intake_counts", "webhook_events", "zalo_users"},
    "0003": {"breakers", "operator_log"},
    "0004": {"keyring"},
    "0005": set[str](),
    "0006": set[str](),
}
EARLIER = ("0001", *sorted(NEW_IN))[:-1]
CLEAR = [revision for revision in EARLIER if revision < "0004"]
"""Revisions that keep personal data in clear; since 0004 it is sealed, and the keys of customers are hashed."""
SEALED = [revision for revision in EARLIER if revision not in CLEAR]
PHONE, MAIL = "84912345678", "lan.tran@example.com"
NAMES = ("Trần Thị Lan", json.dumps("Trần Thị Lan")[1:-1])
PEOPLE: dict[int, dict[str, str | None]] = {
    1: {"key": f"tel:{PHONE}", "phone": PHONE, "email": MAIL},
    2: {"key": f"mail:{MAIL}", "phone": None, "email": MAIL},
    3: {"key": "marketplace:user 7", "phone": None, "email": None, "name": None},
}


def new_since(revision: str) -> set[str]:
    return set().union(*(tables for later, tables in NEW_IN.items() if later > revision))


def upgrade(store: Store, revision: str) -> None:
    with store.engine.begin() as tx:
        migrate.upgrade(tx, CIPHER, revision)


def downgrade(store: Store, revision: str) -> None:
    with store.engine.begin() as tx:
        migrate.downgrade(tx, CIPHER, revision)


def value(column: sa.Column[Any]) -> Any:
    """Something that the column can hold; all keys are 1, so that every reference finds its row."""
    kind = column.type.python_type
    if kind is str:
        return "Lan"[: getattr(column.type, "length", None) or 3]
    return {int: 1, float: 1.0, bool: True, dict: {"rating": 1, "họ tên": NAMES[0]}, datetime: NINE}[kind]


def fill(store: Store, *, as_today: bool = False) -> None:
    """One row in every table that the database has, and customers of each kind, all with one Zalo id.

    In the form of its revision, in clear; or, `as_today`, in that of the code.
    """
    found = tables(store)
    with store.begin() as tx:
        for table in found.sorted_tables:
            if table.name == "keyring":  # it has its rows
                continue
            if table.name == "intake_counts":
                row = {"day": NINE.date(), "door": "zalo:default", "outcome": "accepted", "requests": 3}
            else:
                row = {column.name: value(column) for column in table.columns}
            if "config" in row:
                row["config"] = {"names": "nobody"}
            people = [{"id": id_, **person} for id_, person in PEOPLE.items()]
            into = metadata.tables[table.name] if as_today else table
            tx.execute(
                into.insert(), [row | person for person in people] if table.name == "customers" else [row]
            )


def tables(store: Store) -> sa.MetaData:
    """What the database has at its present revision."""
    found = sa.MetaData()
    with store.read() as tx:
        found.reflect(tx)
    found.remove(found.tables["alembic_version"])
    return found


def rows(store: Store, of: sa.MetaData) -> Rows:
    """The rows of those tables as the code of today reads them."""
    found: Rows = {}
    with store.read() as tx:
        for table in of.sorted_tables:
            known = metadata.tables[table.name]
            query = sa.select(*(known.c[column.name] for column in table.columns if column.name in known.c))
            found[table.name] = sorted((dict(row) for row in tx.execute(query).mappings()), key=str)
    return found


def hashed(store: Store, found: Rows) -> Rows:
    """The same with keys of customers as they are kept now."""
    people = [{**row, "key": store.keyring.hash(row["key"])} for row in found["customers"]]
    return {**found, "customers": sorted(people, key=str)}


@pytest.fixture(params=CLEAR)
def earlier(request: pytest.FixtureRequest, empty_url: str) -> Store:
    """An installation of an earlier revision, with data."""
    store = Store(empty_url, CIPHER)
    upgrade(store, request.param)
    fill(store)
    return store


@pytest.fixture
def first(empty_url: str) -> Store:
    """An installation of revision 0001, with data."""
    store = Store(empty_url, CIPHER)
    upgrade(store, "0001")
    fill(store)
    return store


def test_an_upgrade_keeps_every_row_of_every_table(earlier: Store, request: pytest.FixtureRequest) -> None:
    old = tables(earlier)
    before = rows(earlier, old)
    assert all(before.values())
    earlier.migrate()
    assert rows(earlier, old) == hashed(earlier, before)
    new = set(tables(earlier).tables) - set(old.tables)
    assert new == new_since(request.node.callspec.params["earlier"])
    assert all(rows(earlier, tables(earlier))[name] == [] for name in new - {"keyring"})
    while resealed(earlier):
        pass
    assert without_cursors(rows(earlier, old)) == without_cursors(hashed(earlier, before))
    earlier.close()


def without_cursors(found: Rows) -> Rows:
    """Where the re-seal stands is kept among them."""
    return {name: rows for name, rows in found.items() if name != "cursors"}


def resealed(store: Store) -> int:
    with store.begin() as tx:
        return resealing.reseal(tx, 2)


@pytest.mark.parametrize("revision", SEALED)
def test_a_way_back_to_a_sealed_revision_and_forth_again_loses_nothing(empty_url: str, revision: str) -> None:
    store = Store(empty_url, CIPHER)
    store.migrate()
    fill(store, as_today=True)
    before = rows(store, metadata)
    assert all(before.values())
    downgrade(store, revision)
    store.migrate()
    assert rows(store, metadata) == before
    store.close()


def test_a_downgrade_keeps_what_the_revision_knew_and_leads_back(
    earlier: Store, request: pytest.FixtureRequest
) -> None:
    old = tables(earlier)
    before = rows(earlier, old)
    earlier.migrate()
    while resealed(earlier):
        pass
    downgrade(earlier, request.node.callspec.params["earlier"])
    assert set(tables(earlier).tables) == set(old.tables)
    assert [
        column.name for column in tables(earlier).tables["customers"].columns if "new_" in column.name
    ] == []
    assert "sealed" not in str(rows(earlier, old))
    assert rows(earlier, old) == before
    earlier.migrate()
    assert rows(earlier, old)["customers"] == hashed(earlier, before)["customers"]
    earlier.close()


def test_customers_from_before_the_upgrade_are_found_by_their_contacts(first: Store) -> None:
    first.migrate()
    with first.begin() as tx:
        assert inbox.find_customer(tx, "0912 345 678") == 1
        assert inbox.find_customer(tx, MAIL) == 2
        again = (
            feedback("new", phone=PHONE),
            feedback("newer", email=MAIL),
            feedback("newest", customer_ref="user 7"),
        )
        inbox.receive(tx, "complaint", again, NINE)
        assert len(tx.execute(sa.select(metadata.tables["customers"].c.id)).all()) == 3
    first.close()


def test_customers_from_before_the_upgrade_are_found_by_their_zalo_id(first: Store) -> None:
    first.migrate()
    with first.begin() as tx:
        zalo_users.acted(tx, {ZaloId("default", "Lan"): NINE})
        assert zalo_users.customers_of(tx, [ZaloId("default", "Lan")]) == {ZaloId("default", "Lan"): 1}
    first.close()


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_nothing_in_clear_stays_behind_in_the_file(first: Store) -> None:
    file = Path(str(first.engine.url.database))
    first.close()
    assert PHONE.encode() in file.read_bytes()
    first.migrate()
    while resealed(first):
        pass
    first.close()
    left = file.read_bytes()
    assert [text for text in (PHONE, MAIL, "user 7", *NAMES) if text.encode() in left] == []


def test_somebody_who_was_forgotten_does_not_stop_a_downgrade(first: Store) -> None:
    first.migrate()
    with first.begin() as tx:
        nobody = dict.fromkeys(("name", "phone", "email", "reference"))
        tx.execute(metadata.tables["customers"].update().where(sa.column("id") == 1).values(nobody))
    downgrade(first, "0001")
    first.migrate()
    first.close()


def test_a_way_back_derives_the_tracking_ids_again(first: Store) -> None:
    key = effect_key("complaint", 1, Step.ACKNOWLEDGE, "zns", 0)
    with first.begin() as tx:
        tx.execute(metadata.tables["effects"].update().values(key=key))
    first.migrate()
    assert "tracking_id" not in tables(first).tables["effects"].columns
    downgrade(first, "0005")
    with first.read() as tx:
        assert tx.execute(sa.text("SELECT tracking_id FROM effects")).scalar_one() == tracking_id(key)
    first.migrate()
    first.close()
