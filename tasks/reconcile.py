"""Reconcile: once a day, look for what webhooks and frequent sweeps have missed, repair it, and say so."""

from collections import Counter
from datetime import datetime

from amends.domain.upkeep import lost_items, missing_clocks
from amends.store import tickets, timeline, upkeep
from amends.store.engine import Tx
from amends.store.upkeep import OpenCase
from tasks.announce import announce
from tasks.poll import poll_back
from tasks.receive import read_files_again
from tasks.sweep import Sweep, timed
from tasks.tidy_up import settle_doubts

MOST_CHUNKS = 20
"""Doubts and stranded effects that one day's sweep goes through, in chunks; the next day's takes up the rest."""


async def reconcile(sweep: Sweep) -> None:
    """Read back what the sources have, put back what fell off the agenda, settle doubts. Nothing in frequent sweeps."""
    if not sweep.read_back:
        return
    async with timed(sweep, "reconcile") as tally:
        missed = await read_files_again(sweep) + await poll_back(sweep)
        repaired = _repair(sweep)
        tally.results["missed ratings"] += missed.total()
        tally.results["repaired"] += repaired.total()
        for source, number in missed.items():
            tally.reasons[f"{source}: ratings that nothing had brought before"] += number
        for what, number in repaired.items():
            tally.reasons[f"{what} had fallen off the agenda"] += number
    proved = await settle_doubts(sweep, MOST_CHUNKS)
    announce(
        "amends.reconciled",
        f"amends.journey.{sweep.journey.name}",
        {"journey": sweep.journey.name, "missed": dict(missed), "repaired": dict(repaired), "proved": proved},
    )


def _repair(sweep: Sweep) -> Counter[str]:
    """Put everything back on the agenda that must be there; returns how often each step was missing."""
    repaired: Counter[str] = Counter()
    after, tally = 0, sweep.tally("reconcile")
    while True:
        with sweep.store.read() as tx:
            chunk = upkeep.open_cases(tx, sweep.journey.name, after, sweep.settings.chunk_size)
            broken = [case for case in chunk if _is_broken(tx, sweep, case)]
        if not chunk:
            break
        tally.cases += len(chunk)
        for case in broken:
            with sweep.store.begin() as tx:
                repaired.update(_mend(tx, sweep, case))
        after = chunk[-1].id
    with sweep.store.begin() as tx:
        limit = MOST_CHUNKS * sweep.settings.chunk_size
        for case_id, lost in upkeep.stranded(tx, sweep.journey.name, sweep.now(), limit):
            done = upkeep.put_back(tx, sweep.journey.name, case_id, [lost])
            repaired.update(_told(tx, case_id, [item.step.value for item in done], sweep.now()))
    return repaired


def _is_broken(tx: Tx, sweep: Sweep, case: OpenCase) -> bool:
    journey = sweep.version(tx, case.version_id)
    return missing_clocks(case.standing) or bool(lost_items(case.standing, journey, sweep.now()))


def _mend(tx: Tx, sweep: Sweep, seen: OpenCase) -> list[str]:
    """Mend one case as it stands now: another sweep may have done so since it was looked at."""
    case, now = upkeep.still_open(tx, seen, sweep.journey.name), sweep.now()
    if case is None:
        return []
    journey, mended = sweep.version(tx, case.version_id), []
    if missing_clocks(case.standing) and case.standing.ticket is not None:
        tickets.restart_clocks(tx, journey, case.id, case.standing.ticket, case.standing.clocks, now)
        mended.append("clock")
    lost = upkeep.put_back(tx, journey.name, case.id, lost_items(case.standing, journey, now))
    return _told(tx, case.id, [*mended, *(item.step.value for item in lost)], now)


def _told(tx: Tx, case_id: int, mended: list[str], now: datetime) -> list[str]:
    """The names of what was mended, with a line on the timeline for each."""
    names = [name.replace("_", " ") for name in mended]
    lines = [
        timeline.Entry(case_id, now, "case.repaired", f"{name} had fallen off the agenda; it is back")
        for name in names
    ]
    timeline.append(tx, lines)
    return names
