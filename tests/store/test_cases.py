"""Cases as decisions want to see them: with customer, ticket, the present survey, and the messages of late."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from amends.domain.case import TicketState
from amends.domain.effects import Step
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.journey.base import Severity
from amends.store import cases, inbox, journeys, ledger
from amends.store.cases import History
from amends.store.engine import Store, Tx
from amends.store.inbox import Route
from amends.store.schema import effects
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import (
    ACCEPTED,
    REFUSED,
    UNKNOWN,
    add_case,
    add_customer,
    add_ticket,
    feedback,
    intent,
)

MONTH = timedelta(days=30)


def test_a_case_comes_with_its_customer(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx, name="Lan", email="lan@example.com", language="vi", opted_out_at=NINE)
        case_id = add_case(
            tx, customer_id=customer_id, branch="Nắng Quận 1", product="Cà phê", order_ref="D1"
        )
        case = cases.load(tx, [case_id], messages_since=NINE)[case_id]
    assert (case.customer.id, case.customer.name, case.customer.language) == (customer_id, "Lan", "vi")
    assert (case.customer.email, case.customer.opted_out_at) == ("lan@example.com", NINE)
    assert (case.branch, case.product, case.severity, case.stars) == (
        "Nắng Quận 1",
        "Cà phê",
        Severity.URGENT,
        1,
    )
    assert (case.ticket, case.survey, case.outcome, case.closed_at) == (None, None, None, None)


def test_a_case_comes_with_its_ticket(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        ticket = cases.load(tx, [case_id], messages_since=NINE)[case_id].ticket
    assert ticket is not None
    assert (ticket.id, ticket.state, ticket.assignee, ticket.cycle) == (ticket_id, TicketState.NEW, "lan", 0)


def test_only_the_cases_asked_for_are_loaded(store: Store) -> None:
    with store.begin() as tx:
        one, _, other = (add_case(tx) for _ in range(3))
        assert set(cases.load(tx, [other, one], messages_since=NINE)) == {one, other}
        assert cases.load(tx, [], messages_since=NINE) == {}


def send(tx: Tx, case_id: int, customer_id: int | None, ordinal: int, *, days_ago: int = 0) -> None:
    """An accepted message of some days ago."""
    message, at = intent(case_id, customer_id=customer_id, ordinal=ordinal), NINE - timedelta(days=days_ago)
    ledger.begin(tx, [message], owner="one", now=at, lease_until=at + HOUR)
    ledger.settle(tx, [(message, ACCEPTED)], owner="one", attempts={}, now=at)


def messages(tx: Tx, case_id: int) -> int:
    return cases.load(tx, [case_id], messages_since=NINE - MONTH)[case_id].customer.recent_messages


def test_messages_count_within_the_window_only(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        case_id = add_case(tx, customer_id=customer_id)
        for ordinal, days_ago in enumerate((0, 30, 31)):
            send(tx, case_id, customer_id, ordinal, days_ago=days_ago)
        assert messages(tx, case_id) == 2


def test_messages_count_over_all_cases_and_journeys_of_the_customer(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        one, other = (add_case(tx, customer_id=customer_id) for _ in range(2))
        send(tx, one, customer_id, 0)
        aftercare = intent(other, customer_id=customer_id, journey="aftercare")
        ledger.begin(tx, [aftercare], owner="one", now=NINE, lease_until=NINE + HOUR)
        ledger.settle(tx, [(aftercare, ACCEPTED)], owner="one", attempts={}, now=NINE)
        assert (messages(tx, one), messages(tx, other), messages(tx, add_case(tx))) == (2, 2, 0)


def test_messages_to_staff_do_not_count(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        send(tx, case_id, None, 0)
        assert messages(tx, case_id) == 0


def test_messages_that_did_not_arrive_do_not_count(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        case_id = add_case(tx, customer_id=customer_id)
        for ordinal, outcome in enumerate((REFUSED, UNKNOWN)):
            message = intent(case_id, customer_id=customer_id, ordinal=ordinal)
            ledger.begin(tx, [message], owner="one", now=NINE, lease_until=NINE + HOUR)
            ledger.settle(tx, [(message, outcome)], owner="one", attempts={}, now=NINE)
        assert messages(tx, case_id) == 0


def test_open_cases_are_those_of_the_customer_and_journey_that_are_not_closed(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        closed, first, second = (add_case(tx, customer_id=customer_id, order_ref="D1") for _ in range(3))
        cases.close(tx, [closed], NINE)
        add_case(tx)
        found = cases.open_cases(tx, "complaint", [customer_id])
        assert [(case.id, case.order_ref) for case in found] == [(first, "D1"), (second, "D1")]
        assert cases.open_cases(tx, "aftercare", [customer_id]) == []


def test_the_latest_feedback_of_a_case_only_moves_forward(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        case_id = add_case(tx, customer_id=customer_id)
        for hours in (2, 1):
            cases.join_feedback(tx, case_id, NINE + hours * HOUR, 5, Severity.LOW)
        (case,) = cases.open_cases(tx, "complaint", [customer_id])
    assert case.last_feedback_at == NINE + 2 * HOUR


def test_a_worse_rating_makes_the_case_more_severe_and_a_better_one_does_not(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        stars = []
        for rating, severity in ((1, Severity.URGENT), (3, Severity.NORMAL)):
            cases.join_feedback(tx, case_id, NINE, rating, severity)
            case = cases.load(tx, [case_id], messages_since=NINE)[case_id]
            stars.append((case.stars, case.severity))
    assert stars == [(1, Severity.URGENT)] * 2


def test_an_outcome_can_be_set_and_taken_back(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        cases.set_outcomes(tx, [cases.Ending(case_id, CaseOutcome.UNSATISFIED, "1 of 5")])
        case = cases.load(tx, [case_id], messages_since=NINE)[case_id]
        assert (case.outcome, case.outcome_reason) == (CaseOutcome.UNSATISFIED, "1 of 5")
        cases.set_outcomes(tx, [cases.Ending(case_id)])
        assert cases.load(tx, [case_id], messages_since=NINE)[case_id].outcome is None


def test_a_history_tells_the_ratings_in_their_order_and_the_earlier_cases(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        earlier = [add_case(tx, customer_id=customer_id, opened_at=NINE + n * HOUR) for n in range(6)]
        case_id = add_case(tx, customer_id=customer_id)
        cases.set_outcomes(tx, [cases.Ending(earlier[5], CaseOutcome.SATISFIED, "5 of 5")])
        later_but_first_received = feedback("2", text="hai", rating=2.0, occurred_at=NINE + HOUR)
        inbox.receive(tx, "complaint", [later_but_first_received, feedback("1", text="một")], NINE)
        taken = inbox.take_unrouted(tx, "complaint", 10)
        inbox.route(tx, [Route(rating.id, "case", "bad", case_id) for rating in taken], NINE)
        wanted = list(cases.load(tx, [case_id], messages_since=NINE).values())
        history = cases.histories(tx, wanted)[case_id]
    assert history.texts == ((1, "một"), (2, "hai"))
    assert history.earlier[0] == (earlier[5], NINE + 5 * HOUR, "satisfied")
    assert [found for found, _, _ in history.earlier] == earlier[:0:-1]


def test_a_first_case_has_no_history(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        case_id = add_case(tx, customer_id=customer_id)
        add_case(tx, customer_id=customer_id)  # a later one is not earlier
        wanted = list(cases.load(tx, [case_id], messages_since=NINE).values())
        assert cases.histories(tx, wanted)[case_id] == History((), ())


def test_effects_of_other_steps_count_towards_the_cap_too(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        case_id = add_case(tx, customer_id=customer_id)
        send(tx, case_id, customer_id, 0)
        tx.execute(sa.update(effects).values(step=Step.SURVEY.value))
        assert messages(tx, case_id) == 1


@pytest.mark.parametrize("first", [None, 500])
def test_cases_opened_together_have_their_numbers_in_their_order(store: Store, first: int | None) -> None:
    with store.begin() as tx:
        version_id = journeys.register(tx, JOURNEY, NINE)
        people = [add_customer(tx) for _ in range(5)][::-1]
        new = [
            cases.NewCase(
                JOURNEY.name,
                version_id,
                customer_id,
                NINE,
                NINE,
                1,
                Severity.URGENT,
                id=first and first + place,
            )
            for place, customer_id in enumerate(people)
        ]
        made = cases.create(tx, new)
        loaded = cases.load(tx, made, messages_since=NINE)
        assert made == sorted(made)
        assert first is None or made[0] == first
        assert [loaded[case_id].customer.id for case_id in made] == people
        assert cases.create(tx, []) == []
