"""What both doors share: what they need, and the one way in."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import JSONResponse

from amends.clock import Clock
from amends.settings import Settings
from amends.store.spool import Arrived
from desk.counts import Counts
from desk.limits import Limits
from desk.refusal import BUSY, Refused
from desk.writer import SpoolWriter, Unavailable


@dataclass(frozen=True, slots=True)
class Intake:
    """What a door works with. `on_arrival` gets the door's name, in the event loop; it neither blocks nor raises."""

    settings: Settings
    clock: Clock
    writer: SpoolWriter
    counts: Counts
    on_arrival: Callable[[str], None]
    limits: Limits


async def keep(intake: Intake, arrived: Arrived) -> JSONResponse:
    """200 after the commit, and only then. Raises Refused (unavailable)."""
    try:
        new = await intake.writer.store(arrived)
    except Unavailable:
        raise Refused(arrived.door, "unavailable", BUSY) from None
    intake.counts.add(arrived.door, "accepted" if new else "duplicate")
    # For a duplicate as well: the first copy may have been committed after its own request was given up.
    intake.on_arrival(arrived.door)
    return JSONResponse({"status": "accepted" if new else "duplicate"})
