"""From the spool into the inbox: what the desk has answered 200 to becomes feedback, proofs and news, once each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from amends.domain.feedback import Feedback, Rejected
from amends.domain.intake import storable
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.sources import WebhookSource
from amends.encryption import KeyProblem
from amends.settings import Settings
from amends.store import inbox, webhook_events
from amends.store.engine import Store, Tx
from amends.store.opening import open_spool
from amends.store.spool import Spool, Spooled
from amends.store.webhook_events import Event, EventState, Fate
from connectors.events import VendorEvent
from connectors.posted import read_posted
from connectors.zalo.events import read_event
from tasks.intake import keep
from tasks.sweep import Sweep
from tasks.vendor_events import act_on

BATCH = 200
"""Webhooks moved in one transaction."""
ZALO, POSTED = "zalo:", "webhook:"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Doors:
    """What this process can act on: every Zalo account, and the webhook sources of the journeys it knows."""

    accounts: frozenset[str]
    posted: Mapping[str, tuple[ComplaintJourney, WebhookSource]]

    def names(self) -> list[str]:
        return [
            *(ZALO + account for account in sorted(self.accounts)),
            *(POSTED + name for name in self.posted),
        ]


def doors_of(journeys: Iterable[ComplaintJourney], settings: Settings) -> Doors:
    """The doors of these journeys. Raises ValueError when two journeys claim the same webhook source."""
    posted: dict[str, tuple[ComplaintJourney, WebhookSource]] = {}
    for journey in journeys:
        for source in journey.sources:
            if not isinstance(source, WebhookSource):
                continue
            if source.name in posted:
                raise ValueError(
                    f"two journeys have a webhook source {source.name!r}; its name is its address, so rename one"
                )
            posted[source.name] = (journey, source)
    return Doors(frozenset(settings.all_zalo_accounts()), posted)


@dataclass(slots=True)
class Moved:
    """What a move from the spool came to."""

    events: int = 0
    news: int = 0
    """Events that were not known before."""
    journeys: set[str] = field(default_factory=set)
    """Journeys with new feedback to judge."""
    accounts: set[str] = field(default_factory=set)
    """Zalo accounts with an announced rating that only a poll can place."""
    templates: set[str] = field(default_factory=set)
    """Zalo templates that were approved, rejected or disabled: what is remembered of them is stale."""


def move_spooled(store: Store, spool: Spool, doors: Doors, now: datetime) -> Moved:
    """Move up to a batch from the spool into the database; nothing leaves the spool before it is committed there.

    Raises SQLAlchemyError when the database is away; the spool then still has everything.
    """
    moved = Moved()
    spooled = spool.peek(BATCH, doors.names())
    if not spooled:
        return moved
    try:
        with store.begin() as tx:
            _act(tx, spooled, doors, now, moved)
    except Exception as error:
        if _database_away(error):
            raise
        # A bug met by one event must not stop the others, nor every later sweep.
        moved = _one_by_one(store, spooled, doors, now)
    spool.drop([row.id for row in spooled])
    moved.events = len(spooled)
    return moved


def _database_away(error: Exception) -> bool:
    """Whether it is our database that has trouble, and not one event that brings something it cannot store."""
    return isinstance(error, SQLAlchemyError) and not isinstance(error, DataError | IntegrityError)


def _one_by_one(store: Store, spooled: Sequence[Spooled], doors: Doors, now: datetime) -> Moved:
    moved = Moved()
    for row in spooled:
        try:
            with store.begin() as tx:
                _act(tx, [row], doors, now, moved)
        except Exception as error:
            if _database_away(error):
                raise
            log.error("webhook.unreadable", door=row.door, key=row.key, error=type(error).__name__)
            with store.begin() as tx:
                webhook_events.take_in(tx, [_event(row, "unknown", row.received_at, _as_it_came(row))])
                note = f"could not be acted on: {type(error).__name__}"
                webhook_events.settle(tx, [Fate(row.door, row.key, EventState.UNREADABLE, note)])
    return moved


def _act(tx: Tx, spooled: Sequence[Spooled], doors: Doors, now: datetime, moved: Moved) -> None:
    for account in sorted({row.door.removeprefix(ZALO) for row in spooled if row.door.startswith(ZALO)}):
        _act_on_zalo(tx, account, [row for row in spooled if row.door == ZALO + account], now, moved)
    for source in sorted({row.door.removeprefix(POSTED) for row in spooled if row.door.startswith(POSTED)}):
        rows = [row for row in spooled if row.door == POSTED + source]
        _act_on_posted(tx, rows, *doors.posted[source], now, moved)


def _act_on_zalo(tx: Tx, account: str, rows: Sequence[Spooled], now: datetime, moved: Moved) -> None:
    read: dict[str, VendorEvent | str] = {}
    events = []
    for row in rows:
        payload = _kept(row)
        try:
            understood = read_event(payload, row.server or None, now)
            read[row.key] = understood
            events.append(_event(row, understood.name, understood.occurred_at, payload))
        except ValueError as error:
            read[row.key] = str(error)
            events.append(_event(row, str(payload.get("event_name") or "unknown"), row.received_at, payload))
    stored = webhook_events.take_in(tx, events)
    new = [row.key for row in rows if (row.door, row.key) in stored]
    known = {key: event for key in new if isinstance(event := read[key], VendorEvent)}
    acted = act_on(tx, account, list(known.values()), now)
    fates = dict(zip(known, acted.fates, strict=True))
    fates |= {key: (EventState.UNREADABLE, told) for key in new if isinstance(told := read[key], str)}
    webhook_events.settle(tx, [Fate(ZALO + account, key, *fate) for key, fate in fates.items()])
    moved.news += len(new)
    moved.journeys |= acted.journeys
    moved.templates |= acted.templates
    if any(state is EventState.WAITING for state, _ in acted.fates):
        moved.accounts.add(account)


def _act_on_posted(
    tx: Tx,
    rows: Sequence[Spooled],
    journey: ComplaintJourney,
    source: WebhookSource,
    now: datetime,
    moved: Moved,
) -> None:
    stored = webhook_events.take_in(tx, [_event(row, "rating", row.received_at, None) for row in rows])
    held: list[tuple[Spooled, list[Feedback | Rejected]]] = []
    for row in rows:
        if (row.door, row.key) in stored:
            payload, zone = storable(json.loads(row.body)), journey.timezone
            found = read_posted(
                payload, source.columns, source=source.name, key=row.key, now=row.received_at, zone=zone
            )
            held.append((row, list(found)))
    webhook_events.settle(tx, _kept_of(tx, held, journey, now, moved))
    moved.news += len(held)


def _kept_of(
    tx: Tx,
    held: Sequence[tuple[Spooled, Sequence[Feedback | Rejected]]],
    journey: ComplaintJourney,
    now: datetime,
    moved: Moved,
) -> list[Fate]:
    """Keep what the webhooks hold; returns what became of each. Under load all is one statement a table."""
    good = [row for _, found in held for row in found if isinstance(row, Feedback)]
    bad = [row for _, found in held for row in found if isinstance(row, Rejected)]
    known = inbox.known(tx, [row.external_id for row in good], sorted({row.source for row in good}))
    if bad or len({row.external_id for row in good} - known) < len(good):
        # Something is not simply new, and only its own statement tells how much of which webhook was.
        kept = [keep(tx, journey.name, found, now) for _, found in held]
    else:
        keep(tx, journey.name, good, now)
        kept = [(len(found), 0) for _, found in held]
    if any(new for new, _ in kept):
        moved.journeys.add(journey.name)
    return [
        Fate(row.door, row.key, EventState.DONE, f"{new} feedback, {rejected} quarantined")
        for (row, _), (new, rejected) in zip(held, kept, strict=True)
    ]


def _event(row: Spooled, name: str, occurred_at: datetime, payload: Any) -> Event:
    return Event(row.door, row.key, name, row.received_at, occurred_at, payload)


def _kept(row: Spooled) -> dict[str, Any]:
    payload = storable(json.loads(row.body))
    return payload if isinstance(payload, dict) else {"body": payload}


def _as_it_came(row: Spooled) -> dict[str, Any]:
    """The body of an event that we have failed to read: as text, which is stored whatever it is."""
    return {"body": storable(row.body.decode(errors="replace"))}


def move_left_behind(sweep: Sweep) -> None:
    """Move what a desk that died has left in the spool of this home; costs one look at the disk when there is none."""
    if not sweep.settings.spool_file().exists():
        return
    spool = open_spool(sweep.settings)
    doors = doors_of([sweep.journey], sweep.settings)
    try:
        while spool.waiting():
            moved = move_spooled(sweep.store, spool, doors, sweep.now())
            sweep.tally("detect").results["webhooks"] += moved.news
            if not moved.events:  # for doors of other journeys
                break
    except KeyProblem as problem:  # they wait until the key is back, and the rest of the sweep need not
        sweep.tally("detect").reasons[str(problem)] += 1
    finally:
        spool.close()
