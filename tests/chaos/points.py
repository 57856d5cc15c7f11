"""The named points of a sweep at which it can be stopped: before and after every commit and every vendor call.

A name says which Prefect task runs, or which module of `tasks/` where none does, and what is about to happen or has
just happened: `acknowledge: before commit`, `poll: after look-up`, `tokens: after call`. Product code knows nothing
of them: they hang on SQLAlchemy's dialect, on the transport of our connectors and on the notifier.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from prefect.context import TaskRunContext

from amends.domain.outcome import Outcome
from amends.store.engine import Store
from connectors.notify import AppriseNotifier
from connectors.ports import Message
from connectors.transport import Transport

START = "sweep: start"
"""Passed first, when the store is open and the flow about to run."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Send this process `signal_number` when it passes the point `name` for the `nth` time."""

    name: str
    nth: int = 1
    signal_number: int = signal.SIGKILL


class Trail:
    """Every point passed, written down at once: the file outlives a killed process."""

    def __init__(self, file: Path, stops: Sequence[Stop]) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._stops = {(stop.name, stop.nth): stop.signal_number for stop in stops}
        self._passed: Counter[str] = Counter()

    def passing(self, name: str) -> None:
        os.write(self._file, f"{name}\n".encode())
        self._passed[name] += 1
        if (signal_number := self._stops.get((name, self._passed[name]))) is not None:
            os.kill(os.getpid(), signal_number)


def watch(store: Store, vendor_url: str, trail: Trail) -> None:
    """From now on, this process leaves a trail of its commits to `store` and its calls to the vendor."""
    _watch_commits(store, trail)
    _watch_calls(vendor_url, trail)
    _watch_notifications(trail)


def _step() -> str:
    """The task that runs, or the module of `tasks/` at work; the vault works for whoever happens to need a token."""
    frame, module = sys._getframe(1), ""
    while frame.f_back is not None and not module.startswith("tasks."):
        frame = frame.f_back
        module = str(frame.f_globals.get("__name__", ""))
    if module == "tasks.vault":
        return "tokens"
    run = TaskRunContext.get()
    return run.task.name if run else module.removeprefix("tasks.").replace("_", " ")


def _watch_commits(store: Store, trail: Trail) -> None:
    """A commit that has written nothing is no point: there is nothing to lose by dying there."""
    dialect = store.engine.dialect
    commit = dialect.do_commit

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def note(connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            connection.info["wrote"] = True

    def watched(connection: Any) -> None:
        if not connection.info.pop("wrote", False):
            commit(connection)
            return
        step = _step()
        trail.passing(f"{step}: before commit")
        commit(connection)
        trail.passing(f"{step}: after commit")

    dialect.do_commit = watched  # type: ignore[method-assign, assignment]


def _watch_calls(vendor_url: str, trail: Trail) -> None:
    send = Transport.handle_async_request

    async def watched(self: Transport, request: httpx.Request) -> httpx.Response:
        if not str(request.url).startswith(vendor_url):
            return await send(self, request)
        step = "tokens" if request.url.path.endswith("/access_token") else _step()
        what = "call" if request.method == "POST" else "look-up"
        trail.passing(f"{step}: before {what}")
        response = await send(self, request)
        trail.passing(f"{step}: after {what}")
        return response

    Transport.handle_async_request = watched  # type: ignore[method-assign]


def _watch_notifications(trail: Trail) -> None:
    """Apprise calls with a client of its own."""
    send = AppriseNotifier.send

    async def watched(self: AppriseNotifier, message: Message) -> Outcome:
        step = _step()
        trail.passing(f"{step}: before call")
        outcome = await send(self, message)
        trail.passing(f"{step}: after call")
        return outcome

    AppriseNotifier.send = watched  # type: ignore[method-assign]
