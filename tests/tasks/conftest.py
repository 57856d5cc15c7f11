"""The databases of the store's tests, emptied before each test, serve the tasks too."""

from tests.store.conftest import kept_postgres, kept_sqlite, postgres, store

__all__ = ["kept_postgres", "kept_sqlite", "postgres", "store"]
