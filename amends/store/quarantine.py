"""Rows that could not become feedback: listed a page at a time, and settled once by an operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from amends.store import operator_log
from amends.store.engine import Tx
from amends.store.operator_log import Deed
from amends.store.schema import quarantine
from amends.store.sql import locked


class EntryState(StrEnum):
    OPEN = "open"
    REQUEUED = "requeued"
    """In the inbox after all. The same bad row again changes nothing."""
    DROPPED = "dropped"
    """Not wanted. The same bad row again changes nothing."""


class QuarantineProblem(ValueError):
    """Something that cannot be done with an entry; the message says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One bad row as it came, with what is wrong with it. Times are aware UTC."""

    id: int
    journey: str
    source: str
    fingerprint: str
    location: str
    problems: Sequence[Mapping[str, str]]
    """Each with `field`, `problem` and `fix`."""
    raw: Mapping[str, Any] = field(repr=False)
    """The row itself: personal data."""
    received_at: datetime
    state: EntryState
    settled_at: datetime | None
    settled_by: str | None
    note: str


def list_entries(
    tx: Tx,
    *,
    limit: int,
    journey: str | None = None,
    source: str | None = None,
    state: EntryState | None = None,
    after_id: int | None = None,
    oldest_first: bool = False,
) -> list[QuarantineEntry]:
    """At most `limit` entries, newest first unless asked otherwise; `after_id` is the last of the page before."""
    query = sa.select(quarantine).limit(limit)
    query = query.order_by(quarantine.c.id if oldest_first else quarantine.c.id.desc())
    if journey is not None:
        query = query.where(quarantine.c.journey == journey)
    if source is not None:
        query = query.where(quarantine.c.source == source)
    if state is not None:
        # Spelt out as the index of open rows is: SQLite cannot tell it from a parameter.
        query = query.where(quarantine.c.state == sa.literal_column(f"'{state.value}'"))
    if after_id is not None:
        query = query.where(quarantine.c.id > after_id if oldest_first else quarantine.c.id < after_id)
    return [_entry(row) for row in tx.execute(query)]


def entry(tx: Tx, entry_id: int) -> QuarantineEntry:
    """The entry, locked until this transaction ends. Raises QuarantineProblem when there is none."""
    query = sa.select(quarantine).where(quarantine.c.id == entry_id)
    row = tx.execute(locked(tx, query)).one_or_none()
    if row is None:
        raise QuarantineProblem(f"there is no entry {entry_id}; `amends quarantine list` shows them")
    return _entry(row)


def settle(tx: Tx, settled: QuarantineEntry, state: EntryState, *, by: str, why: str, now: datetime) -> None:
    """Write what became of an entry that this transaction has read, and note it in the operators' log."""
    tx.execute(
        quarantine.update()
        .where(quarantine.c.id == settled.id)
        .values(state=state.value, settled_at=now, settled_by=by[:60], note=why[:300])
    )
    operator_log.record(tx, Deed(now, by, state.value, f"quarantine {settled.id}", why))


def _entry(row: Any) -> QuarantineEntry:
    return QuarantineEntry(
        row.id,
        row.journey,
        row.source,
        row.fingerprint,
        row.location,
        row.problems,
        row.raw,
        row.received_at,
        EntryState(row.state),
        row.settled_at,
        row.settled_by,
        row.note,
    )
