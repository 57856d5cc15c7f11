"""What a restore puts in doubt: every message that may have gone out since the backup, and no other."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import EffectState, Policy, Step
from amends.store import agenda, cases, ledger, restored, tickets, timeline
from amends.store.agenda import Item
from amends.store.engine import Store, Tx
from amends.store.restored import doubt_everything_due, doubt_if_lost
from amends.store.schema import cases as cases_table
from amends.store.schema import effects
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import ACCEPTED, BUSY, REFUSED, add_case, add_ticket, intent

NOON = NINE + 3 * HOUR
"""When the backup is restored that was made at nine."""
DELAY = timedelta(hours=JOURNEY.survey.delay_hours)
DOUBT = ("uncertain", "restored")


def planned(tx: Tx, *items: tuple[Step, int, datetime]) -> int:
    """A case with a line at nine, and these items on its agenda."""
    case_id = add_case(tx)
    timeline.append(tx, [timeline.Entry(case_id, NINE, "case.opened")])
    agenda.plan(tx, [Item(case_id, JOURNEY.name, step, ordinal, due) for step, ordinal, due in items])
    return case_id


def begun(tx: Tx, case_id: int, **changes: Any) -> ledger.Intent:
    made = intent(case_id, **changes)
    ledger.begin(tx, [made], owner="one", now=NINE, lease_until=NINE + HOUR)
    return made


def answered(tx: Tx, made: ledger.Intent, outcome: Any) -> None:
    ledger.settle(tx, [(made, outcome)], owner="one", attempts={made.key: 1}, now=NINE)


def states(tx: Tx, case_id: int) -> dict[tuple[str, str, int], tuple[str, str | None]]:
    """(step, channel, ordinal) to (state, code)."""
    rows = tx.execute(sa.select(effects).where(effects.c.case_id == case_id))
    return {(row.step, row.channel, row.ordinal): (row.state, row.code) for row in rows}


def test_what_was_due_by_the_restore_is_in_doubt_and_what_is_due_later_is_not(store: Store) -> None:
    with store.begin() as tx:
        due = planned(tx, (Step.ACKNOWLEDGE, 0, NINE), (Step.SURVEY, 1, NOON), (Step.REWARD, 1, NOON))
        later = planned(tx, (Step.ACKNOWLEDGE, 0, NOON + HOUR), (Step.NOTIFY_AGENT, 0, NINE))
        plan = doubt_everything_due(tx, NOON)
        assert states(tx, due) == {
            ("acknowledge", "zns", 0): DOUBT,
            ("survey", "zns", 1): DOUBT,
            ("reward", "zns", 0): DOUBT,
        }
        assert states(tx, later) == {}
    assert plan.doubts == {Step.ACKNOWLEDGE: 1, Step.SURVEY: 1, Step.REWARD: 1}
    assert (plan.since, plan.until) == (NINE, NOON)


def test_what_was_on_its_way_or_would_be_tried_again_is_in_doubt_for_customers_only(store: Store) -> None:
    with store.begin() as tx:
        case_id = planned(tx)
        begun(tx, case_id)
        answered(tx, begun(tx, case_id, step=Step.SURVEY), BUSY)
        staff = begun(tx, case_id, step=Step.NOTIFY_AGENT, channel="notify", policy=Policy.AT_LEAST_ONCE)
        answered(tx, staff, BUSY)
        doubt_everything_due(tx, NOON)
        assert states(tx, case_id) == {
            ("acknowledge", "zns", 0): DOUBT,
            ("survey", "zns", 0): DOUBT,
            ("notify_agent", "notify", 0): ("waiting", BUSY.code),
        }


@pytest.mark.parametrize("outcome", [ACCEPTED, REFUSED])
def test_what_the_ledger_knows_stays_known_but_the_next_channel_is_in_doubt(
    store: Store, outcome: Any
) -> None:
    with store.begin() as tx:
        case_id = planned(tx, (Step.ACKNOWLEDGE, 0, NINE))
        answered(tx, begun(tx, case_id), outcome)
        doubt_everything_due(tx, NOON)
        known = states(tx, case_id)
    fallen_back = {("acknowledge", JOURNEY.channels[1], 0): DOUBT} if outcome is REFUSED else {}
    assert {key: state for key, state in known.items() if key[1] != "zns"} == fallen_back


def test_marking_again_doubts_nothing_twice_and_the_lost_time_only_grows(store: Store) -> None:
    with store.begin() as tx:
        case_id = planned(tx, (Step.ACKNOWLEDGE, 0, NINE))
        doubt_everything_due(tx, NOON)
        assert doubt_everything_due(tx, NOON + HOUR).doubts == {}
        assert [entry.event for entry in timeline.of_case(tx, case_id)] == [
            "case.opened",
            "acknowledge.uncertain",
        ]
        lost = restored.last_restore(tx)
    assert lost is not None
    assert (lost.since, lost.until) == (NINE, NOON + HOUR)


def test_a_doubt_is_settled_by_the_vendors_proof(store: Store) -> None:
    with store.begin() as tx:
        case_id = planned(tx, (Step.ACKNOWLEDGE, 0, NINE))
        doubt_everything_due(tx, NOON)
        sent_before = intent(case_id)
        assert ledger.prove(tx, sent_before.key, "m-1", NOON, "proved")
        assert states(tx, case_id)["acknowledge", "zns", 0][0] == EffectState.ACCEPTED


@pytest.mark.parametrize(("until", "doubted"), [(NINE + DELAY - HOUR, []), (NINE + DELAY, ["uncertain"])])
def test_a_ticket_that_is_solved_again_has_its_survey_doubted_if_the_lost_time_was_long_enough(
    store: Store, until: datetime, doubted: Sequence[str]
) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        timeline.append(tx, [timeline.Entry(case_id, NINE, "ticket.opened")])
        assert doubt_everything_due(tx, until).unsolved == 1
        tickets.solve(tx, ticket_id, "lan", "giao hàng", until + HOUR)
        assert [state for state, _ in states(tx, case_id).values()] == doubted


def test_a_case_that_began_after_the_restore_is_not_doubted(store: Store) -> None:
    with store.begin() as tx:
        planned(tx)
        doubt_everything_due(tx, NOON)
        case_id = add_case(tx, opened_at=NOON + HOUR)
        doubt_if_lost(tx, [case_id], Step.SURVEY, 0, NOON + 2 * HOUR)
        assert states(tx, case_id) == {}


def test_a_database_that_was_never_restored_doubts_nothing(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        doubt_if_lost(tx, [case_id], Step.SURVEY, 0, NOON)
        assert states(tx, case_id) == {}


def test_numbers_of_lost_cases_are_not_used_again(store: Store) -> None:
    """Vendors know them, and a proof about a lost case's message must not settle another's."""
    with store.begin() as tx:
        newest = planned(tx)
        doubt_everything_due(tx, NOON)
        lost = restored.last_restore(tx)
        made = cases.NewCase(
            JOURNEY.name,
            tx.execute(sa.select(cases_table.c.version_id)).scalar_one(),
            tx.execute(sa.select(cases_table.c.customer_id)).scalar_one(),
            NOON,
            NOON,
            1,
            JOURNEY.tickets.severity(1),
            id=restored.next_case_id(tx, lost),
        )
        [first] = cases.create(tx, [made])
        assert first == newest + restored.CASES_LEFT_FREE
        assert restored.next_case_id(tx, lost) is None
        assert add_case(tx) == first + 1


def test_an_empty_backup_can_be_marked(store: Store) -> None:
    with store.begin() as tx:
        plan = doubt_everything_due(tx, NOON)
    assert (plan.doubts, plan.unsolved, plan.since) == ({}, 0, NOON)
    assert timedelta(0) == plan.until - plan.since
