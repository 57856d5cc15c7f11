"""The harness: worlds side by side, one database each, until every one has seen its kills and has settled."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from prefect.settings import Settings as PrefectSettings

from sandbox.process import Sandbox
from tests.chaos.killing import Killer
from tests.chaos.verdict import Verdict, judge
from tests.chaos.world import ChaosProblem, Toll, World

SETTLING_SWEEPS = 60
"""At most so many sweeps at the end, undisturbed."""


@dataclass(frozen=True)
class Site:
    """Where a world can be built. `name` is the database's: sqlite or postgres."""

    name: str
    home: Path
    database_url: str
    sandbox: Sandbox


@dataclass(frozen=True)
class Result:
    """What became of one world."""

    name: str
    toll: Toll
    known: dict[str, int]
    """Every point ever seen."""
    verdict: Verdict
    ratings: int
    messages: int
    """Requests in the vendor's book."""
    seconds: float


def kill(
    sites: Sequence[Site],
    prefect: PrefectSettings,
    *,
    kills: int,
    seed: int,
    progress: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Share the kills among the sites, side by side. `progress` is called after each kill, from any thread."""
    shares = [kills // len(sites) + (n < kills % len(sites)) for n in range(len(sites))]
    # One after the other: Alembic, which migrates, is not made for threads.
    worlds = [
        World(site.home, site.database_url, site.sandbox, prefect, seed=seed + n)
        for n, site in enumerate(sites)
    ]
    with ThreadPoolExecutor(len(sites)) as pool:
        running = [
            pool.submit(_live_through, site.name, world, Killer(seed + n), share, progress)
            for n, (site, world, share) in enumerate(zip(sites, worlds, shares, strict=True))
        ]
        return [each.result() for each in running]


def _live_through(
    name: str, world: World, killer: Killer, kills: int, progress: Callable[[], None]
) -> Result:
    started = time.monotonic()
    while world.toll.killed < kills:
        if killer.kill_one(world):
            progress()
        if world.toll.sweeps > 10 * kills + 20:
            raise ChaosProblem("the points that were chosen do not come")
    world.settle(SETTLING_SWEEPS)
    verdict, messages = judge(world), len(world.sandbox.book())
    world.close()
    ratings, seconds = len(world.customers.dropped), time.monotonic() - started
    return Result(name, world.toll, killer.known, verdict, ratings, messages, seconds)
