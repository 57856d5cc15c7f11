"""How every step runs: as long as something is due, one Prefect task run per chunk of cases."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

import structlog
from prefect import task
from prefect.cache_policies import NO_CACHE

from amends.discretion import discreetly
from amends.domain.effects import Step
from amends.store import agenda
from amends.store.agenda import Claim
from amends.store.trouble import may_pass, trouble_of
from tasks.sweep import Sweep, timed

log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")
Handle = Callable[[Sweep, list[Claim]], Awaitable[None]]

NEWS_CHUNK = 128
"""Cases that a step takes at once where the newest come first: four waves of calls, well below a second."""

RETRY_AFTER_S = [1.0, 5.0, 20.0]
"""Waits between the tries of a chunk that met trouble of our own database."""


async def database_trouble(_task: Any, _run: Any, state: Any) -> bool:
    """Prefect's retries are the third ring: for our own database being away, and for nothing else (DESIGN 4.5)."""
    error = await state.aresult(raise_on_failure=False)
    if may_pass(error):
        log.warning(
            "database trouble in a chunk", trouble=str(trouble_of(error)), error=type(error.orig).__name__
        )
        return True
    return False


def chunk_task(
    name: str,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """A Prefect task that handles one chunk: never cached, never persisted, repeated only for database trouble."""
    as_task = task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3,
        retry_delay_seconds=RETRY_AFTER_S,
        retry_condition_fn=database_trouble,
    )

    def made(chunk: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        return cast("Callable[P, Coroutine[Any, Any, R]]", as_task(discreetly(chunk)))

    return made


class _Chunks:
    """The chunks of one step in one sweep. Not a dataclass: those Prefect searches for futures at every task run."""

    def __init__(self, sweep: Sweep, step: Step, handle: Handle) -> None:
        self.sweep, self.step, self.handle = sweep, step, handle
        self.limit = sweep.settings.chunk_size
        if sweep.newest_first:
            self.limit = min(self.limit, NEWS_CHUNK)
        self.held: list[Claim] = []
        """What the present chunk has claimed."""

    def claim(self) -> list[Claim]:
        sweep = self.sweep
        with sweep.store.begin() as tx:
            # A second try takes up what the first has left: nobody else can, until its lease ends.
            claims = agenda.still_ours(tx, self.held, sweep.owner) if self.held else []
            if claims:
                agenda.renew(tx, claims, sweep.owner, sweep.lease_until())
                return claims
            return agenda.claim(
                tx,
                sweep.journey.name,
                self.step,
                now=sweep.now(),
                owner=sweep.owner,
                lease_until=sweep.lease_until(),
                limit=self.limit,
                newest_first=sweep.newest_first,
            )


async def _chunk(chunks: _Chunks) -> int:
    claims = chunks.held = chunks.claim()
    if claims:
        await chunks.handle(chunks.sweep, claims)
    chunks.held = []
    return len(claims)


@cache
def _task_of(step: Step) -> Callable[[_Chunks], Coroutine[Any, Any, int]]:
    """The task of a step, made once: to make one, Prefect reads and parses the source of its function."""
    return chunk_task(step.value.replace("_", " "))(_chunk)


async def run_due(sweep: Sweep, step: Step, handle: Handle) -> None:
    """Work through everything due for `step`, or through one chunk of the newest where those come first.

    A step with nothing due makes no task run at all.
    """
    async with timed(sweep, step) as tally:
        chunks = _Chunks(sweep, step, handle)
        while _is_due(sweep, step):
            taken = await _task_of(step)(chunks)
            tally.cases += taken
            if sweep.newest_first:
                sweep.left_over |= taken == chunks.limit
                return
            if not taken:  # another sweep was quicker
                return


def _is_due(sweep: Sweep, step: Step) -> bool:
    with sweep.store.read() as tx:
        return agenda.is_due(tx, sweep.journey.name, step, sweep.now())
