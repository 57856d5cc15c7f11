"""A connection that died in the pool, with its server or by an administrator, is replaced, and nobody notices."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from amends.store.audit import opened_books
from amends.store.engine import Store, Tx
from tests.store.rows import add_customer

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def _cut_connections(store: Store) -> None:
    with store.begin():
        pass  # so that one is kept
    other = sa.create_engine(store.engine.url, poolclass=sa.NullPool)
    with other.connect() as tx:
        assert tx.exec_driver_sql(CUT).all(), "there was none to cut"


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(lambda store: store.begin(), id="writing"),
        pytest.param(lambda store: store.read(), id="reading"),
        pytest.param(lambda store: store.read(snapshot=True), id="reading one moment"),
    ],
)
def test_a_transaction_begins_on_a_connection_that_lives(
    postgres: Store, opened: Callable[[Store], AbstractContextManager[Tx]]
) -> None:
    _cut_connections(postgres)
    with opened(postgres) as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_one_that_dies_in_the_transaction_ends_it(postgres: Store) -> None:
    def write() -> None:
        with postgres.begin() as tx:
            add_customer(tx)
            other = sa.create_engine(postgres.engine.url, poolclass=sa.NullPool)
            with other.connect() as administrator:
                administrator.exec_driver_sql(CUT)
            add_customer(tx)

    with pytest.raises(sa.exc.OperationalError):
        write()
    with postgres.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM customers").scalar_one() == 0


def test_the_books_are_of_one_moment(postgres: Store) -> None:
    count = "SELECT count(*) FROM customers"
    with opened_books(postgres, NOW) as books:
        with postgres.begin() as tx:
            add_customer(tx)
        assert books.tx.exec_driver_sql(count).scalar_one() == 0
    with postgres.read() as tx:
        assert tx.exec_driver_sql(count).scalar_one() == 1
