"""The agenda for operators: one item by its step and ordinal, opened again, woken, or taken off."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.domain.effects import Step
from amends.store.engine import Tx
from amends.store.schema import agenda
from amends.store.sql import locked, upsert


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An agenda item, finished or not."""

    id: int
    is_open: bool


def lock(tx: Tx, case_id: int, step: Step | str, ordinal: int) -> KnownItem | None:
    """The item, locked until this transaction ends: a sweep that works on it is waited for. None: there is none."""
    query = sa.select(agenda.c.id, agenda.c.due_at).where(_is(case_id, step, ordinal))
    row = tx.execute(locked(tx, query)).one_or_none()
    return KnownItem(row.id, row.due_at is not None) if row else None


def newest_ordinal(tx: Tx, case_id: int, step: Step) -> int:
    """The highest ordinal that the step has in this case; 0 when it has none."""
    query = sa.select(sa.func.max(agenda.c.ordinal)).where(
        agenda.c.case_id == case_id, agenda.c.step == step.value
    )
    return int(tx.execute(query).scalar() or 0)


def wake(tx: Tx, item: KnownItem | None, now: datetime) -> bool:
    """Make the item due now, if it is still open; returns whether it is."""
    if item is None or not item.is_open:
        return False
    tx.execute(agenda.update().where(agenda.c.id == item.id).values(due_at=now))
    return True


def open_again(
    tx: Tx, item: KnownItem | None, case_id: int, journey: str, step: Step, ordinal: int, now: datetime
) -> None:
    """Put the item back on the agenda, due now and nobody's."""
    due = {"due_at": now, "lease_owner": None, "lease_until": None, "result": None}
    if item is not None:
        tx.execute(agenda.update().where(agenda.c.id == item.id).values(**due))
        return
    new = {"case_id": case_id, "journey": journey, "step": step.value, "ordinal": ordinal}
    tx.execute(upsert(tx, agenda).values(**new, **due).on_conflict_do_nothing())


def remove_open(tx: Tx, case_id: int, step: Step, ordinal: int) -> None:
    """Take the item off the agenda, unless it is finished."""
    tx.execute(agenda.delete().where(_is(case_id, step, ordinal), agenda.c.due_at.is_not(None)))


def _is(case_id: int, step: Step | str, ordinal: int) -> sa.ColumnElement[bool]:
    name = step.value if isinstance(step, Step) else step
    return sa.and_(agenda.c.case_id == case_id, agenda.c.step == name, agenda.c.ordinal == ordinal)
