"""The one road into the inbox for everything but vendor events: good rows to feedback, bad rows to quarantine."""

from collections.abc import Sequence
from datetime import datetime

from amends.domain.feedback import Feedback, Rejected
from amends.store import inbox
from amends.store.engine import Store, Tx
from tasks.sweep import Sweep

BATCH = 2_000
"""Feedbacks stored in one transaction."""


def take_in(sweep: Sweep, batch: Sequence[Feedback | Rejected]) -> int:
    """Commit a batch and count it in the sweep's tally; returns how many good rows were new."""
    new, rejected = store_batch(sweep.store, sweep.journey.name, batch, sweep.now())
    results = sweep.tally("detect").results
    results["received"] += new
    results["quarantined"] += rejected
    return new


def store_batch(
    store: Store, journey: str, batch: Sequence[Feedback | Rejected], now: datetime
) -> tuple[int, int]:
    """Commit the good rows to the inbox and the bad ones to quarantine; returns how many of each were new."""
    with store.begin() as tx:
        return keep(tx, journey, batch, now)


def keep(tx: Tx, journey: str, batch: Sequence[Feedback | Rejected], now: datetime) -> tuple[int, int]:
    """The same within the caller's transaction."""
    good = [row for row in batch if isinstance(row, Feedback)]
    bad = [row for row in batch if isinstance(row, Rejected)]
    return inbox.receive(tx, journey, good, now), inbox.reject(tx, journey, bad, now)
