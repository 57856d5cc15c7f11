"""Who runs beside whom, on which database, against which vendor, how many cases and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.part import Size


@dataclass(frozen=True)
class Runner:
    """One system in a race. `at_once` is how many cases it has under way together, where it lets one choose."""

    label: str
    arm: str
    cases: int
    rounds: int
    at_once: int = 32
    needs: str | None = None
    """A package that need not be installed; without it this runner does not start."""

    @property
    def is_peer(self) -> bool:
        return self.arm not in ("amends", "floor", "floor_aiohttp")

    @property
    def ready(self) -> bool:
        return self.needs is None or find_spec(self.needs) is not None


@dataclass(frozen=True)
class Race:
    """Systems in turn on the same kind of database and against the same vendor."""

    database: str
    over_http: bool
    runners: Sequence[Runner]

    @property
    def setting(self) -> str:
        return "http" if self.over_http else "engine"


AMENDS, FLOOR, DBOS, PROCRASTINATE = "Amends", "floor", "DBOS", "procrastinate"
FLOOR_AIOHTTP = "floor over aiohttp"
"""The floor with the connections of Amends in place of httpx's own."""
NAIVE = ("naive Prefect, in turn", "naive Prefect, at once")
"""A flow run per case with a task per step; one after the other, and eight together."""


@dataclass(frozen=True)
class Scale:
    """How many cases and rounds a size is worth."""

    cases: int
    rounds: int
    """Of Amends and the floor, whose ratio is the closest."""
    peer_rounds: int
    peer_cases: int
    naive_cases: tuple[int, int]
    """In turn and at once: as slow as it is, it may do fewer."""


SCALES = {
    Size.SMOKE: Scale(20, 1, 1, 10, (2, 4)),
    Size.QUICK: Scale(1_000, 1, 1, 50, (2, 6)),
    Size.FULL: Scale(2_000, 5, 3, 200, (8, 24)),
}


def races(size: Size) -> list[Race]:
    """All four: two databases, two vendors."""
    return [
        Race(kind, http, _runners(SCALES[size], kind, http))
        for http in (False, True)
        for kind in (SQLITE, POSTGRES)
    ]


def amends_and_floor(scale: Scale) -> list[Runner]:
    """The pair: the floor repeats what the run of Amends before it has left."""
    return [
        Runner(AMENDS, "amends", scale.cases, scale.rounds),
        Runner(FLOOR, "floor", scale.cases, scale.rounds),
    ]


def _runners(scale: Scale, database: str, over_http: bool) -> list[Runner]:
    in_turn, at_once = scale.naive_cases
    naive = [
        Runner(NAIVE[0], "prefect", in_turn, 1, at_once=1),
        # More at once and its server on SQLite answers 503 until the client gives up.
        Runner(NAIVE[1], "prefect", at_once, 1, at_once=8),
    ]
    if over_http:  # one after the other, it would only wait longer than it does engine only
        del naive[0]
    ours = amends_and_floor(scale)
    if over_http:
        ours.append(Runner(FLOOR_AIOHTTP, "floor_aiohttp", scale.cases, scale.rounds))
    if database != POSTGRES:
        return [*ours, *naive]
    peers = [
        Runner(DBOS, "dbos", scale.peer_cases, scale.peer_rounds, needs="dbos"),
        Runner(PROCRASTINATE, "procrastinate", scale.peer_cases, scale.peer_rounds, needs="procrastinate"),
    ]
    return [*ours, *peers, *naive]
