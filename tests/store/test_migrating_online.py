"""Migrating while sweeps run: it waits for them, holds nobody up, and who is older than the schema stops."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from amends.store import migrate
from amends.store.engine import Store
from amends.store.migrate import StrangeSchema
from amends.store.schema import customers
from amends.store.trouble import Trouble, trouble_of
from tests.conftest import CIPHER
from tests.servers import new_database
from tests.store.rows import count
from tests.store.test_migrations_with_data import EARLIER, upgrade


@pytest.fixture
def behind(postgres_server: str) -> Iterator[Store]:
    """A PostgreSQL installation one revision behind."""
    store = Store(new_database(postgres_server), CIPHER)
    upgrade(store, EARLIER[-1])
    yield store
    store.close()


def told_of_a_lock(store: Store) -> Event:
    """Set once this store has given up waiting for a lock."""
    told = Event()

    @sa.event.listens_for(store.engine, "handle_error")
    def note(context: sa.engine.ExceptionContext) -> None:
        if trouble_of(context.sqlalchemy_exception) is Trouble.BUSY:
            told.set()

    return told


def revision(store: Store) -> str | None:
    with store.engine.connect() as connection:
        return migrate.revision_of(connection)


def add(tx: sa.Connection, key: str) -> None:
    # As a sweep of the earlier revision does: it names only the columns it knows.
    tx.execute(sa.text("INSERT INTO customers (key) VALUES (:key)"), {"key": key})


def test_a_migration_waits_for_a_sweeps_transaction_and_lets_others_pass(
    behind: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    upgrader = Store(behind.engine.url.render_as_string(hide_password=False), CIPHER)
    gave_way = told_of_a_lock(upgrader)
    with ThreadPoolExecutor() as pool:
        with behind.begin() as tx:
            add(tx, "tel:1")
            upgrading = pool.submit(upgrader.migrate)
            assert gave_way.wait(30)
            with behind.begin() as other:
                add(other, "tel:2")
            assert revision(behind) == EARLIER[-1]
        upgrading.result(30)
    assert revision(behind) == migrate.HEAD
    with behind.begin() as tx:
        add(tx, "tel:3")
        assert count(tx, customers) == 3
    upgrader.close()


def test_a_migration_that_cannot_get_through_says_so_and_changes_nothing(
    behind: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(migrate, "PATIENCE_S", 0.0)
    upgrader = Store(behind.engine.url.render_as_string(hide_password=False), CIPHER)
    with behind.begin() as tx:
        add(tx, "tel:1")
        with pytest.raises(OperationalError, match="lock timeout"):
            upgrader.migrate()
    assert revision(behind) == EARLIER[-1]
    upgrader.migrate()
    upgrader.close()


def test_a_program_older_than_the_schema_stops_at_its_next_transaction(store: Store) -> None:
    with store.begin() as tx:
        add(tx, "tel:1")
    newer(store, "9007")
    try:
        with pytest.raises(StrangeSchema, match=f"at revision 9007, this program knows up to {migrate.HEAD}"):
            store.migrate()
        with pytest.raises(StrangeSchema, match="upgrade Amends"), store.begin() as tx:
            add(tx, "tel:2")
        with store.read() as tx:
            assert count(tx, customers) == 1
    finally:
        newer(store, migrate.HEAD)


def newer(store: Store, revision: str) -> None:
    """What a newer program's migration leaves, as far as this one can see."""
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :new"), {"new": revision})


def test_a_migration_waits_for_a_transaction_that_has_only_begun(
    behind: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the revision and may write to any table next, so the schema must not change under it."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(migrate, "PATIENCE_S", 0.0)
    upgrader = Store(behind.engine.url.render_as_string(hide_password=False), CIPHER)
    with behind.begin(), pytest.raises(OperationalError, match="lock timeout"):
        upgrader.migrate()
    upgrader.close()
