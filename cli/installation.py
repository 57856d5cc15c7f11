"""This installation: its settings and its open database. Heavy imports; only command bodies import this."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError

from amends.encryption import KeyProblem
from amends.logs import set_up_logs
from amends.settings import Settings
from amends.store.engine import Store
from amends.store.opening import open_store
from cli.guard import Trouble, explain, warn


def read_settings() -> Settings:
    """The settings; logs are set up by them. Raises Trouble naming the variables that are wrong, never their values."""
    try:
        settings = Settings()
        set_up_logs(settings.log)
        return settings
    except ValidationError as error:
        told = "; ".join(f"{_variable(problem)}: {problem['msg']}" for problem in error.errors())
        raise Trouble(f"settings: {told}. Correct the environment or .env", 2) from None
    except SettingsError as error:
        # "error parsing value for field "contacts" from source ...": it names the field and quotes nothing.
        raise Trouble(
            f"settings: {error}. Tables such as AMENDS_CONTACTS are JSON: "
            """AMENDS_CONTACTS='{"lan": "..."}'""",
            2,
        ) from None


def _variable(problem: Any) -> str:
    return "AMENDS_" + "__".join(str(part) for part in problem["loc"]).upper()


@contextmanager
def opened_store(settings: Settings, *, may_be_away: bool = False) -> Iterator[Store]:
    """The database, at the newest schema. Raises Trouble for a wrong URL, which it never quotes, and KeyProblem.

    `may_be_away`: for who can begin without it; the schema is then whoever's who finds it answering.
    """
    store = _open(settings)
    try:
        try:
            store.migrate()
        except (OperationalError, InterfaceError) as error:
            if not may_be_away:
                raise
            warn(f"{explain(error)}; what comes in meanwhile is kept")
        yield store
    finally:
        store.close()


def _open(settings: Settings) -> Store:
    advice = "write sqlite:///folder/file.db or postgresql+psycopg://user:password@host/database"
    try:
        return open_store(settings)
    except ArgumentError:
        raise Trouble(f"AMENDS_DATABASE_URL is no database URL; {advice}", 2) from None
    except KeyProblem:
        raise
    except ValueError as error:
        raise Trouble(f"AMENDS_DATABASE_URL: {str(error).partition(';')[0]}; {advice}", 2) from None
    except OSError as error:
        raise Trouble(
            f"the folder of the database or of the key file cannot be used: {error.strerror}; "
            "set AMENDS_HOME, or AMENDS_DATABASE_URL and AMENDS_ENCRYPTION_KEYS"
        ) from None


def prepare_prefect(settings: Settings, log_level: str = "WARNING") -> None:
    """Keep Prefect's files in our home, and all logs quiet and on stderr. Call it before anything imports Prefect.

    What the environment says already stands. Processes that Prefect starts inherit all of it.
    """
    defaults = {
        "PREFECT_HOME": str((settings.home / "prefect").resolve()),
        "PREFECT_LOGGING_LEVEL": log_level,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    set_up_logs(settings.log)
