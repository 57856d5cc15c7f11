"""Erasure: nothing that names the person is left anywhere, and nothing that is counted has changed."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import Step
from amends.store import (
    agenda,
    cases,
    forgetting,
    inbox,
    ledger,
    operator_log,
    people,
    surveys,
    tickets,
    timeline,
)
from amends.store.engine import Store, Tx
from amends.store.forgetting import BeingMessaged
from amends.store.operator_log import Deed
from amends.store.reports import funnel
from amends.store.schema import customers, effects, feedbacks, quarantine, webhook_events, zalo_users
from amends.store.schema import operator_log as operator_log_table
from amends.store.schema import tickets as tickets_table
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.privacy import HER_BAD_ROWS, MAIL, PHONE, STRANGER, her_feedback, plant, traces
from tests.store.rows import BUSY, UNKNOWN, add_case, count, feedback, intent

LATER = NINE + 10 * HOUR


def deed(at: datetime = LATER, why: str = "request 12, called from 0912 345 678") -> Deed:
    return Deed(at, "mai", "forget", "", why)


def forget(store: Store, contact: str = PHONE) -> dict[str, int]:
    with store.begin() as tx:
        return dict(forgetting.forget(tx, people.find(tx, contact), deed()))


def a_case_of_hers(tx: Tx) -> int:
    """Rating, ticket with her words, a survey with her note, and an answer that stands for itself."""
    plant(tx, her_feedback(), her_feedback("r2", source="till"))
    customer_id = inbox.find_customer(tx, PHONE)
    assert customer_id is not None
    case_id = add_case(tx, customer_id=customer_id, order_ref="DH-7781")
    tickets.open_tickets(tx, JOURNEY, [tickets.NewTicket(case_id, _severity(), "lan", "hẻm 12")], NINE)
    answer = surveys.Answer(case_id, 0, 1, feedback().scale, False, "hẻm 12", NINE, "survey answer")
    surveys.answered(tx, [answer])
    spoken = feedback("m-1", source="survey-320001", text="hẻm 12", raw={"zns_rating": {"note": "hẻm 12"}})
    inbox.receive(tx, "complaint", [spoken], NINE)
    ids = tx.execute(sa.select(feedbacks.c.id, feedbacks.c.source).order_by(feedbacks.c.id)).all()
    routes = [
        inbox.Route(row.id, "answer" if row.source.startswith("survey") else "case", "bad", case_id)
        for row in ids
        if row.source in ("marketplace", "till", "survey-320001")
    ]
    stranger = routes.pop(2)
    inbox.route(tx, [*routes, inbox.Route(stranger.feedback_id, "suppressed", "")], NINE)
    return case_id


def _severity() -> Any:
    return JOURNEY.tickets.severity(1)


def test_nothing_that_names_her_is_left_and_the_figures_are_the_same(store: Store) -> None:
    with store.begin() as tx:
        case_id = a_case_of_hers(tx)
        before = funnel(tx, "complaint", LATER)
    assert {table for table, _ in traces(store)} >= {
        *("customers", "feedbacks", "quarantine", "webhook_events", "zalo_users"),
        *("tickets", "surveys", "cases"),
    }
    removed = forget(store)
    assert traces(store) == []
    assert removed == {
        "customers": 2,  # herself, and the one that stands for her answer
        "zalo_users": 1,
        "feedbacks": 3,
        "surveys": 1,
        "cases": 1,
        "tickets": 1,
        "quarantine": 2,
        "webhook_events": 2,
    }
    with store.read() as tx:
        assert funnel(tx, "complaint", LATER) == before
        assert [line.event for line in timeline.of_case(tx, case_id)] == ["customer.forgotten"]
        assert timeline.of_case(tx, case_id)[0].actor == "mai"
        summary = tx.execute(sa.select(tickets_table.c.summary)).scalar_one()
        assert summary == f"AM{case_id:06d} · the customer's personal data has been removed"
        rows = tx.execute(sa.select(customers).where(customers.c.forgotten_at.is_not(None))).all()
        assert {row.key.partition(":")[0] for row in rows} == {"forgotten"}
        assert {row.opted_out_at for row in rows} == {LATER}
        [line] = operator_log.of_subject(tx, f"customer {rows[0].id}")
        assert (line.actor, line.action, line.detail) == (
            "mai",
            "forget",
            "request 12, called from 84912***678",
        )


def test_whoever_else_is_there_stays_as_they_are(store: Store) -> None:
    with store.begin() as tx:
        plant(tx, her_feedback())
        others = _others(tx)
    forget(store)
    with store.read() as tx:
        assert _others(tx) == others


def _others(tx: Tx) -> list[Any]:
    """The stranger's rows, whole."""
    of = (
        sa.select(customers).where(customers.c.key == inbox.hashed_contact(tx, STRANGER)),
        sa.select(feedbacks).where(feedbacks.c.external_id == "r9"),
        sa.select(quarantine).where(quarantine.c.fingerprint == "f3"),
        sa.select(webhook_events).where(webhook_events.c.key == "user_send_text:c-2"),
        sa.select(zalo_users).where(zalo_users.c.uid == "stranger"),
    )
    return [tuple(tx.execute(query).one()) for query in of]


