"""How long a run for news goes on: as long as more keeps coming in."""

import asyncio
from collections.abc import AsyncIterator

from amends.store import inbox
from tasks.poll import has_news
from tasks.sweep import Sweep

LONGEST_RUN_S = 60.0
"""Then the run ends, for operators to see it, and the next one begins."""
_LOOK_EVERY_S = 0.05


async def arrivals(sweep: Sweep, linger_seconds: float) -> AsyncIterator[None]:
    """Once at once, then again for whatever has come in meanwhile, until nothing has for `linger_seconds`.

    Starting a run is the dearest part of it, and the one that may have to wait: while its database is locked,
    Prefect's server on SQLite answers 503 and the client comes back two seconds later (ADR 0002). A look is two
    index probes.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + LONGEST_RUN_S
    yield
    quiet_at = loop.time() + linger_seconds
    while loop.time() < min(quiet_at, end):
        if sweep.left_over or _anything(sweep):
            sweep.left_over = False
            yield
            quiet_at = loop.time() + linger_seconds
        else:
            await asyncio.sleep(_LOOK_EVERY_S)


def _anything(sweep: Sweep) -> bool:
    with sweep.store.read() as tx:
        return inbox.has_unrouted(tx, sweep.journey.name) or has_news(tx, sweep)
