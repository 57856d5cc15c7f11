"""The built-in desk: taking, solving and reopening tickets, with the clocks and what goes on the agenda."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.case import Ticket, TicketState
from amends.domain.effects import Step
from amends.domain.journey.base import Severity
from amends.domain.sla import ClockKind, SlaClock
from amends.store import cases, tickets, timeline
from amends.store.engine import Store, Tx
from amends.store.schema import tickets as table
from amends.store.tickets import TicketProblem, clock_ordinal
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import MINUTE, add_case, add_ticket, at_once, open_items, strike_off

FIRST, LAST = clock_ordinal(ClockKind.FIRST_RESPONSE, 0), clock_ordinal(ClockKind.RESOLUTION, 0)


def ticket_of(tx: Tx, case_id: int) -> Ticket:
    found = cases.load(tx, [case_id], messages_since=NINE)[case_id].ticket
    assert found is not None
    return found


def clock(tx: Tx, case_id: int, ordinal: int) -> SlaClock:
    return tickets.clocks(tx, [case_id])[case_id, ordinal]


def lines(tx: Tx, case_id: int) -> list[tuple[str, str, str]]:
    return [(line.event, line.detail, line.actor) for line in timeline.of_case(tx, case_id)]


def watched(tx: Tx, case_id: int) -> dict[int, datetime]:
    """Agenda ordinal of each clock still watched, to when it is looked at next."""
    return {ordinal: at for (step, ordinal), at in open_items(tx, case_id).items() if step == Step.WATCH_SLA}


def test_an_urgent_ticket_runs_both_clocks_by_the_journeys_targets(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        first, last = clock(tx, case_id, FIRST), clock(tx, case_id, LAST)
    assert (first.kind, first.due_at) == (ClockKind.FIRST_RESPONSE, NINE + 30 * MINUTE)
    assert (last.kind, last.due_at) == (ClockKind.RESOLUTION, NINE + 8 * HOUR)


def test_the_agent_is_told_at_once_and_the_clocks_are_watched_from_their_warning(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        assert open_items(tx, case_id) == {
            ("notify_agent", 0): NINE,
            ("watch_sla", FIRST): NINE + 22.5 * MINUTE,
            ("watch_sla", LAST): NINE + 6 * HOUR,
        }


def test_opening_the_ticket_of_a_case_again_changes_nothing(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        again = tickets.NewTicket(case_id, Severity.LOW, "minh", "other")
        tickets.open_tickets(tx, JOURNEY, [again], NINE + HOUR)
        assert ticket_of(tx, case_id).severity is Severity.URGENT
        assert clock(tx, case_id, FIRST).started_at == NINE
        assert [ticket.id for ticket in tickets.unsolved(tx)] == [ticket_id]


def test_taking_a_ticket_is_its_first_response(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.take(tx, ticket_id, "minh", NINE + MINUTE)
        taken = ticket_of(tx, case_id)
        assert (taken.state, taken.assignee, taken.first_response_at) == (
            TicketState.OPEN,
            "minh",
            NINE + MINUTE,
        )
        assert clock(tx, case_id, FIRST).met_at == NINE + MINUTE
        assert clock(tx, case_id, LAST).met_at is None
        assert lines(tx, case_id) == [("ticket.taken", "by minh", "minh")]


def test_a_stopped_clock_is_looked_at_once_more_right_away(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.take(tx, ticket_id, "lan", NINE + MINUTE)
        assert watched(tx, case_id) == {FIRST: NINE + MINUTE, LAST: NINE + 6 * HOUR}


def test_taking_a_ticket_twice_changes_nothing(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.take(tx, ticket_id, "lan", NINE + MINUTE)
        tickets.take(tx, ticket_id, "minh", NINE + HOUR)
        assert ticket_of(tx, case_id).assignee == "lan"
        assert len(lines(tx, case_id)) == 1


def test_solving_asks_the_survey_after_the_journeys_delay(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.take(tx, ticket_id, "lan", NINE)
        tickets.solve(tx, ticket_id, "lan", " Giao thiếu hàng ", NINE + HOUR)
        solved = ticket_of(tx, case_id)
        assert (solved.state, solved.solved_at) == (TicketState.SOLVED, NINE + HOUR)
        assert clock(tx, case_id, LAST).met_at == NINE + HOUR
        assert open_items(tx, case_id)["survey", 0] == NINE + 5 * HOUR
        assert lines(tx, case_id)[-1] == ("ticket.solved", "Giao thiếu hàng", "lan")
        assert tx.execute(sa.select(table.c.root_cause)).scalar_one() == "Giao thiếu hàng"


def test_solving_a_ticket_nobody_took_is_its_first_response_too(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.solve(tx, ticket_id, "minh", "Giao thiếu hàng", NINE + HOUR)
        assert ticket_of(tx, case_id).first_response_at == NINE + HOUR
        assert [clock(tx, case_id, ordinal).met_at for ordinal in (FIRST, LAST)] == [NINE + HOUR] * 2
        assert [event for event, _, _ in lines(tx, case_id)] == ["ticket.taken", "ticket.solved"]


def test_the_survey_delay_is_that_of_the_version_the_case_entered_with(store: Store) -> None:
    slow = JOURNEY.model_copy(update={"survey": JOURNEY.survey.model_copy(update={"delay_hours": 10.0})})
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx, slow)
        tickets.solve(tx, ticket_id, "lan", "Giao thiếu hàng", NINE)
        assert open_items(tx, case_id)["survey", 0] == NINE + 10 * HOUR


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda tx, id_: tickets.take(tx, id_, "lan", NINE), "ticket {id} is solved already"),
        (lambda tx, id_: tickets.solve(tx, id_, "lan", "x", NINE), "ticket {id} is solved already"),
        (lambda tx, id_: tickets.solve(tx, id_, "lan", "  ", NINE), "a solved ticket needs a root cause"),
        (
            lambda tx, id_: tickets.take(tx, id_ + 1, "lan", NINE),
            "there is no ticket {next}; `amends ticket list` shows the open ones",
        ),
        (lambda tx, id_: tickets.solve(tx, id_ + 1, "lan", "x", NINE), "there is no ticket {next}"),
    ],
)
def test_what_cannot_be_done_to_a_solved_ticket_is_said(store: Store, action: Any, message: str) -> None:
    with store.begin() as tx:
        _, ticket_id = add_ticket(tx)
        tickets.solve(tx, ticket_id, "lan", "Giao thiếu hàng", NINE)
        with pytest.raises(TicketProblem, match=message.format(id=ticket_id, next=ticket_id + 1)):
            action(tx, ticket_id)


def test_two_agents_who_solve_at_once_solve_it_once(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)

    def solve(agent: str) -> bool:
        try:
            with store.begin() as tx:
                tickets.solve(tx, ticket_id, agent, "Giao thiếu hàng", NINE + HOUR)
        except TicketProblem:
            return False
        return True

    assert sorted(at_once([lambda: solve("lan"), lambda: solve("minh")])) == [False, True]
    with store.read() as tx:
        assert [event for event, _, _ in lines(tx, case_id)] == ["ticket.taken", "ticket.solved"]


def test_a_reopened_ticket_starts_anew(store: Store) -> None:
    day_after = NINE + timedelta(days=1)
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx, severity=Severity.HIGH)
        tickets.solve(tx, ticket_id, "minh", "Giao thiếu hàng", NINE + HOUR)
        assert tickets.reopen(tx, JOURNEY, case_id, Severity.URGENT, day_after) == 1
        reopened = ticket_of(tx, case_id)
        first = clock(tx, case_id, clock_ordinal(ClockKind.FIRST_RESPONSE, 1))
        assert (reopened.state, reopened.severity, reopened.cycle) == (TicketState.NEW, Severity.URGENT, 1)
        assert (reopened.first_response_at, reopened.solved_at) == (None, None)
        assert (first.started_at, first.due_at, first.met_at) == (day_after, day_after + 30 * MINUTE, None)
        assert open_items(tx, case_id)["notify_agent", 1] == day_after


def test_the_old_clocks_of_a_reopened_ticket_stay_as_they_ended(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.solve(tx, ticket_id, "lan", "Giao thiếu hàng", NINE + HOUR)
        tickets.reopen(tx, JOURNEY, case_id, Severity.URGENT, NINE + 2 * HOUR)
        tickets.solve(tx, ticket_id, "lan", "Giao sai địa chỉ", NINE + 3 * HOUR)
        met = {ordinal: known.met_at for (_, ordinal), known in tickets.clocks(tx, [case_id]).items()}
    assert met == {0: NINE + HOUR, 1: NINE + HOUR, 2: NINE + 3 * HOUR, 3: NINE + 3 * HOUR}


def test_each_cycle_asks_its_own_survey(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        for cycle in range(3):
            now = NINE + cycle * HOUR
            if cycle:
                tickets.reopen(tx, JOURNEY, case_id, Severity.URGENT, now)
            tickets.solve(tx, ticket_id, "lan", "Giao thiếu hàng", now)
        surveys = [key for key in open_items(tx, case_id) if key[0] == Step.SURVEY]
    assert surveys == [("survey", 0), ("survey", 1), ("survey", 2)]


def test_the_desk_lists_what_is_not_solved_oldest_first_and_by_agent(store: Store) -> None:
    with store.begin() as tx:
        (_, done), (_, first), (_, second) = (add_ticket(tx) for _ in range(3))
        (_, of_minh) = add_ticket(tx, assignee="minh")
        tickets.solve(tx, done, "lan", "Giao thiếu hàng", NINE)
        assert [ticket.id for ticket in tickets.unsolved(tx)] == [first, second, of_minh]
        assert [ticket.id for ticket in tickets.unsolved(tx, assignee="lan")] == [first, second]
        assert [ticket.id for ticket in tickets.unsolved(tx, limit=1)] == [first]


def test_the_desk_shows_when_a_reopened_ticket_must_be_solved(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        tickets.solve(tx, ticket_id, "lan", "Giao thiếu hàng", NINE)
        tickets.reopen(tx, JOURNEY, case_id, Severity.URGENT, NINE + HOUR)
        (shown,) = tickets.unsolved(tx)
    assert (shown.cycle, shown.opened_at, shown.due_at) == (1, NINE + HOUR, NINE + 9 * HOUR)


def test_a_case_without_a_ticket_has_no_clocks(store: Store) -> None:
    with store.begin() as tx:
        assert tickets.clocks(tx, [add_case(tx)]) == {}


@pytest.mark.parametrize("cycle", range(3))
def test_every_clock_of_a_case_has_its_own_place_on_the_agenda(cycle: int) -> None:
    numbers = [clock_ordinal(kind, of) for of in range(cycle + 1) for kind in ClockKind]
    assert numbers == list(range(2 * (cycle + 1)))


def test_the_watch_of_a_clock_struck_off_is_not_woken(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        strike_off(tx, case_id, Step.WATCH_SLA, "watched")
        tickets.take(tx, ticket_id, "lan", NINE)
        assert watched(tx, case_id) == {}
