"""The schema: migrations arrive where the tables say, once, and however many processes start together."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from subprocess import run
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amends.store import migrate
from amends.store.engine import Store
from amends.store.schema import customers, metadata
from tests.conftest import CIPHER, KEY, ROOT
from tests.domain.examples import NINE
from tests.store.rows import add_customer, at_once


def test_the_migrated_schema_is_the_one_the_code_speaks_of(empty_url: str) -> None:
    store = Store(empty_url, CIPHER)
    store.migrate()
    with store.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.close()


def test_partial_indexes_keep_their_conditions(store: Store) -> None:
    """Alembic's comparison does not look at them, and a due-query without its condition reads the whole table."""
    dialect = store.engine.dialect
    wanted = {
        str(index.name)
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options[dialect.name]["where"] is not None
    }
    with store.read() as tx:
        inspector = sa.inspect(tx)
        partial = {
            str(index["name"])
            for table in metadata.tables
            for index in inspector.get_indexes(table)
            if index.get("dialect_options", {}).get(f"{dialect.name}_where") is not None
        }
    assert partial == wanted


def test_the_head_the_code_checks_for_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_migrating_again_changes_nothing(empty_url: str) -> None:
    store = Store(empty_url, CIPHER)
    store.migrate()
    with store.begin() as tx:
        customer_id = add_customer(tx)
    store.migrate()
    with store.read() as tx:
        assert tx.execute(sa.select(customers.c.id)).scalar_one() == customer_id
    store.close()


def test_threads_that_migrate_at_once_migrate_once(empty_url: str) -> None:
    def start() -> int:
        store = Store(empty_url, CIPHER)
        store.migrate()
        with store.read() as tx:
            found = len(tx.execute(sa.select(customers)).all())
        store.close()
        return found

    assert at_once([start] * 8) == [0] * 8


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    program = (
        "from amends.encryption import Cipher; from amends.store.engine import Store; "
        f"Store({empty_url!r}, Cipher([{KEY!r}])).migrate()"
    )

    def start() -> str:
        return run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        ).stderr

    assert at_once([start] * 2) == [""] * 2
    store = Store(empty_url, CIPHER)
    with store.read() as tx:
        assert sa.inspect(tx).has_table("vouchers")
    store.close()


@pytest.mark.parametrize("url", ["mysql+pymysql://care:s3cret@db/amends", "oracle://care:s3cret@db/amends"])
def test_other_databases_are_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not supported; use sqlite:///file\.db or postgresql") as caught:
        Store(url, CIPHER)
    assert "s3cret" not in str(caught.value)


def test_a_failed_transaction_leaves_nothing_behind(store: Store) -> None:
    def fail() -> None:
        with store.begin() as tx:
            add_customer(tx)
            raise RuntimeError("the sweep was stopped")

    with pytest.raises(RuntimeError):
        fail()
    with store.read() as tx:
        assert tx.execute(sa.select(customers)).all() == []


def test_readers_do_not_wait_for_the_writer(store: Store) -> None:
    with store.begin() as writer:
        add_customer(writer)
        with store.read() as reader:
            assert reader.execute(sa.select(customers)).all() == []


def test_foreign_keys_hold_on_both_databases(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError), store.begin() as tx:
        tx.execute(
            sa.text("INSERT INTO timeline (case_id, at, event, actor) VALUES (4711, '2026-11-02', 'x', 'y')")
        )


def test_naive_times_are_refused(store: Store) -> None:
    naive = NINE.replace(tzinfo=None)
    with (
        pytest.raises(sa.exc.StatementError, match="has no time zone; only aware datetimes"),
        store.begin() as tx,
    ):
        add_customer(tx, opted_out_at=naive)


moments = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds and adds the zone itself
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([ZoneInfo("Asia/Ho_Chi_Minh"), timezone(timedelta(hours=-9, minutes=-30))]),
)


@given(moments, moments)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_times_of_any_zone_come_back_as_the_same_instant_and_in_the_same_order(
    store: Store, one: datetime, other: datetime
) -> None:
    with store.engine.connect() as tx:
        ids = {add_customer(tx, opted_out_at=moment): moment for moment in (one, other)}
        query = sa.select(customers.c.id, customers.c.opted_out_at).where(customers.c.id.in_(ids))
        rows = tx.execute(query.order_by(customers.c.opted_out_at)).all()
        assert {row.id: row.opted_out_at for row in rows} == ids
        assert [row.opted_out_at for row in rows] == sorted(ids.values())
        assert all(row.opted_out_at.utcoffset() == timedelta(0) for row in rows)
        tx.rollback()
