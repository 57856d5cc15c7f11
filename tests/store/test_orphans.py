"""What a dead sweep left open and nobody would come back to."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from amends.domain.effects import Step
from amends.store import agenda, ledger, orphans
from amends.store.engine import Store, Tx
from amends.store.schema import effects
from tests.domain.examples import HOUR, NINE
from tests.store.rows import MINUTE, add_case, intent

LEASE = timedelta(minutes=2)
LATER = NINE + HOUR


def reminder_open(tx: Tx, *, answered: bool = True, now: datetime = NINE) -> int:
    """A case whose reminder's call is open; the customer has answered meanwhile."""
    case_id = add_case(tx)
    agenda.plan(tx, [agenda.Item(case_id, "complaint", Step.REMIND, 0, now)])
    ledger.begin(tx, [intent(case_id, step=Step.REMIND)], owner="dead", now=now, lease_until=now + LEASE)
    if answered:
        agenda.cancel(tx, case_id, Step.REMIND, "answered")
    return case_id


def test_a_call_whose_step_is_over_becomes_a_doubt(store: Store) -> None:
    with store.begin() as tx:
        case_id = reminder_open(tx)
        [orphan] = orphans.find(tx, "complaint", LATER, 10)
        assert (orphan.case_id, orphan.step) == (case_id, "remind")
        assert orphans.give_up(tx, [orphan], LATER) == [orphan]
        row = tx.execute(sa.select(effects)).one()
        assert (row.state, row.detail, row.settled_at) == ("uncertain", orphans.DETAIL, LATER)
        assert orphans.find(tx, "complaint", LATER, 10) == []


def test_what_is_still_on_the_agenda_is_left_to_the_sweep_that_comes_for_it(store: Store) -> None:
    with store.begin() as tx:
        reminder_open(tx, answered=False)
        assert orphans.find(tx, "complaint", LATER, 10) == []


def test_a_call_within_its_lease_may_be_a_live_ones(store: Store) -> None:
    with store.begin() as tx:
        reminder_open(tx)
        assert orphans.find(tx, "complaint", NINE + MINUTE, 10) == []
        assert orphans.find(tx, "other", LATER, 10) == []


def test_an_answer_that_comes_first_stands(store: Store) -> None:
    with store.begin() as tx:
        case_id = reminder_open(tx)
        found = orphans.find(tx, "complaint", LATER, 10)
        assert ledger.prove(tx, intent(case_id, step=Step.REMIND).key, "m-1", LATER, "proved")
        assert orphans.give_up(tx, found, LATER) == []
