"""Retention: what has been kept long enough goes, a little at a time. Nothing of an open case is ever touched.

Each function does up to `limit` rows in the caller's transaction, along the primary key, and says whether to call it
again. `before` (aware UTC) is the moment up to which things are old. Calling it more often, or twice at once, does no
harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.store import cursors, inbox
from amends.store.engine import Tx
from amends.store.forgetting import FORGOTTEN, anonymise, empty_quarantined
from amends.store.operator_log import Deed
from amends.store.schema import (
    cases,
    customers,
    feedbacks,
    incidents,
    intake_counts,
    operator_log,
    quarantine,
    webhook_events,
    zalo_users,
)
from amends.store.timeline import ENGINE

OLD = "retention"
"""The note of a quarantined row that was emptied because of its age."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows went, or were emptied, and whether there may be more."""

    rows: int
    more: bool


def webhook_events_before(tx: Tx, before: datetime, limit: int) -> Removed:
    """Delete webhook events received before then, whatever became of them: what they said is where it belongs."""
    return _delete_oldest(tx, webhook_events, webhook_events.c.received_at, before, limit)


def operator_log_before(tx: Tx, before: datetime, limit: int) -> Removed:
    """Delete what operators did before then."""
    return _delete_oldest(tx, operator_log, operator_log.c.at, before, limit)


def _delete_oldest(tx: Tx, table: sa.Table, moment: sa.Column[Any], before: datetime, limit: int) -> Removed:
    """Ids rise with time, so what is old stands at the front."""
    query = sa.select(table.c.id, moment.label("at")).where(table.c.id > 0)
    front = tx.execute(query.order_by(table.c.id).limit(limit)).all()
    old = [row.id for row in front if row.at < before]
    if old:
        tx.execute(table.delete().where(table.c.id.in_(old)))
    return Removed(len(old), len(old) == limit)


def intake_counts_before(tx: Tx, before: datetime, limit: int) -> Removed:
    """Delete the counts of days (UTC) before then."""
    key = list(intake_counts.primary_key.columns)
    old = sa.select(*key).where(intake_counts.c.day < before.date()).order_by(*key).limit(limit)
    rows = [tuple(row) for row in tx.execute(old)]
    if rows:
        tx.execute(intake_counts.delete().where(sa.tuple_(*key).in_(rows)))
    return Removed(len(rows), len(rows) == limit)


def incidents_before(tx: Tx, before: datetime, limit: int) -> Removed:
    """Delete incidents resolved before then."""
    page, more = _next_page(tx, incidents, [incidents.c.resolved_at], limit)
    old = [row.id for row in page if row.resolved_at is not None and row.resolved_at < before]
    if old:
        tx.execute(incidents.delete().where(incidents.c.id.in_(old)))
    return Removed(len(old), more)


def quarantine_before(
    tx: Tx, settled: datetime | None, still_open: datetime | None, limit: int, now: datetime
) -> Removed:
    """Empty entries settled before the one moment, and open ones received before the other (None: leave them).

    The empty entry stays: it is counted in the funnel, and keeps the same bad row from coming in again.
    """
    columns = [quarantine.c.state, quarantine.c.note, quarantine.c.received_at, quarantine.c.settled_at]
    page, more = _next_page(tx, quarantine, columns, limit)
    old = []
    for row in page:
        is_open = row.state == "open"
        before, since = (still_open, row.received_at) if is_open else (settled, row.settled_at)
        if before and since and since < before and row.note not in (OLD, FORGOTTEN):
            old.append(row.id)
    if old:
        empty_quarantined(tx, old, now, ENGINE, OLD)
    return Removed(len(old), more)


def customers_before(tx: Tx, before: datetime, limit: int, now: datetime) -> Removed:
    """Anonymise customers of whom nothing has come, and no case was open, since then, exactly as `forget` does.

    An opt-out outlives it: the key stays, so that a later import still respects it. Customers of whom nothing is
    known but that they have opted out stay as they are.
    """
    page, more = _next_page(tx, customers, [customers.c.forgotten_at], limit)
    ids = [row.id for row in page if row.forgotten_at is None]
    last = _last_heard_of(tx, ids)
    busy = _busy(tx, ids, before)
    old = [id_ for id_ in ids if id_ in last and last[id_] < before and id_ not in busy]
    if old:
        deed = Deed(now, ENGINE, "retention", "", f"nothing heard since {before:%Y-%m-%d}")
        anonymise(tx, old, deed, keep_opt_outs=True)
    return Removed(len(old), more)


def _last_heard_of(tx: Tx, ids: Sequence[int]) -> dict[int, datetime]:
    """When a feedback or a chat message last came, of those of whom any ever did."""
    last: dict[int, datetime] = {}
    for customer_id, at in (
        (feedbacks.c.customer_id, feedbacks.c.received_at),
        (zalo_users.c.customer_id, zalo_users.c.last_interaction_at),
    ):
        query = sa.select(customer_id.label("id"), sa.func.max(at).label("at"))
        for row in tx.execute(query.where(customer_id.in_(ids), at.is_not(None)).group_by(customer_id)):
            last[row.id] = max(row.at, last.get(row.id, row.at))
    return last


def _busy(tx: Tx, ids: Sequence[int], before: datetime) -> set[int]:
    """Those with a case that is open or was closed since: their own, or one that a feedback of theirs belongs to."""
    alive = sa.or_(cases.c.closed_at.is_(None), cases.c.closed_at >= before)
    own = sa.select(cases.c.customer_id).where(cases.c.customer_id.in_(ids), alive)
    answered = sa.select(feedbacks.c.customer_id).join(cases, cases.c.id == feedbacks.c.case_id)
    answered = answered.where(feedbacks.c.customer_id.in_(ids), alive)
    return {*tx.execute(own).scalars(), *tx.execute(answered).scalars()}


def feedback_texts_before(tx: Tx, before: datetime, limit: int) -> Removed:
    """Empty feedback received before then that never became part of a case; that it came, and its mark, stay."""
    name = "retention:feedback_texts"
    last = int(cursors.get(tx, name) or 0)
    columns = (feedbacks.c.id, feedbacks.c.received_at, feedbacks.c.verdict, feedbacks.c.case_id)
    query = sa.select(*columns).where(feedbacks.c.id > last).order_by(feedbacks.c.id).limit(limit)
    # Ids rise with time: where the old ones end, tomorrow's begin.
    old = [row for row in tx.execute(query) if row.received_at < before]
    wordless = [row.id for row in old if row.case_id is None and row.verdict is not None]
    if wordless:
        inbox.empty(tx, wordless)
    if old:
        cursors.put(tx, name, str(old[-1].id))
    return Removed(len(wordless), len(old) == limit)


def _next_page(
    tx: Tx, table: sa.Table, columns: Sequence[sa.Column[Any]], limit: int
) -> tuple[Sequence[Any], bool]:
    """The next rows by id from where the last page ended, and whether more follow; after the last it starts over."""
    name = f"retention:{table.name}"
    last = int(cursors.get(tx, name) or 0)
    query = sa.select(table.c.id, *columns).where(table.c.id > last).order_by(table.c.id).limit(limit)
    rows = tx.execute(query).all()
    more = len(rows) == limit
    cursors.put(tx, name, str(rows[-1].id) if more else "0")
    return rows, more
