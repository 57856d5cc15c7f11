"""After a restore: what went out since the backup is forgotten, so whatever may have gone out is in doubt.

A backup knows nothing of the messages between itself and the restore. Sending them again would send twice; leaving
them out would drop the rest. So each message to a customer that may have been sent in that time becomes an effect
`uncertain` with the code `restored`: nobody sends it, it is listed, and the vendor's proof or an operator settles it.
Some are known at once (`doubt_everything_due`). The others come up later, when lost work is done again: a rating
that is read again, a ticket that is solved again, a survey that is answered again. They are doubted then
(`doubt_if_lost`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from amends.domain.effects import TO_CUSTOMERS, EffectState, Policy, Step, effect_key
from amends.domain.outcome import OutcomeClass
from amends.store import cursors, journeys, timeline
from amends.store.engine import Tx
from amends.store.schema import agenda, cases, effects, feedbacks, tickets
from amends.store.schema import timeline as timeline_table
from amends.store.sql import execute_many, upsert

CODE = "restored"
DETAIL = "may have been sent between the backup and its restore"
CASES_LEFT_FREE = 100_000
"""Case numbers that are not used again: cases lost by the restore may have had them, and vendors know those numbers."""
_CURSOR = "restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """The time that was lost: from the last thing the backup knows to the restore, aware UTC."""

    since: datetime
    until: datetime
    first_case_id: int
    """New cases have this number or a greater one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a restore puts in doubt at once."""

    since: datetime
    until: datetime
    doubts: dict[Step, int]
    unsolved: int
    """Tickets that may have been solved in the lost time; what follows them is doubted when they are solved again."""


def last_restore(tx: Tx) -> Restored | None:
    """The latest restore of this database; None for one that was never restored."""
    stored = cursors.get(tx, _CURSOR)
    if stored is None:
        return None
    known = json.loads(stored)
    return Restored(
        datetime.fromisoformat(known["since"]), datetime.fromisoformat(known["until"]), known["first_case_id"]
    )


def last_known(tx: Tx) -> datetime | None:
    """When the last thing happened that the database knows of; None when nothing has."""
    newest = sa.select(timeline_table.c.at).order_by(timeline_table.c.id.desc()).limit(1)
    return tx.execute(newest).scalar()


def doubt_everything_due(tx: Tx, until: datetime) -> Plan:
    """Called once, after a restore at `until` and before anybody sweeps. It may be called again: nothing happens twice.

    Put in doubt: messages to customers that were on their way or waiting for another try by then, and those whose
    step was due by then. What the ledger knows to be sent or refused stays as it is; notifications to staff may
    repeat. Then remember the lost time for `doubt_if_lost`, and leave out the case numbers it may have used.
    """
    since = last_known(tx) or until
    taken = _doubt_begun(tx, until)
    for step, number in _doubt_due(tx, until).items():
        taken[step] = taken.get(step, 0) + number
    newest = tx.execute(sa.select(sa.func.max(cases.c.id))).scalar() or 0
    earlier = last_restore(tx)
    first = newest + CASES_LEFT_FREE
    if earlier is not None:
        since, first = min(since, earlier.since), max(first, earlier.first_case_id)
    known = {"since": since.isoformat(), "until": until.isoformat(), "first_case_id": first}
    cursors.put(tx, _CURSOR, json.dumps(known))
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence("cases", "id"), first, False)))
    return Plan(since, until, taken, _unsolved(tx))


def next_case_id(tx: Tx, restored: Restored | None) -> int | None:
    """The number that the next case must be given, and those after it count on from it.

    None when the database's own numbering will do.
    """
    if restored is None or tx.dialect.name == "postgresql":
        return None
    newest = tx.execute(sa.select(sa.func.max(cases.c.id))).scalar() or 0
    return restored.first_case_id if newest < restored.first_case_id else None


def doubt(tx: Tx, case_id: int, step: Step, ordinal: int, now: datetime) -> None:
    """Put one message in doubt, unless the ledger knows it: the step then ends as `uncertain`, and sends nothing."""
    _insert(tx, [(case_id, step, ordinal)], now)


def doubt_if_lost(
    tx: Tx,
    case_ids: Sequence[int],
    step: Step,
    ordinal: int,
    now: datetime,
    *,
    delay: timedelta = timedelta(0),
) -> None:
    """Doubt a message of these cases that is about to be planned, if the lost time may have sent it already.

    That is so when the case began before the restore, and the lost time was long enough for the message's `delay`.
    """
    restored = last_restore(tx) if case_ids else None
    if restored is None or restored.since + delay > restored.until:
        return
    for case_id in case_ids:
        if _began(tx, case_id) <= restored.until:
            doubt(tx, case_id, step, ordinal, now)


def _began(tx: Tx, case_id: int) -> datetime:
    """When the case's first rating was given: before it was opened, if it has been opened once again."""
    opened: datetime = tx.execute(sa.select(cases.c.opened_at).where(cases.c.id == case_id)).scalar_one()
    rated: datetime | None = tx.execute(
        sa.select(sa.func.min(feedbacks.c.occurred_at)).where(feedbacks.c.case_id == case_id)
    ).scalar()
    return opened if rated is None or opened < rated else rated


