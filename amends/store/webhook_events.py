"""Webhooks as they came: each event once, what became of it, and how many requests each door turned away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from amends.store.engine import Tx
from amends.store.for_rows import ForRows, if_new, insert_of
from amends.store.schema import intake_counts, webhook_events
from amends.store.sql import execute_many, upsert


class EventState(StrEnum):
    """What became of a webhook event."""

    NEW = "new"
    """Committed, not acted on yet; never seen outside the transaction that takes it in."""
    DONE = "done"
    WAITING = "waiting"
    """About something we do not know yet, such as a rating of a message another system sent."""
    IGNORED = "ignored"
    """Means nothing to any journey; kept whole."""
    UNREADABLE = "unreadable"
    """Signed by the vendor, but not in a form we understand; kept whole."""


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook, unique by (`door`, `key`). `door` is `zalo:<account>` or `webhook:<source>`."""

    door: str
    key: str
    name: str
    received_at: datetime
    occurred_at: datetime
    payload: Any


def take_in(tx: Tx, events: Sequence[Event]) -> set[tuple[str, str]]:
    """Store events; returns (door, key) of those that were not there before."""
    rows = [
        (event.door, event.key, event.name[:80], event.received_at, event.occurred_at, event.payload)
        for event in events
    ]
    taken = _TAKE_IN.execute(tx, rows)
    return {(door, key) for door, key in taken} if taken else set()


_TAKE_IN = insert_of(
    webhook_events,
    "door",
    "key",
    "name",
    "received_at",
    "occurred_at",
    "payload",
    ending=lambda insert: if_new(insert).returning(webhook_events.c.door, webhook_events.c.key),
    state=sa.literal(EventState.NEW.value),
)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one event, and why, without personal data."""

    door: str
    key: str
    state: EventState
    note: str = ""


def settle(tx: Tx, fates: Sequence[Fate]) -> None:
    """Write what became of events. One that is done needs its payload no longer: its content is where it belongs."""
    for done, statement in ((True, _DONE), (False, _NOT_DONE)):
        chosen = [fate for fate in fates if (fate.state is EventState.DONE) is done]
        statement.execute(tx, [(fate.door, fate.key, fate.state.value, fate.note[:300]) for fate in chosen])


def _settled(**more: Any) -> ForRows:
    events = webhook_events.c
    return ForRows(
        [events.door, events.key, events.state, events.note],
        lambda _tx, fresh: (
            webhook_events.update()
            .where(events.door == fresh.c.door, events.key == fresh.c.key)
            .values(state=fresh.c.state, note=fresh.c.note, **more)
        ),
    )


_DONE, _NOT_DONE = _settled(payload=sa.null()), _settled()


def waiting(tx: Tx, door: str) -> list[Event]:
    """Events of a door that wait to be understood, oldest first."""
    query = (
        sa.select(webhook_events)
        .where(webhook_events.c.state == EventState.WAITING.value, webhook_events.c.door == door)
        .order_by(webhook_events.c.id)
    )
    return [_event(row) for row in tx.execute(query)]


def _event(row: Any) -> Event:
    return Event(row.door, row.key, row.name, row.received_at, row.occurred_at, row.payload)


def newest_waiting(tx: Tx, door: str) -> Event | None:
    """The newest event of a door that waits; one probe of the index."""
    query = (
        sa.select(webhook_events)
        .where(webhook_events.c.state == EventState.WAITING.value, webhook_events.c.door == door)
        .order_by(webhook_events.c.id.desc())
        .limit(1)
    )
    row = tx.execute(query).one_or_none()
    return _event(row) if row is not None else None


def by_state(tx: Tx) -> dict[tuple[str, str], int]:
    """(door, state) to how many events."""
    query = sa.select(webhook_events.c.door, webhook_events.c.state, sa.func.count().label("n")).group_by(
        webhook_events.c.door, webhook_events.c.state
    )
    return {(row.door, row.state): row.n for row in tx.execute(query)}


def add_counts(tx: Tx, deltas: Mapping[tuple[str, str], int], day: date) -> None:
    """Add to the day's count of requests by (door, outcome); `day` is UTC."""
    statement = upsert(tx, intake_counts)
    statement = statement.on_conflict_do_update(
        index_elements=["day", "door", "outcome"],
        set_={"requests": intake_counts.c.requests + statement.excluded.requests},
    )
    rows = [
        {"day": day, "door": door, "outcome": outcome, "requests": n}
        for (door, outcome), n in sorted(deltas.items())
    ]
    execute_many(tx, statement, rows)


def counts(tx: Tx, since: date) -> dict[tuple[str, str], int]:
    """(door, outcome) to how many requests since that day."""
    query = (
        sa.select(
            intake_counts.c.door, intake_counts.c.outcome, sa.func.sum(intake_counts.c.requests).label("n")
        )
        .where(intake_counts.c.day >= since)
        .group_by(intake_counts.c.door, intake_counts.c.outcome)
    )
    return {(row.door, row.outcome): int(row.n) for row in tx.execute(query)}
