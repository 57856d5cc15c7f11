"""Schema migrations by alembic, run from code: an installation has no alembic.ini."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from amends.encryption import Cipher

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0005"
"""The newest revision; a test holds it against the folder of migrations."""


def migrate(engine: Engine, cipher: Cipher) -> None:
    """Upgrade to the newest revision. Cheap when nothing is to do: alembic is imported only when something is.

    `cipher` seals the keyring that a revision makes, and opens it for those that go back.
    """
    if _revision(engine) == HEAD:
        return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Two processes may start together on an empty database: the second waits, then finds it done.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305182)"))
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
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes.update(connection=connection, cipher=cipher)
    return config


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
