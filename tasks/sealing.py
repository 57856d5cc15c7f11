"""Sealing: once a day, seal what was stored before there was encryption, and what is under an older data key."""

from amends.store import resealing
from tasks.chunks import chunk_task
from tasks.sweep import Sweep

PAGE, PAGES = 500, 200
"""Rows looked at in one transaction, and transactions a day: `amends key rotate` does all at once."""


async def seal_what_is_left(sweep: Sweep) -> None:
    """Go on where the last daily sweep stopped; nothing in frequent sweeps."""
    if sweep.read_back:
        await _seal(sweep)


@chunk_task("seal")
async def _seal(sweep: Sweep) -> None:
    for _ in range(PAGES):
        with sweep.store.begin() as tx:
            looked_at = resealing.reseal(tx, PAGE)
        if not looked_at:
            return
