"""Mistakes in settings and input end in one clear line on standard error, never in a traceback."""

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup


class Trouble(Exception):
    """Something the person at the keyboard can put right; the message says how. `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class GuardedGroup(TyperGroup):
    """Tells the expected kinds of trouble in a line each; anything else is a bug and tells its traceback, scrubbed."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("click", "typer"):
                raise  # how they end a command
            from amends.discretion import scrub

            told = explain(error) or scrub("".join(traceback.format_exception(error)))
            typer.echo(told, err=True)
            raise typer.Exit(error.code if isinstance(error, Trouble) else _exit_code(error)) from None


def explain(error: Exception) -> str | None:
    """What to tell about `error`, without secrets and phone numbers; None for what we did not expect."""
    if isinstance(error, Trouble):
        return str(error)
    match _name(error):
        case "JourneyProblem":
            from amends.discretion import scrub

            return scrub(str(error))  # it quotes what was written, perhaps an address in the wrong place
        case "FileProblem" | "TicketProblem" | "ServerProblem" | "StageProblem" | "KeyProblem" | "SealBroken":
            return str(error)
        case "StrangeSchema" | "DatabaseGone":
            return str(error)
    return _database_trouble(error) if _name(error).startswith("sqlalchemy.") else None


def _name(error: Exception) -> str:
    # By name, because importing the classes would import SQLAlchemy for `--help`.
    kind = type(error)
    return f"sqlalchemy.{kind.__name__}" if kind.__module__.startswith("sqlalchemy.") else kind.__name__


def _exit_code(error: Exception) -> int:
    return 2 if _name(error) in ("JourneyProblem", "FileProblem", "KeyProblem") else 1


def _database_trouble(error: Exception) -> str | None:
    from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

    from amends.store.trouble import Trouble as Kind
    from amends.store.trouble import trouble_of

    told = _first_line(error)
    match trouble_of(error):
        case Kind.AWAY:
            return f"the database does not answer: {told}. Check AMENDS_DATABASE_URL and that it is running"
        case Kind.BUSY:
            return (
                f"another program holds the database too long: {told}. Close what has a transaction open (a database "
                "tool, a long query), then run this again"
            )
        case Kind.FULL:
            return f"the disk of the database is full: {told}. Free some space; the next sweep goes on where it stopped"
        case Kind.READ_ONLY:
            return (
                f"the database may not be written: {told}. SQLite: give the user of Amends its file and folder. "
                "PostgreSQL: AMENDS_DATABASE_URL must name the primary"
            )
        case Kind.DAMAGED:
            return (
                f"the database is damaged, or none at all: {told}. Check AMENDS_DATABASE_URL; a damaged one is "
                "replaced by a backup with `amends restore FILE`"
            )
    if isinstance(error, OperationalError | ProgrammingError) or type(error) is DBAPIError:
        return f"the database refused: {told}. Check that AMENDS_DATABASE_URL is Amends' own database"
    return None


def _first_line(error: Exception) -> str:
    """The driver's own words. They name host and user, never the password."""
    from amends.discretion import scrub

    words = str(getattr(error, "orig", error)).strip() or type(error).__name__
    return scrub(words.splitlines()[0].rstrip("."))


def warn(text: str) -> None:
    """A line on standard error, at once."""
    print(text, file=sys.stderr, flush=True)
