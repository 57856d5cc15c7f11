"""An installation with data is upgraded from every earlier revision, and led back, without losing any of it.

A new revision is covered by being in the folder. If it rewrites what a column holds, or drops it, it says so in
`REWRITTEN`, and has tests of its own for what becomes of that.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from amends.store import migrate, zalo_users
from amends.store.engine import Store
from amends.store.zalo_users import ZaloId
from tests.domain.examples import NINE

REWRITTEN: dict[str, set[str]] = {}
"""Revision to the columns (`table.column`) whose content it changes; these are not compared across it."""

Rows = dict[str, list[tuple[Any, ...]]]


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    return made


REVISIONS = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]
EARLIER = pytest.mark.parametrize("revision", REVISIONS[:-1])


def run(store: Store, verb: str, revision: str) -> None:
    made = config()
    with store.engine.begin() as connection:
        made.attributes["connection"] = connection
        getattr(command, verb)(made, revision)


def value(column: sa.Column[Any]) -> Any:
    """Something that the column can hold; all keys are 1, so that every reference finds its row."""
    kind = column.type.python_type
    if kind is str:
        return "Lan"[: getattr(column.type, "length", None) or 3]
    return {int: 1, float: 1.0, bool: True, dict: {"rating": 1}, datetime: NINE}.get(kind, NINE.date())


def fill(store: Store) -> None:
    """One row in every table that the database has, and a second customer with the first one's Zalo id."""
    found = tables(store)
    with store.begin() as tx:
        for table in found.sorted_tables:
            row = {column.name: value(column) for column in table.columns}
            tx.execute(table.insert().values(row))
            if table.name == "customers":
                tx.execute(table.insert().values({**row, "id": 2, "key": "tel:2"}))


def tables(store: Store) -> sa.MetaData:
    found = sa.MetaData()
    with store.read() as tx:
        found.reflect(tx)
    found.remove(found.tables["alembic_version"])
    return found


def columns(store: Store) -> set[str]:
    return {str(column) for table in tables(store).sorted_tables for column in table.columns}


def rows(store: Store, wanted: set[str]) -> Rows:
    """What stands in those columns."""
    with store.read() as tx:
        return {
            table.name: sorted((tuple(row) for row in tx.execute(sa.select(*chosen))), key=str)
            for table in tables(store).sorted_tables
            if (chosen := [column for column in table.columns if str(column) in wanted])
        }


def kept_since(revision: str, known: set[str]) -> set[str]:
    """Those of the columns known at `revision` that every later one leaves as they are."""
    later = REVISIONS[REVISIONS.index(revision) + 1 :]
    return known - {column for one in later for column in REWRITTEN.get(one, ())}


@pytest.fixture
def installation(empty_url: str) -> Iterator[Callable[[str], Store]]:
    """An empty installation of the given revision."""
    store = Store(empty_url)

    def install(revision: str) -> Store:
        run(store, "upgrade", revision)
        return store

    yield install
    store.close()


@EARLIER
def test_an_upgrade_keeps_every_row_of_every_table(
    installation: Callable[[str], Store], revision: str
) -> None:
    store = installation(revision)
    fill(store)
    old_tables, kept = set(tables(store).tables), kept_since(revision, columns(store))
    before = rows(store, kept)
    assert set(before) == old_tables
    store.migrate()
    assert rows(store, kept) == before
    new = {name: found for name, found in rows(store, columns(store)).items() if name not in old_tables}
    assert new == {name: [] for name in new}


@EARLIER
def test_a_downgrade_keeps_what_the_earlier_revision_knew_and_leads_back(
    installation: Callable[[str], Store], revision: str
) -> None:
    store = installation(revision)
    known = columns(store)
    kept = kept_since(revision, known)
    run(store, "upgrade", "head")
    fill(store)
    before = rows(store, kept)
    run(store, "downgrade", revision)
    assert columns(store) == known
    assert rows(store, kept) == before
    store.migrate()
    assert rows(store, kept) == before


def test_customers_from_before_the_upgrade_are_found_by_their_zalo_id(
    installation: Callable[[str], Store],
) -> None:
    store = installation("0001")
    fill(store)
    store.migrate()
    with store.begin() as tx:
        zalo_users.acted(tx, {ZaloId("default", "Lan"): NINE})
        assert zalo_users.customers_of(tx, [ZaloId("default", "Lan")]) == {ZaloId("default", "Lan"): 1}
