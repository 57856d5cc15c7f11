"""After the 200: from the spool into the database, and from there to an agent, within a second or so.

Three loops side by side. Each survives what it depends on: a database or a Prefect server that is away only makes
webhooks wait where they are, and the sweeps pick up whatever was not carried on from here.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from amends.domain.journey import ComplaintJourney
from amends.encryption import KeyProblem
from amends.store import webhook_events
from amends.store.spool import Spool
from desk.counts import Counts
from tasks.sweep import Runtime
from tasks.webhooks import Doors, move_spooled

Respond = Callable[[ComplaintJourney], Awaitable[Any]]

LOOK_AGAIN_S = 15.0
"""How long to wait after a failure, and at most between two looks into the spool."""
FLUSH_S = 10.0
REMEMBER, FORGET_EVERY = timedelta(hours=6), timedelta(hours=1)

log = structlog.get_logger()


class Reaction:
    """Moves webhooks on and has journeys respond to them. `arrived` is its bell; `run` lasts until cancelled."""

    def __init__(
        self,
        runtime: Runtime,
        spool: Spool,
        doors: Doors,
        journeys: Sequence[ComplaintJourney],
        respond: Respond | None,
        counts: Counts,
        *,
        look_again_s: float = LOOK_AGAIN_S,
        flush_s: float = FLUSH_S,
    ) -> None:
        """`respond` runs a journey's flow without blocking the event loop; None leaves everything to the sweeps.

        The store may be away, and not be migrated yet: that is done here once it answers.
        """
        self._runtime, self._spool, self._doors, self._counts = runtime, spool, doors, counts
        self._journeys: Mapping[str, ComplaintJourney] = {journey.name: journey for journey in journeys}
        self._respond = respond
        self._look_again_s, self._flush_s = look_again_s, flush_s
        self._migrated = False
        self._bell = asyncio.Event()
        self._due: dict[str, None] = {}
        self._work = asyncio.Event()
        self._trouble: dict[str, str] = {}
        self._forgot_at = runtime.clock.now()

    def arrived(self, _door: str) -> None:
        """Something was just committed to the spool. Call it from the event loop."""
        self._bell.set()

    def health(self) -> dict[str, Any]:
        """What is wrong at present, by part, in words without personal data; empty when all is well."""
        return dict(self._trouble)

    async def run(self) -> None:
        """Work until cancelled. What was left in the spool by an earlier desk is moved first."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._move())
            loops.create_task(self._flush())
            if self._respond is not None:
                loops.create_task(self._answer(self._respond))

    async def _move(self) -> None:
        while True:
            self._bell.clear()
            try:
                await self._migrate()
                while await self._move_once():
                    pass
                for part in ("database", "spool", "keys"):
                    self._trouble.pop(part, None)
            except (SQLAlchemyError, sqlite3.Error, KeyProblem) as error:
                self._tell(_failing(error), error)
                await asyncio.sleep(self._look_again_s)
                continue
            await self._rung(self._look_again_s)

    async def _migrate(self) -> None:
        if not self._migrated:
            await asyncio.to_thread(self._runtime.store.migrate)
            self._migrated = True

    async def _rung(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def _move_once(self) -> int:
        runtime = self._runtime
        moved = await asyncio.to_thread(
            move_spooled, runtime.store, self._spool, self._doors, runtime.clock.now()
        )
        for template_id in moved.templates:
            runtime.memory.forget(template_id)
        polled = {j.name for j in self._journeys.values() if j.zalo_account in moved.accounts}
        for name in sorted(moved.journeys | polled):
            if name in self._journeys:
                self._is_due(name)
        return moved.events

    async def _answer(self, respond: Respond) -> None:
        """One run at a time for each journey, for all that has come in: load makes runs larger, not more."""
        running: set[str] = set()
        async with asyncio.TaskGroup() as runs:
            while True:
                await self._work.wait()
                self._work.clear()
                for name in [name for name in self._due if name not in running]:
                    del self._due[name]
                    running.add(name)
                    runs.create_task(self._run(respond, name, running))

    async def _run(self, respond: Respond, name: str, running: set[str]) -> None:
        # Prefect's errors have no common root. Should no later try succeed either, the sweeps do this run's work.
        try:
            await respond(self._journeys[name])
        except Exception as error:
            self._tell(f"journey {name}", error)
            asyncio.get_running_loop().call_later(self._look_again_s, self._is_due, name)
        else:
            self._trouble.pop(f"journey {name}", None)
        finally:
            running.discard(name)
            if name in self._due:
                self._work.set()

    def _is_due(self, name: str) -> None:
        self._due[name] = None
        self._work.set()

    async def _flush(self) -> None:
        """Write the doors' counts down now and then: a flood of forgeries must not become a flood of writes."""
        while True:
            await asyncio.sleep(self._flush_s)
            await self.flush()

    async def flush(self) -> None:
        """Write the counts now; they are kept for the next time when the database is away. Old keys are forgotten."""
        now = self._runtime.clock.now()
        if now - self._forgot_at > FORGET_EVERY:
            # The database knows every event for good; the spool only has to outlast the vendor's repetitions.
            try:
                await asyncio.to_thread(self._spool.forget, now - REMEMBER)
                self._forgot_at = now
            except sqlite3.Error as error:
                log.error("desk.trouble", what="spool", error=type(error).__name__)
        deltas = self._counts.take()
        if not deltas:
            return

        def write() -> None:
            with self._runtime.store.begin() as tx:
                webhook_events.add_counts(tx, deltas, now.date())

        try:
            await asyncio.to_thread(write)
        except (SQLAlchemyError, KeyProblem):
            self._counts.put_back(deltas)

    def _tell(self, what: str, error: Exception) -> None:
        """Once per kind of trouble, not once per try."""
        told = type(error).__name__
        if self._trouble.get(what) != told:
            log.error("desk.trouble", what=what, error=told)
        self._trouble[what] = told


def _failing(error: Exception) -> str:
    """The part of the installation that has trouble."""
    if isinstance(error, KeyProblem):
        return "keys"
    return "spool" if isinstance(error, sqlite3.Error) else "database"
