"""Upkeep: reading where open cases stand, and putting back what has fallen off their agenda."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.domain.case import Ticket, TicketState
from amends.domain.effects import EffectState, Step
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.journey.base import Severity
from amends.domain.sla import ClockKind, SlaClock, from_ordinal
from amends.domain.upkeep import Lost, Standing
from amends.store import ledger
from amends.store import tickets as desk
from amends.store.engine import Tx
from amends.store.schema import agenda, cases, effects, tickets
from amends.store.sql import upsert


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case that is not closed, and the journey version it is on."""

    id: int
    version_id: int
    standing: Standing


def open_cases(tx: Tx, journey: str, after: int, limit: int) -> list[OpenCase]:
    """The next open cases of the journey by id, with where they stand."""
    query = (
        sa.select(cases.c.id, cases.c.version_id, cases.c.outcome)
        .where(cases.c.journey == journey, cases.c.closed_at.is_(None), cases.c.id > after)
        .order_by(cases.c.id)
        .limit(limit)
    )
    rows = tx.execute(query).all()
    ids = [row.id for row in rows]
    if not ids:
        return []
    of_ids = {
        row.case_id: Ticket(
            row.id,
            TicketState(row.state),
            Severity(row.severity),
            row.assignee,
            row.cycle,
            opened_at=row.opened_at,
            first_response_at=row.first_response_at,
            solved_at=row.solved_at,
        )
        for row in tx.execute(sa.select(tickets).where(tickets.c.case_id.in_(ids)))
    }
    clocks: dict[int, dict[ClockKind, SlaClock]] = defaultdict(dict)
    for (case_id, _), clock in desk.clocks(tx, ids).items():
        if case_id in of_ids and clock.cycle == of_ids[case_id].cycle:
            clocks[case_id][clock.kind] = clock
    items: dict[int, dict[str, set[tuple[Step, int]]]] = defaultdict(lambda: defaultdict(set))
    for item in tx.execute(sa.select(agenda).where(agenda.c.case_id.in_(ids))):
        state = "planned" if item.due_at is not None else "over" if item.result is not None else "struck off"
        items[item.case_id][state].add((Step(item.step), item.ordinal))
    return [
        OpenCase(
            row.id,
            row.version_id,
            Standing(
                CaseOutcome(row.outcome) if row.outcome else None,
                of_ids.get(row.id),
                clocks[row.id],
                items[row.id]["planned"],
                items[row.id]["over"],
                items[row.id]["struck off"],
            ),
        )
        for row in rows
    ]


def still_open(tx: Tx, case: OpenCase, journey: str) -> OpenCase | None:
    """The same case as it stands now; None when it has been closed meanwhile."""
    found = open_cases(tx, journey, case.id - 1, 1)
    return found[0] if found and found[0].id == case.id else None


def stranded(tx: Tx, journey: str, now: datetime, limit: int) -> list[tuple[int, Lost]]:
    """Effects that wait, or whose sweep died, while their step is not on the agenda: (case id, what to put back)."""
    row = effects.c
    under_way = sa.or_(
        row.state == EffectState.WAITING.value,
        sa.and_(row.state == EffectState.SENDING.value, row.lease_until < now),
    )
    planned = sa.exists().where(
        agenda.c.case_id == row.case_id,
        agenda.c.step == row.step,
        agenda.c.due_at.is_not(None),
        sa.or_(
            row.step == Step.REWARD.value,
            sa.and_(row.step == Step.WATCH_SLA.value, agenda.c.ordinal == row.ordinal // 10),
            sa.and_(
                row.step.not_in((Step.REWARD.value, Step.WATCH_SLA.value)), agenda.c.ordinal == row.ordinal
            ),
        ),
    )
    query = (
        sa.select(row.case_id, row.step, row.ordinal)
        .where(ledger.STILL_OPEN, under_way, row.journey == journey)
        .where(sa.not_(planned))
        .order_by(row.id)
        .limit(limit)
    )
    found = [(effect.case_id, _item(tx, effect)) for effect in tx.execute(query).all()]
    return [(case_id, Lost(*item, now)) for case_id, item in found if item is not None]


def _item(tx: Tx, effect: sa.Row[tuple[int, str, int]]) -> tuple[Step, int] | None:
    """The agenda item that makes an effect. None for a reward without any: that is the case's own next step."""
    step, ordinal = Step(effect.step), int(effect.ordinal)
    if step is Step.WATCH_SLA:
        kind, cycle, _level = from_ordinal(ordinal)
        return step, desk.clock_ordinal(kind, cycle)
    if step is Step.REWARD:
        of_case = agenda.c.case_id == effect.case_id, agenda.c.step == step.value
        last = tx.execute(sa.select(sa.func.max(agenda.c.ordinal)).where(*of_case)).scalar()
        return None if last is None else (step, int(last))
    return step, ordinal


def put_back(tx: Tx, journey: str, case_id: int, lost: Sequence[Lost]) -> list[Lost]:
    """Put items on the agenda again; returns those that were not there by now."""
    done = []
    for item in lost:
        statement = upsert(tx, agenda).values(
            case_id=case_id,
            journey=journey,
            step=item.step.value,
            ordinal=item.ordinal,
            due_at=item.due_at,
        )
        statement = statement.on_conflict_do_update(
            index_elements=["case_id", "step", "ordinal"],
            set_={
                "due_at": statement.excluded.due_at,
                "result": None,
                "lease_owner": None,
                "lease_until": None,
            },
            where=agenda.c.due_at.is_(None),
        ).returning(agenda.c.id)
        if tx.execute(statement).first() is not None:
            done.append(item)
    return done
