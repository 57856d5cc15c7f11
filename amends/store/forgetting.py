"""Erasure: the person leaves our tables, and what is counted, deduplicated and audited stays, without them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from amends.domain.effects import EffectState
from amends.domain.mentions import Named
from amends.domain.summary import summary_without_person
from amends.store import timeline
from amends.store.engine import Tx
from amends.store.operator_log import Deed, record
from amends.store.people import Person
from amends.store.schema import (
    agenda,
    cases,
    customers,
    effects,
    feedbacks,
    quarantine,
    surveys,
    tickets,
    webhook_events,
    zalo_users,
)
from amends.store.sql import execute_many, locked
from amends.store.types import UtcDateTime

FORGOTTEN = "forgotten"
"""The note of a quarantined row that was emptied because of its person. It is kept, so that no import revives it."""
_PAGE = 500
# Whatever we come to know of customers is forgotten, unless it is named here.
_PERSONAL = tuple(set(customers.columns.keys()) - {"id", "key", "opted_out_at", "forgotten_at"})
_NO_ROW = [{"field": "row", "problem": "its content has been removed", "fix": "nothing is to be done"}]


class BeingMessaged(Exception):
    """A sweep is messaging this person at this moment: try again when it is through."""


def forget(tx: Tx, person: Person, deed: Deed) -> Counter[str]:
    """Remove the person from every table, in the caller's transaction; returns how many rows, per table.

    Nobody can be found by their contact afterwards, and nothing is sent to them any more. Doing it again does
    nothing. Raises BeingMessaged when a message to them is on its way.
    """
    removed = anonymise(tx, person.customer_ids, deed)
    named = person.named()
    rows = _quarantined(tx, named)
    empty_quarantined(tx, rows, deed.at, deed.actor, FORGOTTEN)
    removed["quarantine"] = len(rows)
    removed["webhook_events"] = _delete_webhooks(tx, named)
    for subject in [f"customer {id_}" for id_ in person.customer_ids] + [f"quarantine {id_}" for id_ in rows]:
        record(tx, replace(deed, subject=subject))
    if removed["webhook_events"] and not person.customer_ids and not rows:
        record(tx, replace(deed, subject="webhooks"))
    return +removed


def anonymise(
    tx: Tx, customer_ids: Sequence[int], deed: Deed, *, keep_opt_outs: bool = False
) -> Counter[str]:
    """Take the persons out of these customers and of all that hangs on them; returns how many rows, per table.

    `keep_opt_outs`: whoever has opted out keeps the key, by which the next import knows so. Raises BeingMessaged.
    """
    people, case_ids = _lock(tx, customer_ids)
    people = [row for row in people if row.forgotten_at is None]
    if not people:
        return Counter()
    _refuse_while_messaging(tx, case_ids, deed.at)
    removed: Counter[str] = Counter()
    for row in people:
        gone: dict[str, Any] = dict.fromkeys(_PERSONAL)
        if not (keep_opt_outs and row.opted_out_at is not None):
            gone["key"] = f"forgotten:{uuid4()}"
        gone |= {"opted_out_at": row.opted_out_at or deed.at, "forgotten_at": deed.at}
        tx.execute(customers.update().where(customers.c.id == row.id).values(gone))
    removed["customers"] = len(people)
    of_zalo = sa.or_(
        zalo_users.c.customer_id.in_(customer_ids),
        zalo_users.c.uid.in_([row.zalo_uid for row in people if row.zalo_uid]),
    )
    removed["zalo_users"] = tx.execute(zalo_users.delete().where(of_zalo)).rowcount
    theirs = sa.or_(feedbacks.c.customer_id.in_(customer_ids), feedbacks.c.case_id.in_(case_ids))
    emptied = feedbacks.update().where(theirs).values(text="", raw={}, order_ref=None)
    removed["feedbacks"] = tx.execute(emptied).rowcount
    answered = surveys.c.case_id.in_(case_ids), surveys.c.answered_at.is_not(None)
    removed["surveys"] = tx.execute(surveys.update().where(*answered).values(note="")).rowcount
    tx.execute(cases.update().where(cases.c.id.in_(case_ids)).values(order_ref=None))
    removed["cases"] = len(case_ids)
    _neutral_summaries(tx, case_ids, removed)
    removed["effects"] = _cancel_waiting(tx, case_ids, deed)
    timeline.append(tx, [timeline.line_by(deed, case_id, "customer.forgotten") for case_id in case_ids])
    return +removed


def empty_quarantined(tx: Tx, ids: Sequence[int], now: datetime, actor: str, note: str) -> None:
    """Remove the content of these entries; open ones are dropped. Their fingerprints stay, so none comes again."""
    still_open = quarantine.c.state == "open"
    for start in range(0, len(ids), _PAGE):
        tx.execute(
            quarantine.update()
            .where(quarantine.c.id.in_(ids[start : start + _PAGE]))
            .values(
                raw={},
                problems=_NO_ROW,
                state=sa.case((still_open, "dropped"), else_=quarantine.c.state),
                settled_at=sa.func.coalesce(quarantine.c.settled_at, sa.literal(now, UtcDateTime)),
                settled_by=sa.func.coalesce(quarantine.c.settled_by, actor[:60]),
                note=note,
            )
        )


def _lock(tx: Tx, customer_ids: Sequence[int]) -> tuple[Sequence[Any], Sequence[int]]:
    """Hold feedback, agenda and customers, in the order of sweeps; what those do now is waited for, then seen."""
    feedback = sa.select(feedbacks.c.id).where(feedbacks.c.customer_id.in_(customer_ids))
    tx.execute(locked(tx, feedback.order_by(feedbacks.c.id))).all()
    _lock_cases(tx, customer_ids)
    columns = (customers.c.id, customers.c.opted_out_at, customers.c.zalo_uid, customers.c.forgotten_at)
    query = sa.select(*columns)
    query = query.where(customers.c.id.in_(customer_ids)).order_by(customers.c.id)
    people = tx.execute(locked(tx, query)).all()
    # Again, for a case that was opened while we waited.
    return people, _lock_cases(tx, customer_ids)


def _lock_cases(tx: Tx, customer_ids: Sequence[int]) -> Sequence[int]:
    theirs = sa.select(cases.c.id).where(cases.c.customer_id.in_(customer_ids)).order_by(cases.c.id)
    case_ids = tx.execute(theirs).scalars().all()
    items = sa.select(agenda.c.id).where(agenda.c.case_id.in_(case_ids)).order_by(agenda.c.id)
    tx.execute(locked(tx, items)).all()
    return case_ids


def _refuse_while_messaging(tx: Tx, case_ids: Sequence[int], now: datetime) -> None:
    """A call under way has their phone in its hands. That of a sweep that died has left or not: nothing to wait for."""
    query = sa.select(effects.c.id).where(
        effects.c.case_id.in_(case_ids),
        effects.c.customer_id.is_not(None),
        effects.c.state == EffectState.SENDING.value,
        effects.c.lease_until >= now,
    )
    if tx.execute(query.limit(1)).first() is not None:
        raise BeingMessaged("a sweep is messaging this person now; nothing is changed. Try again in a moment")


def _neutral_summaries(tx: Tx, case_ids: Sequence[int], removed: Counter[str]) -> None:
    query = sa.select(tickets.c.id, tickets.c.case_id).where(tickets.c.case_id.in_(case_ids))
    rows = [
        {"b_id": row.id, "b_summary": summary_without_person(row.case_id)} for row in tx.execute(query).all()
    ]
    statement = tickets.update().where(tickets.c.id == sa.bindparam("b_id"))
    execute_many(tx, statement.values(summary=sa.bindparam("b_summary")), rows)
    removed["tickets"] = len(rows)


def _cancel_waiting(tx: Tx, case_ids: Sequence[int], deed: Deed) -> int:
    """What waited for another try will not be sent. Agents' notifications go on: they name the case alone by now."""
    statement = (
        effects.update()
        .where(
            effects.c.case_id.in_(case_ids),
            effects.c.customer_id.is_not(None),
            effects.c.state == EffectState.WAITING.value,
        )
        .values(
            state=EffectState.CANCELLED.value,
            detail="the customer has been forgotten",
            settled_at=deed.at,
            next_attempt_at=None,
        )
        .returning(effects.c.case_id, effects.c.step)
    )
    cancelled = tx.execute(statement).all()
    timeline.append(tx, [timeline.line_by(deed, row.case_id, f"{row.step}.cancelled") for row in cancelled])
    return len(cancelled)


def _quarantined(tx: Tx, named: Named) -> list[int]:
    """Entries that name the person: read and looked through, as a bad row may have its phone in any place."""
    found: list[int] = []
    last = 0
    page = sa.select(quarantine.c.id, quarantine.c.raw, quarantine.c.problems).order_by(quarantine.c.id)
    while rows := tx.execute(page.where(quarantine.c.id > last).limit(_PAGE)).all():
        found += [row.id for row in rows if named.in_value(row.raw) or named.in_value(row.problems)]
        last = rows[-1].id
    return found


def _delete_webhooks(tx: Tx, named: Named) -> int:
    """Delete events that name the person. The spool remembers their keys for as long as they could come again."""
    deleted, last = 0, 0
    table: Any = webhook_events.c
    page = sa.select(table.id, table.key, table.payload).order_by(table.id).limit(_PAGE)
    while rows := tx.execute(page.where(table.id > last)).all():
        theirs = [row.id for row in rows if named.in_key(row.key) or named.in_value(row.payload)]
        if theirs:
            deleted += tx.execute(webhook_events.delete().where(table.id.in_(theirs))).rowcount
        last = rows[-1].id
    return deleted