def _doubt_begun(tx: Tx, until: datetime) -> dict[Step, int]:
    """What waited for another try by then, or was on its way: it may have arrived."""
    begun = sa.or_(
        effects.c.state == EffectState.SENDING.value,
        sa.and_(
            effects.c.state == EffectState.WAITING.value,
            sa.or_(effects.c.next_attempt_at.is_(None), effects.c.next_attempt_at <= until),
        ),
    )
    statement = (
        effects.update()
        .where(begun, effects.c.policy == Policy.AT_MOST_ONCE.value)
        .values(**_UNCERTAIN, settled_at=until, next_attempt_at=None, lease_until=None)
        .returning(effects.c.case_id, effects.c.step)
    )
    rows = [(row.case_id, Step(row.step)) for row in tx.execute(statement)]
    return _told(tx, rows, until)


def _doubt_due(tx: Tx, until: datetime) -> dict[Step, int]:
    """What stood on the agenda by then."""
    due = sa.select(agenda.c.case_id, agenda.c.step, agenda.c.ordinal).where(
        agenda.c.due_at <= until, agenda.c.step.in_([step.value for step in TO_CUSTOMERS])
    )
    wanted = [
        # One voucher per case, whichever cycle earns it (`tasks/reward.py` sends it under ordinal 0).
        (row.case_id, Step(row.step), 0 if row.step == Step.REWARD else row.ordinal)
        for row in tx.execute(due.order_by(agenda.c.id))
    ]
    return _insert(tx, wanted, until)


_UNCERTAIN = {
    "state": EffectState.UNCERTAIN.value,
    "outcome_class": OutcomeClass.UNCERTAIN.value,
    "code": CODE,
    "detail": DETAIL,
}


def _insert(tx: Tx, wanted: Sequence[tuple[int, Step, int]], now: datetime) -> dict[Step, int]:
    """Uncertain effects for those of (case, step, ordinal) that the ledger neither holds in doubt nor knows as sent."""
    rows, told = [], []
    for case_id, step, ordinal in wanted:
        case = tx.execute(sa.select(cases).where(cases.c.id == case_id)).one()
        same = (effects.c.case_id == case_id, effects.c.step == step.value, effects.c.ordinal == ordinal)
        tried = {row.channel: row.state for row in tx.execute(sa.select(effects).where(*same))}
        untried = [name for name in journeys.load(tx, case.version_id).channels if name not in tried]
        if not untried or not set(tried.values()) <= {EffectState.REFUSED.value}:
            continue
        key = effect_key(case.journey, case_id, step, untried[0], ordinal)
        rows.append(
            {
                "case_id": case_id,
                "customer_id": case.customer_id,
                "journey": case.journey,
                "step": step.value,
                "channel": untried[0],
                "ordinal": ordinal,
                "key": key,
                "policy": Policy.AT_MOST_ONCE.value,
                "attempts": 1,  # the one that nobody remembers
                "created_at": now,
                "settled_at": now,
                **_UNCERTAIN,
            }
        )
        told.append((case_id, step))
    execute_many(tx, upsert(tx, effects).on_conflict_do_nothing(), rows)
    return _told(tx, told, now)


def _told(tx: Tx, doubted: Sequence[tuple[int, Step]], now: datetime) -> dict[Step, int]:
    timeline.append(
        tx, [timeline.Entry(case_id, now, f"{step}.uncertain", DETAIL) for case_id, step in doubted]
    )
    steps = [step for _, step in doubted]
    return {step: steps.count(step) for step in TO_CUSTOMERS if step in steps}


def _unsolved(tx: Tx) -> int:
    query = sa.select(sa.func.count()).select_from(tickets).where(tickets.c.state != "solved")
    return int(tx.execute(query).scalar_one())
