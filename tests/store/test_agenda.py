"""The agenda: what is due when, and that no two sweeps ever hold the same item."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amends.domain.effects import Step
from amends.store import agenda
from amends.store.agenda import Claim, Item
from amends.store.engine import Store, Tx
from tests.domain.examples import HOUR, NINE
from tests.store.rows import MINUTE, add_case, at_once, open_items, wipe

LEASE = timedelta(minutes=10)


def plan(tx: Tx, *, due_at: datetime = NINE, step: Step = Step.SURVEY, ordinal: int = 0) -> int:
    """A new case with one item on the agenda; returns the case's id."""
    case_id = add_case(tx)
    agenda.plan(tx, [Item(case_id, "complaint", step, ordinal, due_at)])
    return case_id


def claim(
    tx: Tx, owner: str = "one", now: datetime = NINE, limit: int = 100, step: Step = Step.SURVEY
) -> list[Claim]:
    return agenda.claim(tx, "complaint", step, now=now, owner=owner, lease_until=now + LEASE, limit=limit)


def cases_of(claims: list[Claim]) -> list[int]:
    return [claim.case_id for claim in claims]


def test_what_is_due_is_claimed_with_its_step_and_ordinal(store: Store) -> None:
    with store.begin() as tx:
        case_id = plan(tx, ordinal=2)
        (mine,) = claim(tx)
    assert (mine.case_id, mine.step, mine.ordinal) == (case_id, Step.SURVEY, 2)


def test_nothing_is_due_before_its_time(store: Store) -> None:
    with store.begin() as tx:
        plan(tx, due_at=NINE + MINUTE)
        assert not agenda.is_due(tx, "complaint", Step.SURVEY, NINE)
        assert claim(tx) == []
        assert agenda.is_due(tx, "complaint", Step.SURVEY, NINE + MINUTE)


@pytest.mark.parametrize(("journey", "step"), [("aftercare", Step.SURVEY), ("complaint", Step.REMIND)])
def test_other_journeys_and_steps_are_left_alone(store: Store, journey: str, step: Step) -> None:
    with store.begin() as tx:
        plan(tx)
        assert not agenda.is_due(tx, journey, step, NINE)


def test_the_longest_overdue_come_first(store: Store) -> None:
    with store.begin() as tx:
        late, later, latest = (plan(tx, due_at=NINE - hours * HOUR) for hours in (1, 2, 3))
        assert cases_of(claim(tx, limit=2)) == [latest, later]
        assert cases_of(claim(tx, limit=2)) == [late]


def test_the_newest_come_first_where_they_are_wanted(store: Store) -> None:
    with store.begin() as tx:
        _, later, latest = (plan(tx, due_at=NINE - hours * HOUR) for hours in (3, 2, 1))
        claims = agenda.claim(
            tx,
            "complaint",
            Step.SURVEY,
            now=NINE,
            owner="one",
            lease_until=NINE + LEASE,
            limit=2,
            newest_first=True,
        )
    assert cases_of(claims) == [latest, later]


def test_a_claimed_item_is_not_due_for_anybody(store: Store) -> None:
    with store.begin() as tx:
        plan(tx)
        claim(tx)
        assert not agenda.is_due(tx, "complaint", Step.SURVEY, NINE)
        assert claim(tx, "other") == []


def test_a_lease_holds_up_to_its_end_and_is_taken_over_after_it(store: Store) -> None:
    with store.begin() as tx:
        case_id = plan(tx)
        claim(tx, "dead")
        assert claim(tx, "other", NINE + LEASE) == []
        assert cases_of(claim(tx, "other", NINE + LEASE + timedelta(seconds=1))) == [case_id]


def test_a_claim_taken_over_is_no_longer_ours(store: Store) -> None:
    with store.begin() as tx:
        lost, kept = plan(tx), plan(tx)
        slow = claim(tx, "slow")
        assert cases_of(claim(tx, "quick", NINE + HOUR, limit=1)) == [lost]
        assert cases_of(agenda.still_ours(tx, slow, "slow")) == [kept]


def test_an_expired_lease_that_nobody_took_is_still_ours(store: Store) -> None:
    with store.begin() as tx:
        plan(tx)
        slow = claim(tx, "slow")
        assert not agenda.claim(
            tx, "aftercare", Step.SURVEY, now=NINE + HOUR, owner="quick", lease_until=NINE, limit=9
        )
        assert agenda.still_ours(tx, slow, "slow") == slow


def test_two_open_transactions_never_claim_the_same_item(postgres: Store) -> None:
    with postgres.begin() as tx:
        planned = {plan(tx) for _ in range(5)}
    with postgres.begin() as one, postgres.begin() as other:
        first, second = cases_of(claim(one, "one", limit=3)), cases_of(claim(other, "other", limit=3))
    assert (len(first), len(second)) == (3, 2)
    assert {*first, *second} == planned


