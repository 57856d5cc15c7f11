"""Surveys: asked once per cycle of a case, answered by poll."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.ratings import Scale
from amends.store.engine import Tx
from amends.store.for_rows import ForRows, insert_of
from amends.store.schema import surveys


def asked(tx: Tx, which: Sequence[tuple[int, int]], now: datetime) -> None:
    """The surveys of these (case, cycle) left; their answer windows run from here."""
    _ASKED.execute(tx, [(case_id, cycle, now) for case_id, cycle in which])


@dataclass(frozen=True, slots=True)
class Skipped:
    case_id: int
    cycle: int
    outcome: CaseOutcome
    reason: str


def skipped(tx: Tx, which: Sequence[Skipped]) -> None:
    """These surveys could not be asked."""
    _SKIPPED.execute(tx, [(s.case_id, s.cycle, s.outcome.value, s.reason[:300]) for s in which])


def not_asked_yet(tx: Tx, case_id: int, cycle: int) -> None:
    """The survey did not leave after all and will be asked anew. One that is answered stays as it is."""
    tx.execute(
        surveys.update()
        .where(surveys.c.case_id == case_id, surveys.c.cycle == cycle, surveys.c.answered_at.is_(None))
        .values(asked_at=None, skipped=None, reason="")
    )


def _filled_in(*columns: str) -> ForRows:
    """These columns of a survey, which may be there already."""
    key = ["case_id", "cycle"]
    return insert_of(
        surveys,
        *key,
        *columns,
        ending=lambda insert: insert.on_conflict_do_update(
            index_elements=key, set_={name: insert.excluded[name] for name in columns}
        ),
    )


_ASKED = _filled_in("asked_at")
_SKIPPED = _filled_in("skipped", "reason")


@dataclass(frozen=True, slots=True)
class Answer:
    case_id: int
    cycle: int
    rate: int
    scale: Scale
    satisfied: bool
    note: str
    answered_at: datetime
    reason: str


def answered(tx: Tx, answers: Sequence[Answer]) -> list[Answer]:
    """Store answers; returns those that were the first of their survey (a second answer changes nothing)."""
    earliest: dict[tuple[int, int], Answer] = {}
    for answer in answers:
        earliest.setdefault((answer.case_id, answer.cycle), answer)
    rows = [
        (
            answer.case_id,
            answer.cycle,
            answer.answered_at,
            answer.rate,
            answer.scale.value,
            answer.satisfied,
            answer.note,
            answer.reason[:300],
        )
        for answer in earliest.values()
    ]
    first = _ANSWERED.execute(tx, rows)
    stored = {(row.case_id, row.cycle) for row in first} if first else set()
    return [answer for which, answer in earliest.items() if which in stored]


def _unless_answered(insert: Any) -> Any:
    # The row may be missing when the sweep that asked died in the call: the answer counts all the same.
    return insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={name: insert.excluded[name] for name in _ANSWER},
        where=surveys.c.answered_at.is_(None),
    ).returning(surveys.c.case_id, surveys.c.cycle)


_KEY = ("case_id", "cycle")
_ANSWER = ("answered_at", "rate", "scale", "satisfied", "note", "reason")
_ANSWERED = insert_of(surveys, *_KEY, *_ANSWER, ending=_unless_answered)
