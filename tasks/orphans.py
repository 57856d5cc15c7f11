"""A dead sweep's call whose step is over meanwhile is a doubt, too; no sweep comes for it that would say so."""

from datetime import datetime

from amends.store import orphans, timeline
from tasks.sweep import Sweep


def give_up_orphans(sweep: Sweep) -> None:
    """Call every such effect uncertain, for the vendor's proof or for an operator to settle."""
    now = sweep.now()
    with sweep.store.read() as tx:
        found = orphans.find(tx, sweep.journey.name, now, sweep.settings.chunk_size)
    if not found:
        return
    with sweep.store.begin() as tx:
        given_up = orphans.give_up(tx, found, now)
        timeline.append(tx, [_line(orphan, now) for orphan in given_up])
    sweep.tally("settle doubts").results["uncertain"] += len(given_up)


def _line(orphan: orphans.Orphan, now: datetime) -> timeline.Entry:
    return timeline.Entry(orphan.case_id, now, f"{orphan.step}.uncertain", orphans.DETAIL)
