"""What a rule of the audit is, and the few phrases that its questions share.

Nothing here calls the code that writes the rows: an auditor who asked it could only agree with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from amends.store.engine import Tx
from amends.store.schema import agenda, timeline
from amends.store.types import UtcDateTime

Question = Callable[[], sa.Select[Any]]
"""Selects the rows that break a rule: `row` (what to call it), `case_id` and `journey`."""

DAY = timedelta(days=1)
NOW, A_DAY_AGO, TWO_DAYS_AGO, IN_A_DAY = (
    sa.bindparam(name, type_=UtcDateTime) for name in ("now", "a_day_ago", "two_days_ago", "in_a_day")
)
"""The times that questions compare with."""

EXAMPLES = 20
"""Violations of one rule that are listed; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must be true of our rows."""

    id: str
    sentence: str
    fix: str
    """What a person does about a violation."""
    about: str
    """What its rows are called, e.g. `effect`."""
    question: Question
    note: bool = False
    """Worth telling, but no violation."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One row that breaks a rule, without personal data."""

    what: str
    case_id: int | None
    journey: str | None

    @property
    def case(self) -> str | None:
        """What people call the case; None when it is about no case."""
        return f"AM{self.case_id:06d}" if self.case_id is not None else None


@dataclass(frozen=True, slots=True)
class Finding:
    """How one rule fared: how many rows break it, and the first of them."""

    rule: Rule
    count: int = 0
    examples: tuple[Violation, ...] = ()

    @property
    def violated(self) -> bool:
        return self.count > 0 and not self.rule.note


@cache
def _statement(rule: Rule) -> sa.Select[Any]:
    broken = rule.question().subquery()
    return sa.select(broken, sa.func.count().over().label("all")).order_by(broken.c.row).limit(EXAMPLES)


def ask(tx: Tx, rule: Rule, now: datetime) -> Finding:
    """Count the rows that break `rule` as of `now`, and list the first."""
    times = {"now": now, "a_day_ago": now - DAY, "two_days_ago": now - 2 * DAY, "in_a_day": now + DAY}
    rows = tx.execute(_statement(rule), times).all()
    if not rows:
        return Finding(rule)
    listed = tuple(Violation(f"{rule.about} {row.row}", row.case_id, row.journey) for row in rows)
    return Finding(rule, rows[0].all, listed)


def one_of(column: sa.ColumnElement[Any], *words: str) -> sa.ColumnElement[bool]:
    return column.in_(words)


def blank(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.func.coalesce(column, "") == ""


def differ(left: sa.ColumnElement[bool], right: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether exactly one of two statements that are never NULL is true."""
    return sa.or_(sa.and_(left, sa.not_(right)), sa.and_(sa.not_(left), right))


def open_item(case_id: sa.ColumnElement[Any], *where: sa.ColumnElement[bool]) -> sa.Exists:
    """Whether the case has an item on its agenda that is still to be done."""
    return sa.exists().where(agenda.c.case_id == case_id, agenda.c.due_at.is_not(None), *where)


def told(case_id: sa.ColumnElement[Any], event: sa.ColumnElement[Any] | str) -> sa.Exists:
    """Whether the case's timeline has a line of that event."""
    return sa.exists().where(timeline.c.case_id == case_id, timeline.c.event == event)