def test_sweeps_in_a_race_share_the_work_without_overlap(store: Store) -> None:
    with store.begin() as tx:
        planned = {plan(tx) for _ in range(60)}

    def sweep(owner: str) -> list[int]:
        taken: list[int] = []
        while True:
            with store.begin() as tx:
                claims = claim(tx, owner, limit=4)
            if not claims:
                return taken
            taken += cases_of(claims)

    shares = at_once([lambda owner=owner: sweep(owner) for owner in ("one", "two", "three", "four")])  # type: ignore[misc]
    taken = [case_id for share in shares for case_id in share]
    assert sorted(taken) == sorted(planned)


def test_planning_again_changes_nothing(store: Store) -> None:
    with store.begin() as tx:
        case_id = plan(tx)
        agenda.plan(tx, [Item(case_id, "complaint", Step.SURVEY, 0, NINE + HOUR)])
        assert open_items(tx, case_id) == {("survey", 0): NINE}


def test_planning_again_does_not_bring_back_what_is_over(store: Store) -> None:
    with store.begin() as tx:
        case_id = plan(tx)
        agenda.finish(tx, [(mine, "sent") for mine in claim(tx)])
        agenda.plan(tx, [Item(case_id, "complaint", Step.SURVEY, 0, NINE)])
        assert open_items(tx, case_id) == {}
        assert not agenda.is_due(tx, "complaint", Step.SURVEY, NINE + 1000 * HOUR)


def test_a_postponed_item_is_free_and_due_at_its_new_time(store: Store) -> None:
    with store.begin() as tx:
        plan(tx)
        agenda.postpone(tx, [(mine, NINE + MINUTE) for mine in claim(tx)])
        assert not agenda.is_due(tx, "complaint", Step.SURVEY, NINE)
        assert len(claim(tx, "other", NINE + MINUTE)) == 1


def test_released_claims_are_due_at_once(store: Store) -> None:
    with store.begin() as tx:
        case_id = plan(tx)
        agenda.release(tx, "one", "complaint", claim(tx))
        assert cases_of(claim(tx, "other")) == [case_id]


def test_what_another_sweep_holds_cannot_be_released(store: Store) -> None:
    with store.begin() as tx:
        plan(tx)
        agenda.release(tx, "other", "complaint", claim(tx, "one"))
        assert claim(tx, "other") == []


def test_waking_makes_only_the_open_items_meant_due_now(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        later = NINE + 96 * HOUR
        items = [(Step.CONCLUDE, 0), (Step.CONCLUDE, 1), (Step.REMIND, 0)]
        agenda.plan(tx, [Item(case_id, "complaint", step, ordinal, later) for step, ordinal in items])
        agenda.wake(tx, case_id, Step.CONCLUDE, NINE, [1])
        assert open_items(tx, case_id) == {
            ("conclude", 0): later,
            ("conclude", 1): NINE,
            ("remind", 0): later,
        }


def test_waking_does_not_bring_back_what_is_over(store: Store) -> None:
    with store.begin() as tx:
        case_id = plan(tx)
        agenda.finish(tx, [(mine, "sent") for mine in claim(tx)])
        agenda.wake(tx, case_id, Step.SURVEY, NINE)
        assert open_items(tx, case_id) == {}


def test_the_next_due_time_is_the_earliest_of_all_steps(store: Store) -> None:
    with store.begin() as tx:
        assert agenda.next_due_at(tx, "complaint") is None
        plan(tx, due_at=NINE + HOUR, step=Step.REMIND)
        plan(tx, due_at=NINE + MINUTE, step=Step.CLOSE)
        assert agenda.next_due_at(tx, "complaint") == NINE + MINUTE
        assert agenda.next_due_at(tx, "aftercare") is None


def test_what_is_over_is_never_next(store: Store) -> None:
    with store.begin() as tx:
        plan(tx)
        agenda.finish(tx, [(mine, "sent") for mine in claim(tx)])
        assert agenda.next_due_at(tx, "complaint") is None


moves = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 15), st.integers(1, 4), st.booleans()),
    max_size=12,
)


@given(moves)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_at_no_time_do_two_live_leases_hold_one_item(
    store: Store, moves: list[tuple[str, int, int, bool]]
) -> None:
    """Sweeps claim and die (or finish) as they like while minutes pass; each holds only what it may."""
    wipe(store)
    held: dict[int, tuple[str, datetime]] = {}
    finished: set[int] = set()
    now = NINE
    with store.begin() as tx:
        planned = {plan(tx) for _ in range(5)}
        for owner, minutes, limit, finishes in moves:
            now += minutes * MINUTE
            claims = claim(tx, owner, now, limit)
            for mine in claims:
                assert mine.case_id not in finished
                assert mine.case_id not in held or held[mine.case_id][1] < now
                held[mine.case_id] = (owner, now + LEASE)
            if finishes:
                agenda.finish(tx, [(mine, "sent") for mine in claims])
                finished |= set(cases_of(claims))
        rest = claim(tx, "last", now + HOUR)
        assert set(cases_of(rest)) == planned - finished
