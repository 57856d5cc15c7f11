"""Schema migrations by alembic, run from code: an installation has no alembic.ini."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from amends.encryption import Cipher
from amends.store.trouble import Trouble, trouble_of

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0006"
"""The newest revision; a test holds it against the folder of migrations."""
FOLDER = Path(__file__).parent / "migrations"
PATIENCE_S = 120.0
"""How long a migration waits, all tries together, for transactions that are in its way on PostgreSQL."""
LOCK_TIMEOUT = "5s"
"""How long one try waits: while it does, whoever comes after it waits too."""


class StrangeSchema(SQLAlchemyError):
    """The database's schema is none that this program knows: it has been upgraded by a newer one, or is not ours."""


def migrate(engine: Engine, cipher: Cipher) -> None:
    """Upgrade to the newest revision. Cheap when nothing is to do: alembic is imported only when something is.

    It may run while sweeps do: it waits until no writing transaction is open, and keeps new ones waiting. On
    PostgreSQL it gives way every few seconds and tries again, so that one long transaction does not hold up
    everybody. `cipher` seals the keyring that a revision makes, and opens it for those that go back. Raises
    StrangeSchema for a database that is newer than this program.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_in_the_way),
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_random(0.5, 2),
        reraise=True,
    ):
        with attempt:
            if not _at_head(engine):
                _upgrade_alone(engine, cipher)


def _at_head(engine: Engine) -> bool:
    with engine.connect() as connection:
        return revision_of(connection) == HEAD


def revision_of(connection: Connection) -> str | None:
    """The revision of the schema; None for an empty database. Raises StrangeSchema for one we do not know."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.exec_driver_sql(_REVISION).scalar()
    _refuse_strange(revision)
    return revision


def hold_revision(tx: Connection) -> None:
    """Called first in every writing transaction: this program must know the schema, and it stays until the end.

    On PostgreSQL reading the table keeps a migration, which locks it, from starting before this transaction is over.
    So a process that is older than the schema stops at its next transaction, and never writes into one it does not
    understand. Raises StrangeSchema.
    """
    _refuse_strange(tx.exec_driver_sql(_REVISION).scalar())


_REVISION = "SELECT version_num FROM alembic_version"


@cache
def known_revisions() -> frozenset[str]:
    """Every revision this program can come from or has arrived at."""
    return frozenset(file.name[:4] for file in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def _refuse_strange(revision: str | None) -> None:
    if revision is not None and revision not in known_revisions():
        raise StrangeSchema(
            f"this database is at revision {revision}, this program knows up to {HEAD}: upgrade Amends and start it "
            "again (or AMENDS_DATABASE_URL names another program's database)"
        )


def _in_the_way(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and trouble_of(error) is Trouble.BUSY


def _upgrade_alone(engine: Engine, cipher: Cipher) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            # Two processes may start together on an empty database: the second waits, then finds it done.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305182)"))
            if sa.inspect(connection).has_table("alembic_version"):
                # First of all, holding nothing that others want: from here on nobody else writes (`hold_revision`).
                connection.execute(sa.text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        upgrade(connection, cipher, "head")


def upgrade(connection: Connection, cipher: Cipher, revision: str) -> None:
    """Upgrade to `revision` within the caller's transaction."""
    from alembic import command

    command.upgrade(_config(connection, cipher), revision)


def downgrade(connection: Connection, cipher: Cipher, revision: str) -> None:
    """Go back to `revision` within the caller's transaction."""
    from alembic import command

    command.downgrade(_config(connection, cipher), revision)


def _config(connection: Connection, cipher: Cipher) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes.update(connection=connection, cipher=cipher)
    return config
