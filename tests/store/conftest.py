"""Two databases for all tests of the store, emptied before each: a new one takes ten times as long."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amends.store.engine import Store
from tests.conftest import CIPHER
from tests.servers import TEMPLATE, new_database
from tests.store.rows import wipe


@pytest.fixture(scope="session")
def kept_postgres(postgres_server: str) -> Iterator[Store]:
    store = Store(new_database(postgres_server, TEMPLATE), CIPHER)
    yield store
    store.close()


@pytest.fixture(scope="session")
def kept_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'amends.db'}", CIPHER)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    kept: Store = request.getfixturevalue(f"kept_{request.param}")
    wipe(kept)
    return kept


@pytest.fixture
def postgres(kept_postgres: Store) -> Store:
    """For what only PostgreSQL can do: two writers at once."""
    wipe(kept_postgres)
    return kept_postgres


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database in which nothing has been created yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'amends.db'}"
    return new_database(request.getfixturevalue("postgres_server"))
