"""Mistakes in settings and input end in one clear line on standard error, never in a traceback."""

import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

_URL_SECRETS = re.compile(r"(?<=://)[^\s'\",;)]+")


class Trouble(Exception):
    """Something the person at the keyboard can put right; the message says how. `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class GuardedGroup(TyperGroup):
    """Tells the expected kinds of trouble in a line each; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = explain(error)
            if told is None:
                raise
            typer.echo(told, err=True)
            raise typer.Exit(error.code if isinstance(error, Trouble) else _exit_code(error)) from None


def explain(error: Exception) -> str | None:
    """What to tell about `error`, without secrets and phone numbers; None for what we did not expect."""
    if isinstance(error, Trouble):
        return str(error)
    match _name(error):
        case "JourneyProblem":
            return scrub(str(error))  # it quotes what was written, perhaps an address in the wrong place
        case "FileProblem" | "TicketProblem" | "ServerProblem" | "StageProblem" | "KeyProblem" | "SealBroken":
            return str(error)
        case "sqlalchemy.OperationalError" | "sqlalchemy.InterfaceError":
            return _database_away(error)
        case "sqlalchemy.ProgrammingError" | "sqlalchemy.DatabaseError":
            return f"the database refused: {_first_line(error)}. Check that AMENDS_DATABASE_URL is Amends' own database"
    return None


def scrub(text: str) -> str:
    """The text without phone numbers, mail addresses, and whatever follows a `://`: URLs carry passwords."""
    from amends.domain.contacts import mask

    return mask(_URL_SECRETS.sub("***", text))


def _name(error: Exception) -> str:
    # By name, because importing the classes would import SQLAlchemy for `--help`.
    kind = type(error)
    return f"sqlalchemy.{kind.__name__}" if kind.__module__.startswith("sqlalchemy.") else kind.__name__


def _exit_code(error: Exception) -> int:
    return 2 if _name(error) in ("JourneyProblem", "FileProblem", "KeyProblem") else 1


def _database_away(error: Exception) -> str:
    return f"the database does not answer: {_first_line(error)}. Check AMENDS_DATABASE_URL and that it is running"


def _first_line(error: Exception) -> str:
    """The driver's own words. They name host and user, never the password."""
    words = str(getattr(error, "orig", error)).strip() or type(error).__name__
    return scrub(words.splitlines()[0].rstrip("."))


def warn(text: str) -> None:
    """A line on standard error, at once."""
    print(text, file=sys.stderr, flush=True)
