"""Retention: once a day, remove what has been kept for as long as the settings say."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from amends.store import retention
from amends.store.engine import Tx
from amends.store.retention import Removed
from tasks.chunks import chunk_task
from tasks.sweep import Sweep, timed

PAGE = 500
"""Rows looked at in one transaction; fewer when chunks are smaller."""
PAGES = 200
"""Transactions per kind and day: whatever there is, the sweep goes on; the rest waits for tomorrow."""

Work = Callable[[Tx, int], Removed]


async def keep_retention(sweep: Sweep) -> None:
    """Delete or anonymise what is too old; in the daily sweep only."""
    if sweep.read_back:
        async with timed(sweep, "retention"):
            await _remove(sweep)


@chunk_task("retention")
async def _remove(sweep: Sweep) -> None:
    remove_old(sweep)


def remove_old(sweep: Sweep) -> None:
    """Every kind in turn, a page a transaction; what has been removed when the sweep dies stays removed."""
    limit = min(PAGE, sweep.settings.chunk_size)
    tally = sweep.tally("retention")
    for what, work in _kinds(sweep):
        for _ in range(PAGES):
            with sweep.store.begin() as tx:
                removed = work(tx, limit)
            tally.results[what] += removed.rows
            if not removed.more:
                break
    tally.results = +tally.results


def _kinds(sweep: Sweep) -> Iterator[tuple[str, Work]]:
    """What the settings give a time to, and what is to be done with what is older."""
    keep, now = sweep.settings.retention, sweep.now()

    def since(days: int | None) -> datetime | None:
        return now - timedelta(days=days) if days is not None else None

    if (at := since(keep.customers_days)) is not None:
        yield "customers anonymised", _customers(at, now)
    if (at := since(keep.feedback_texts_days)) is not None:
        yield "feedback emptied", _old(retention.feedback_texts_before, at)
    settled, still_open = since(keep.quarantine_settled_days), since(keep.quarantine_open_days)
    if settled is not None or still_open is not None:
        yield (
            "quarantine emptied",
            lambda tx, limit: retention.quarantine_before(tx, settled, still_open, limit, now),
        )
    for what, work, days in (
        ("webhooks deleted", retention.webhook_events_before, keep.webhook_events_days),
        ("request counts deleted", retention.intake_counts_before, keep.intake_counts_days),
        ("incidents deleted", retention.incidents_before, keep.incidents_days),
        ("operator log deleted", retention.operator_log_before, keep.operator_log_days),
    ):
        if (at := since(days)) is not None:
            yield what, _old(work, at)


def _old(work: Callable[[Tx, datetime, int], Removed], before: datetime) -> Work:
    return lambda tx, limit: work(tx, before, limit)


def _customers(before: datetime, now: datetime) -> Work:
    return lambda tx, limit: retention.customers_before(tx, before, limit, now)
