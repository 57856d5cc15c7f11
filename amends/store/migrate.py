"""Schema migrations by alembic, run from code: an installation has no alembic.ini."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

HEAD = "0004"
"""The newest revision; a test holds it against the folder of migrations."""


def migrate(engine: Engine) -> None:
    """Upgrade to the newest revision. Cheap when nothing is to do: alembic is imported only when something is."""
    if _revision(engine) == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Two processes may start together on an empty database: the second waits, then finds it done.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305182)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
