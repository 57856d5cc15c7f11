"""The ledger as people read it: effects by what they ask for, a page at a time, and one effect in full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.effects import EffectState, Step, tracking_id
from amends.store import timeline
from amends.store.engine import Tx
from amends.store.operator_log import Deed, of_subject
from amends.store.schema import effects
from amends.store.timeline import Entry

OPEN = (EffectState.SENDING, EffectState.UNCERTAIN, EffectState.WAITING)
"""States in which an effect is not over: they have an index of their own, however long the ledger gets."""


@dataclass(frozen=True, slots=True)
class EffectFilter:
    """What to list; None asks for all. Times are aware and of the last try: `since` inside, `until` outside."""

    states: Sequence[EffectState] = ()
    step: Step | None = None
    channel: str | None = None
    journey: str | None = None
    case_id: int | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedEffect:
    """One effect of the ledger, without personal data. Times are aware UTC."""

    id: int
    case_id: int
    journey: str
    step: str
    channel: str
    ordinal: int
    state: str
    attempts: int
    policy: str
    template_id: str | None
    key: str
    provider_id: str | None
    code: str | None
    detail: str
    cost_vnd: int
    created_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    next_attempt_at: datetime | None

    @property
    def tracking_id(self) -> str:
        return tracking_id(self.key)


def list_effects(
    tx: Tx, wanted: EffectFilter, *, limit: int, after_id: int | None = None, oldest_first: bool = False
) -> list[ListedEffect]:
    """At most `limit` effects, newest first unless asked otherwise; `after_id` is the last one of the page before."""
    query = sa.select(effects).where(*_conditions(wanted)).limit(limit)
    query = query.order_by(effects.c.id if oldest_first else effects.c.id.desc())
    if after_id is not None:
        query = query.where(effects.c.id > after_id if oldest_first else effects.c.id < after_id)
    return [_listed(row) for row in tx.execute(query)]


def _conditions(wanted: EffectFilter) -> list[sa.ColumnElement[bool]]:
    exact = {
        effects.c.step: wanted.step and wanted.step.value,
        effects.c.channel: wanted.channel,
        effects.c.journey: wanted.journey,
        effects.c.case_id: wanted.case_id,
        effects.c.code: wanted.code,
    }
    conditions = [column == value for column, value in exact.items() if value is not None]
    if wanted.states:
        conditions.append(effects.c.state.in_([state.value for state in wanted.states]))
        if set(wanted.states) <= set(OPEN):
            # Spelt out as the index is: SQLite cannot tell from parameters that its rows are all there are.
            spelt: sa.BindParameter[Any] = sa.bindparam(
                "b_open", [state.value for state in OPEN], expanding=True, literal_execute=True
            )
            conditions.append(effects.c.state.in_(spelt))
    if wanted.since is not None:
        conditions.append(effects.c.sent_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(effects.c.sent_at < wanted.until)
    return conditions


def _listed(row: Any) -> ListedEffect:
    return ListedEffect(**{name: getattr(row, name) for name in ListedEffect.__slots__})


@dataclass(frozen=True, slots=True)
class EffectStory:
    """One effect with its history: what the timeline of its case says of its step, and what was done by hand."""

    effect: ListedEffect
    lines: list[Entry]
    deeds: list[Deed]


def story_of(tx: Tx, effect_id: int) -> EffectStory | None:
    """The effect in full; None when there is none."""
    row = tx.execute(sa.select(effects).where(effects.c.id == effect_id)).one_or_none()
    if row is None:
        return None
    lines = [line for line in timeline.of_case(tx, row.case_id) if line.event.partition(".")[0] == row.step]
    return EffectStory(_listed(row), lines, of_subject(tx, f"effect {effect_id}"))