def test_the_same_files_again_bring_nobody_back(store: Store) -> None:
    with store.begin() as tx:
        plant(tx, her_feedback())
    forget(store)
    with store.begin() as tx:
        people_before = count(tx, customers)
        assert inbox.receive(tx, "complaint", [her_feedback()], LATER) == 0
        assert inbox.reject(tx, "complaint", HER_BAD_ROWS, LATER) == 0
        assert count(tx, customers) == people_before
    assert traces(store) == []


def test_a_new_rating_of_theirs_is_a_new_customers(store: Store) -> None:
    with store.begin() as tx:
        plant(tx, her_feedback())
    forget(store)
    with store.begin() as tx:
        assert inbox.receive(tx, "complaint", [her_feedback(), her_feedback("r7")], LATER) == 1
        anew = inbox.find_customer(tx, PHONE)
        row = tx.execute(sa.select(customers).where(customers.c.id == anew)).one()
        assert (row.opted_out_at, row.forgotten_at, row.email) == (None, None, MAIL)
        owner = sa.select(feedbacks.c.customer_id).where(feedbacks.c.external_id == "r1")
        assert tx.execute(owner).scalar_one() != anew


def test_the_same_id_of_another_source_is_not_taken_for_theirs(store: Store) -> None:
    with store.begin() as tx:
        plant(tx, her_feedback())
    forget(store)
    theirs = her_feedback()
    others = [replace(theirs, source="other"), replace(theirs, external_id="r77")]
    with store.begin() as tx:
        assert inbox.receive(tx, "complaint", others, LATER) == 2


def test_twice_is_once_and_a_stranger_is_nothing(store: Store) -> None:
    with store.begin() as tx:
        plant(tx, her_feedback())
    forget(store)
    assert forget(store) == {}
    assert forget(store, "0903000111") == {}
    with store.read() as tx:
        lines = tx.execute(sa.select(operator_log_table.c.subject)).scalars().all()
    assert len(lines) == len(set(lines)) == 3  # one for her, one for each bad row


def test_who_was_never_a_customer_is_forgotten_in_quarantine(store: Store) -> None:
    with store.begin() as tx:
        inbox.reject(tx, "complaint", HER_BAD_ROWS, NINE)
    assert forget(store) == {"quarantine": 1}
    assert forget(store, MAIL) == {"quarantine": 1}
    with store.read() as tx:
        rows = tx.execute(sa.select(quarantine).order_by(quarantine.c.id)).all()
        assert {(row.state, row.note, row.settled_by) for row in rows} == {("dropped", "forgotten", "mai")}
        assert [row.raw for row in rows] == [{}, {}]


def send(tx: Tx, outcome: Any, *, lease_until: datetime = LATER + HOUR) -> tuple[int, int]:
    """A message to her: settled with the outcome, or under way for None. Returns case and customer."""
    plant(tx, her_feedback())
    customer_id = inbox.find_customer(tx, PHONE)
    assert customer_id is not None
    case_id = add_case(tx, customer_id=customer_id)
    made = intent(case_id, customer_id=customer_id)
    ledger.begin(tx, [made], owner="one", now=NINE, lease_until=lease_until)
    if outcome is not None:
        ledger.settle(tx, [(made, outcome)], owner="one", attempts={made.key: 1}, now=NINE)
    return case_id, customer_id


def state_of_effect(store: Store) -> str:
    with store.read() as tx:
        return str(tx.execute(sa.select(effects.c.state)).scalar_one())


def test_while_a_sweep_is_messaging_her_nothing_changes(store: Store) -> None:
    with store.begin() as tx:
        send(tx, None)
    before = traces(store)
    with pytest.raises(BeingMessaged, match="Try again in a moment"):
        forget(store)
    assert traces(store) == before


def test_a_sweep_that_died_in_the_call_holds_up_nobody(store: Store) -> None:
    with store.begin() as tx:
        send(tx, None, lease_until=LATER - HOUR)
    forget(store)
    assert (traces(store), state_of_effect(store)) == ([], "sending")


def test_what_waits_for_another_try_is_cancelled_and_the_timeline_says_so(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = send(tx, BUSY)
    assert forget(store)["effects"] == 1
    assert state_of_effect(store) == "cancelled"
    with store.begin() as tx:
        assert {line.event for line in timeline.of_case(tx, case_id)} == {
            "acknowledge.cancelled",
            "customer.forgotten",
        }
        again = ledger.begin(tx, [intent(case_id)], owner="x", now=LATER, lease_until=LATER + HOUR)
        assert again == set()


def test_what_may_have_arrived_stays_a_doubt(store: Store) -> None:
    with store.begin() as tx:
        send(tx, UNKNOWN)
    forget(store)
    assert state_of_effect(store) == "uncertain"


def test_a_sweep_that_has_claimed_her_case_is_waited_for(postgres: Store) -> None:
    """It has read her phone and is about to commit `sending`: erasure must see that, not overtake it."""
    with postgres.begin() as tx:
        _, customer_id = send(tx, BUSY)
        case_id = cases.open_cases(tx, "complaint", [customer_id])[0].id
        _plan(tx, case_id)
    with postgres.begin() as sweep:
        sweep.execute(sa.text("SELECT id FROM agenda FOR UPDATE"))
        with postgres.engine.connect() as other:
            other.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
                forgetting.forget(other, people.find(other, PHONE), deed())


def _plan(tx: Tx, case_id: int) -> None:
    agenda.plan(tx, [agenda.Item(case_id, "complaint", Step.ACKNOWLEDGE, 0, NINE)])
