"""The one road into the inbox for everything but vendor events: good rows to feedback, bad rows to quarantine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy.engine import Dialect

from amends.domain.feedback import Feedback, Rejected
from amends.store import inbox
from amends.store.engine import Store, Tx
from connectors.ahead import in_batches
from tasks.sweep import Sweep

Row = Feedback | Rejected

BATCH = 2_000
"""Feedbacks stored in one transaction."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a source, as far on their way as they get without the database."""

    rows: Sequence[Row]
    good: inbox.Ready
    bad: Sequence[Rejected]


def batches(store: Store, rows: Iterator[Row]) -> Iterator[Batch]:
    """The rows, a transaction's worth at a time: the next ones are read and sealed while these are stored.

    Raises what `rows` raises, after the rows before it, and KeyProblem.
    """
    return in_batches(rows, BATCH, partial(_batch, store.engine.dialect))


def _batch(dialect: Dialect, rows: Sequence[Row]) -> Batch:
    good = [row for row in rows if isinstance(row, Feedback)]
    bad = [row for row in rows if isinstance(row, Rejected)]
    return Batch(rows, inbox.ready(dialect, good), bad)


def take_in(sweep: Sweep, batch: Sequence[Row] | Batch) -> int:
    """Commit a batch and count it in the sweep's tally; returns how many good rows were new."""
    new, rejected = store_batch(sweep.store, sweep.journey.name, batch, sweep.now())
    results = sweep.tally("detect").results
    results["received"] += new
    results["quarantined"] += rejected
    return new


def store_batch(store: Store, journey: str, batch: Sequence[Row] | Batch, now: datetime) -> tuple[int, int]:
    """Commit the good rows to the inbox and the bad ones to quarantine; returns how many of each were new."""
    made = batch if isinstance(batch, Batch) else _batch(store.engine.dialect, batch)
    with store.begin() as tx:
        return keep(tx, journey, made, now)


def keep(tx: Tx, journey: str, batch: Sequence[Row] | Batch, now: datetime) -> tuple[int, int]:
    """The same within the caller's transaction."""
    made = batch if isinstance(batch, Batch) else _batch(tx.dialect, batch)
    return inbox.receive(tx, journey, made.good, now), inbox.reject(tx, journey, made.bad, now)
