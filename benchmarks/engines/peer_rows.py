"""The business rows of the peers: what a reasonable team writes of a case, in as few transactions as the steps allow.

Plain SQL that SQLite and PostgreSQL both speak. An effect is noted before its call, with the rows that are written
anyhow, and settled after it. Names and phones are in clear: sealing them is Amends' affair and no engine's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa

from benchmarks.engines.cases import Complaint

Write = tuple[sa.TextClause, dict[str, Any]]

SCHEMA = (
    """CREATE TABLE feedback (external_id TEXT PRIMARY KEY, phone TEXT NOT NULL, customer TEXT NOT NULL,
       rating INTEGER NOT NULL, words TEXT NOT NULL, received_at TIMESTAMP NOT NULL)""",
    """CREATE TABLE cases (id INTEGER PRIMARY KEY, external_id TEXT NOT NULL REFERENCES feedback, opened_at TIMESTAMP
       NOT NULL, outcome TEXT, closed_at TIMESTAMP)""",
    """CREATE TABLE tickets (case_id INTEGER PRIMARY KEY REFERENCES cases, assignee TEXT NOT NULL, severity TEXT
       NOT NULL, respond_by TIMESTAMP NOT NULL, solve_by TIMESTAMP NOT NULL, kept BOOLEAN)""",
    """CREATE TABLE effects (key TEXT PRIMARY KEY, case_id INTEGER NOT NULL REFERENCES cases, step TEXT NOT NULL,
       state TEXT NOT NULL, provider_id TEXT, at TIMESTAMP NOT NULL)""",
    """CREATE TABLE vouchers (code TEXT PRIMARY KEY, case_id INTEGER NOT NULL UNIQUE REFERENCES cases,
       value_vnd INTEGER NOT NULL)""",
    """CREATE TABLE timeline (case_id INTEGER NOT NULL REFERENCES cases, at TIMESTAMP NOT NULL, event TEXT NOT NULL,
       detail TEXT NOT NULL)""",
    "CREATE INDEX timeline_of_case ON timeline (case_id)",
)
CLOSED = sa.text("SELECT COUNT(*) FROM cases JOIN vouchers ON case_id = id WHERE closed_at IS NOT NULL")

_FEEDBACK = sa.text(
    "INSERT INTO feedback VALUES (:external_id, :phone, :customer, :rating, :words, :at) ON CONFLICT DO NOTHING"
)
_CASE = sa.text("INSERT INTO cases (id, external_id, opened_at) VALUES (:id, :external_id, :at)")
_TICKET = sa.text("INSERT INTO tickets VALUES (:id, :assignee, :severity, :respond_by, :solve_by, NULL)")
_KEPT = sa.text("UPDATE tickets SET kept = :kept WHERE case_id = :id")
_INTENT = sa.text("INSERT INTO effects VALUES (:key, :id, :step, 'sending', NULL, :at)")
_SETTLED = sa.text(
    "UPDATE effects SET state = 'accepted', provider_id = :provider_id, at = :at WHERE key = :key"
)
_VOUCHER = sa.text("INSERT INTO vouchers VALUES (:code, :id, 50000)")
_OUTCOME = sa.text("UPDATE cases SET outcome = 'satisfied' WHERE id = :id")
_CLOSE = sa.text("UPDATE cases SET closed_at = :at WHERE id = :id")
_EVENT = sa.text("INSERT INTO timeline VALUES (:id, :at, :event, :detail)")


def effect_key(case: Complaint, step: str) -> str:
    """The idempotency key of a call: the same in every process and every try."""
    return str(uuid5(NAMESPACE_URL, f"{case.case_code}/{step}"))


def voucher_code(case: Complaint) -> str:
    return f"NANG{effect_key(case, 'voucher')[:8].upper()}"


def opened(case: Complaint, at: datetime) -> Sequence[Write]:
    """Detected: the feedback, its case, and the apology that comes next."""
    feedback: dict[str, Any] = {
        "external_id": case.external_id,
        "phone": case.phone,
        "customer": case.customer,
    }
    feedback |= {"rating": case.rating, "words": case.text, "at": at}
    return [
        (_FEEDBACK, feedback),
        (_CASE, {"id": case.number, "external_id": case.external_id, "at": at}),
        _event(case, at, "case.opened", f"{case.rating} of five stars"),
        _intent(case, "acknowledge", at),
    ]


def settled(case: Complaint, step: str, provider_id: str, at: datetime) -> Sequence[Write]:
    """The vendor has accepted the call of `step`."""
    return [
        (_SETTLED, {"key": effect_key(case, step), "provider_id": provider_id, "at": at}),
        _event(case, at, f"{step}.sent", provider_id),
    ]


def ticket(case: Complaint, at: datetime) -> Sequence[Write]:
    """The ticket with both its targets, and the agent's notification that comes next."""
    targets = {"respond_by": at + timedelta(minutes=30), "solve_by": at + timedelta(hours=8)}
    about = {"id": case.number, "assignee": assignee(case), "severity": severity(case), **targets}
    return [
        (_TICKET, about),
        _event(case, at, "ticket.opened", f"{severity(case)}, {assignee(case)}"),
        _intent(case, "notify", at),
    ]


def watched(case: Complaint, at: datetime) -> Sequence[Write]:
    """The agent has solved the ticket: the clocks are judged, and the survey comes next."""
    return [
        (_KEPT, {"id": case.number, "kept": True}),
        _event(case, at, "sla.kept", "both targets"),
        _intent(case, "survey", at),
    ]


def rewarded(case: Complaint, at: datetime) -> Sequence[Write]:
    """The customer has answered: the outcome, a voucher, and its message that comes next."""
    return [
        (_OUTCOME, {"id": case.number}),
        _event(case, at, "survey.answered", "satisfied"),
        (_VOUCHER, {"code": voucher_code(case), "id": case.number}),
        _intent(case, "voucher", at),
    ]


def closed(case: Complaint, at: datetime) -> Sequence[Write]:
    return [(_CLOSE, {"id": case.number, "at": at}), _event(case, at, "case.closed", "satisfied")]


def severity(case: Complaint) -> str:
    return ("urgent", "high", "normal")[case.rating - 1]


def assignee(case: Complaint) -> str:
    return ("lan", "minh", "thao")[case.number % 3]


def _intent(case: Complaint, step: str, at: datetime) -> Write:
    return _INTENT, {"key": effect_key(case, step), "id": case.number, "step": step, "at": at}


def _event(case: Complaint, at: datetime, event: str, detail: str) -> Write:
    return _EVENT, {"id": case.number, "at": at, "event": event, "detail": detail}


def utc_now(on: datetime) -> datetime:
    """The case's own day, without its zone, as the columns keep it."""
    return on.replace(tzinfo=None)
