"""Incidents: problems only a person can solve, one per stopped channel, template or contact and code."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from amends.domain.outcome import Outcome
from amends.store.engine import Tx
from amends.store.schema import incidents
from amends.store.sql import upsert


@dataclass(frozen=True, slots=True)
class Incident:
    stopped: str
    """A channel (`zns`), or one template or contact of it (`zns:310001`, `notify:lan`)."""
    code: str
    detail: str
    times: int
    opened_at: datetime
    last_seen_at: datetime


def report(tx: Tx, stopped: str, outcomes: Mapping[str, tuple[Outcome, int]], now: datetime) -> None:
    """Raise or renew the open incident of each code; `outcomes` is code to (an example, how often)."""
    for code, (outcome, times) in sorted(outcomes.items()):
        # One statement: a sweep that lost a race here would lose the answers of its whole wave with it.
        raised = upsert(tx, incidents).values(
            stopped=stopped,
            code=code,
            detail=outcome.detail[:500],
            times=times,
            opened_at=now,
            last_seen_at=now,
        )
        renewed = {"times": incidents.c.times + raised.excluded.times, "last_seen_at": now}
        tx.execute(
            raised.on_conflict_do_update(
                index_elements=["stopped", "code"],
                index_where=incidents.c.resolved_at.is_(None),
                set_=renewed,
            )
        )


def resolve(tx: Tx, stopped: str, now: datetime, code: str | None = None) -> None:
    """It works again: close its incidents, or only those of one code."""
    statement = incidents.update().where(incidents.c.stopped == stopped, incidents.c.resolved_at.is_(None))
    if code is not None:
        statement = statement.where(incidents.c.code == code)
    tx.execute(statement.values(resolved_at=now))


def still_open(tx: Tx) -> list[Incident]:
    query = sa.select(incidents).where(incidents.c.resolved_at.is_(None)).order_by(incidents.c.id)
    return [
        Incident(row.stopped, row.code, row.detail, row.times, row.opened_at, row.last_seen_at)
        for row in tx.execute(query)
    ]
