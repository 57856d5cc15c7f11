"""An installation with data is upgraded without losing any of it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from amends.store import migrate, zalo_users
from amends.store.engine import Store
from amends.store.zalo_users import ZaloId
from tests.domain.examples import NINE

Rows = dict[str, list[tuple[Any, ...]]]
NEW_SINCE_0001 = {"breakers", "intake_counts", "operator_log", "webhook_events", "zalo_users"}


def run(store: Store, verb: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with store.begin() as tx:
        config.attributes["connection"] = tx
        getattr(command, verb)(config, revision)


def value(column: sa.Column[Any]) -> Any:
    """Something that the column can hold; all keys are 1, so that every reference finds its row."""
    kind = column.type.python_type
    if kind is str:
        return "Lan"[: getattr(column.type, "length", None) or 3]
    return {int: 1, float: 1.0, bool: True, dict: {"rating": 1}, datetime: NINE}[kind]


def fill(store: Store) -> Rows:
    """One row in every table that the database has, and a second customer with the first one's Zalo id."""
    found = tables(store)
    with store.begin() as tx:
        for table in found.sorted_tables:
            row = {column.name: value(column) for column in table.columns}
            tx.execute(table.insert().values(row))
            if table.name == "customers":
                tx.execute(table.insert().values({**row, "id": 2, "key": "tel:2"}))
    return rows(store, found)


def tables(store: Store) -> sa.MetaData:
    found = sa.MetaData()
    with store.read() as tx:
        found.reflect(tx)
    found.remove(found.tables["alembic_version"])
    return found


def rows(store: Store, of: sa.MetaData) -> Rows:
    with store.read() as tx:
        return {
            table.name: sorted((tuple(row) for row in tx.execute(sa.select(table))), key=str)
            for table in of.sorted_tables
        }


@pytest.fixture
def first(empty_url: str) -> Store:
    """An installation of revision 0001."""
    store = Store(empty_url)
    run(store, "upgrade", "0001")
    return store


def test_an_upgrade_from_the_first_revision_keeps_every_row_of_every_table(first: Store) -> None:
    before = fill(first)
    old = tables(first)
    assert set(before) == set(old.tables)
    assert not NEW_SINCE_0001 & set(before)
    first.migrate()
    assert rows(first, old) == before
    assert set(tables(first).tables) == set(before) | NEW_SINCE_0001
    assert all(rows(first, tables(first))[name] == [] for name in NEW_SINCE_0001)
    first.close()


def test_customers_from_before_the_upgrade_are_found_by_their_zalo_id(first: Store) -> None:
    fill(first)
    first.migrate()
    with first.begin() as tx:
        zalo_users.acted(tx, {ZaloId("default", "Lan"): NINE})
        assert zalo_users.customers_of(tx, [ZaloId("default", "Lan")]) == {ZaloId("default", "Lan"): 1}
    first.close()


def test_a_downgrade_keeps_what_the_first_revision_knew_and_leads_back(first: Store) -> None:
    before = fill(first)
    old = tables(first)
    first.migrate()
    run(first, "downgrade", "0001")
    assert rows(first, tables(first)) == before
    first.migrate()
    assert rows(first, old) == before
    first.close()
