"""Exceptions that tell nothing private: Prefect shows their text in states, logs and events, to whoever may look.

Anybody may raise anything, and texts quote what they stumbled over: `int()` a phone number, a dictionary the key it
lacks. So the text of an error that nobody foresaw stays behind; its type, its place and the traceback are told, and
nothing of those is data. Errors of our own and trouble of the database keep their words, which were chosen with care.
"""

import functools
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from traceback import walk_tb
from typing import Any, ParamSpec, TypeVar

from amends.domain.contacts import mask

P = ParamSpec("P")
R = TypeVar("R")

OURS = ("amends", "connectors", "tasks", "flows", "deployments", "desk", "cli")
_ROOT = Path(__file__).parents[1]
_URL_SECRETS = re.compile(r"(?<=://)[^\s'\",;)]+")


class Withheld(Exception):
    """Stands for an error that nobody foresaw: its type and place, without its text."""


def scrub(text: str) -> str:
    """The text without phone numbers, mail addresses, and whatever follows a `://`: URLs carry passwords."""
    return mask(_URL_SECRETS.sub("***", text))


def discreetly(step: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Stand between Prefect and a task or flow: no error leaves with a text that may quote a customer or a secret."""

    @functools.wraps(step)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await step(*args, **kwargs)
        except Exception as error:
            told = discreet(error)
        raise told  # out here, where no other error is being handled, it gets no context

    return guarded


def discreet(error: Exception) -> Exception:
    """The error itself, scrubbed, if its words are ours or tell of trouble of the database; a `Withheld` otherwise."""
    if not _is_chosen(error):
        return Withheld(_described(error)).with_traceback(error.__traceback__)
    if (scrubbed := scrub(str(error))) != str(error):
        error.args = (scrubbed,)
    _leave_behind_what_led_to(error)
    return error


def _is_chosen(error: BaseException) -> bool:
    """Whether the words of the error were chosen by us, or by the database about itself."""
    from amends.store.trouble import trouble_of

    return type(error).__module__.partition(".")[0] in OURS or trouble_of(error) is not None


def _leave_behind_what_led_to(error: BaseException) -> None:
    """Cut the chain of causes at the first whose words nobody chose."""
    led = error.__cause__ or error.__context__
    while led is not None and _is_chosen(led):
        error, led = led, led.__cause__ or led.__context__
    error.__cause__ = error.__context__ = None


def _described(error: Exception) -> str:
    places = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(error.__traceback__)]
    ours = [(file, line) for file, line in places if file.is_relative_to(_ROOT) and ".venv" not in file.parts]
    where = [f" in {file.relative_to(_ROOT)}, line {line}" for file, line in ours if file != Path(__file__)]
    details = f" ({fields})" if (fields := _fields(error)) else ""
    return (
        f"{type(error).__module__}.{type(error).__qualname__}{where[-1] if where else ''}{details}; "
        "its text is withheld, it may quote a customer or a secret"
    )


def _fields(error: Exception) -> str:
    """Which fields pydantic did not like, and the kind of mistake: settings are read where a flow begins."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return ""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['type']}" for each in found)
