"""Rows to start from, and the bookkeeping around them, as short as a test wants to write them."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any, TypeVar

import sqlalchemy as sa

from amends.domain.effects import Policy, Step
from amends.domain.feedback import Feedback
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.base import Severity
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.ratings import Scale
from amends.store import cases, inbox, journeys, tickets
from amends.store.agenda import Claim
from amends.store.engine import Store, Tx
from amends.store.ledger import Intent
from amends.store.schema import agenda, customers, keyring, metadata
from tests.domain.examples import JOURNEY, NINE

T = TypeVar("T")
MINUTE = timedelta(minutes=1)
ACCEPTED = Outcome(OutcomeClass.ACCEPTED, provider_id="m-1", cost_vnd=300)
BUSY = Outcome(OutcomeClass.RETRY_LATER, code="-32")
UNKNOWN = Outcome(OutcomeClass.UNCERTAIN, code="ReadTimeout")
REFUSED = Outcome(OutcomeClass.UNREACHABLE, code="-118")
_people = itertools.count(1)


def feedback(external_id: str = "1", **changes: Any) -> Feedback:
    known: dict[str, Any] = {"source": "marketplace", "occurred_at": NINE, "scale": Scale.FIVE_STARS}
    return Feedback(**{**known, "external_id": external_id, "rating": 1.0, "text": "Tệ", **changes})


def add_customer(tx: Tx, **changes: Any) -> int:
    values = {"key": f"tel:{next(_people)}", "phone": "84912345678", **changes}
    values["key"] = inbox.hashed_key(tx, values["key"])
    return int(tx.execute(customers.insert().values(values).returning(customers.c.id)).scalar_one())


def add_case(tx: Tx, journey: ComplaintJourney = JOURNEY, **changes: Any) -> int:
    """An open case of a customer of its own."""
    known: dict[str, Any] = {"journey": journey.name, "version_id": journeys.register(tx, journey, NINE)}
    known |= {"opened_at": NINE, "feedback_at": NINE, "stars": 1, "severity": Severity.URGENT}
    if "customer_id" not in changes:
        known["customer_id"] = add_customer(tx)
    return cases.create(tx, [cases.NewCase(**{**known, **changes})])[0]


def add_ticket(tx: Tx, journey: ComplaintJourney = JOURNEY, **changes: Any) -> tuple[int, int]:
    """A case with a new ticket for Lan; returns the ids of case and ticket."""
    case_id = add_case(tx, journey)
    known: dict[str, Any] = {"severity": Severity.URGENT, "assignee": "lan", "summary": "Tệ"}
    tickets.open_tickets(tx, journey, [tickets.NewTicket(case_id, **{**known, **changes})], NINE)
    return case_id, next(ticket.id for ticket in tickets.unsolved(tx) if ticket.case_id == case_id)


def intent(case_id: int, **changes: Any) -> Intent:
    known: dict[str, Any] = {"journey": "complaint", "customer_id": None, "step": Step.ACKNOWLEDGE}
    known |= {"channel": "zns", "ordinal": 0, "policy": Policy.AT_MOST_ONCE}
    return Intent(case_id=case_id, **{**known, **changes})


def open_items(tx: Tx, case_id: int) -> dict[tuple[str, int], Any]:
    """The case's items still on the agenda: (step, ordinal) to when they are due."""
    query = sa.select(agenda).where(agenda.c.case_id == case_id, agenda.c.due_at.is_not(None))
    return {(row.step, row.ordinal): row.due_at for row in tx.execute(query)}


def strike_off(tx: Tx, case_id: int, step: Step, result: str) -> None:
    """Take the case's open items of a step off the agenda, as if they were finished."""
    items = agenda.update().where(
        agenda.c.case_id == case_id, agenda.c.step == step.value, agenda.c.due_at.is_not(None)
    )
    tx.execute(items.values(due_at=None, result=result))


def claim_of(case_id: int, step: Step, ordinal: int = 0) -> Claim:
    """A claim as the ledger reads it, without an agenda behind it."""
    return Claim(0, case_id, step, ordinal)


def wipe(store: Store) -> None:
    """Empty every table but the keyring, between the examples of one hypothesis test."""
    with store.begin() as tx:
        for table in reversed(metadata.sorted_tables):
            if table is not keyring:
                tx.execute(table.delete())


def count(tx: Tx, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one())


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run the jobs in threads that start together; their results in order, or the first exception."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        start.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))
