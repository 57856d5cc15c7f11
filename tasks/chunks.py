"""How every step runs: as long as something is due, one Prefect task run per chunk of cases."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.exc import DBAPIError, OperationalError

from amends.domain.effects import Step
from amends.store import agenda
from amends.store.agenda import Claim
from tasks.sweep import Sweep, timed

P = ParamSpec("P")
R = TypeVar("R")
Handle = Callable[[Sweep, list[Claim]], Awaitable[None]]


async def database_trouble(_task: Any, _run: Any, state: Any) -> bool:
    """Prefect's retries are the third ring: for our own database being away, and for nothing else (DESIGN 4.5)."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def chunk_task(
    name: str,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """A Prefect task that handles one chunk: never cached, never persisted, repeated only for database trouble."""
    made = task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3,
        retry_delay_seconds=[1, 5, 20],
        retry_condition_fn=database_trouble,
    )
    return cast("Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]", made)


async def run_due(sweep: Sweep, step: Step, handle: Handle) -> None:
    """Work through everything due for `step`. A step with nothing due makes no task run at all."""

    @chunk_task(step.value.replace("_", " "))
    async def chunk() -> int:
        with sweep.store.begin() as tx:
            claims = agenda.claim(
                tx,
                sweep.journey.name,
                step,
                now=sweep.now(),
                owner=sweep.owner,
                lease_until=sweep.lease_until(),
                limit=sweep.settings.chunk_size,
            )
        if claims:
            await handle(sweep, claims)
        return len(claims)

    async with timed(sweep, step) as tally:
        while _is_due(sweep, step):
            taken = await chunk()
            tally.cases += taken
            if not taken:  # another sweep was quicker
                return


def _is_due(sweep: Sweep, step: Step) -> bool:
    with sweep.store.read() as tx:
        return agenda.is_due(tx, sweep.journey.name, step, sweep.now())
