"""The effect ledger: who may send what, and how the fate of every call is written down."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amends.domain.effects import EffectState, Policy, Step, state_after, tracking_id
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.sla import ClockKind, ordinal_of
from amends.store import ledger, tickets
from amends.store.engine import Store, Tx
from amends.store.ledger import Intent
from amends.store.schema import effects
from tests.domain.examples import HOUR, NINE
from tests.store.rows import (
    ACCEPTED,
    BUSY,
    MINUTE,
    REFUSED,
    UNKNOWN,
    add_case,
    at_once,
    claim_of,
    intent,
    wipe,
)

LEASE = timedelta(minutes=10)


def begin(tx: Tx, *intents: Intent, owner: str = "one") -> set[str]:
    return ledger.begin(tx, intents, owner=owner, now=NINE, lease_until=NINE + LEASE)


def settle(tx: Tx, of: Intent, outcome: Outcome, owner: str = "one", attempts: int = 1) -> None:
    ledger.settle(tx, [(of, outcome)], owner=owner, attempts={of.key: attempts}, now=NINE + MINUTE)


def row(tx: Tx) -> Any:
    return tx.execute(sa.select(effects)).one()


def test_a_new_effect_is_written_as_sending_with_lease_and_ids(store: Store) -> None:
    with store.begin() as tx:
        new = intent(add_case(tx), template_id="310001")
        assert begin(tx, new) == {new.key}
        written = row(tx)
    assert (written.state, written.attempts, written.owner) == ("sending", 1, "one")
    assert (written.sent_at, written.lease_until) == (NINE, NINE + LEASE)
    assert written.key == new.key


def test_nothing_to_begin_is_nothing(store: Store) -> None:
    with store.begin() as tx:
        assert begin(tx) == set()


@pytest.mark.parametrize("outcome", [ACCEPTED, REFUSED])
@pytest.mark.parametrize("policy", Policy)
def test_a_settled_effect_is_never_sent_again(store: Store, outcome: Outcome, policy: Policy) -> None:
    with store.begin() as tx:
        done = intent(add_case(tx), policy=policy)
        begin(tx, done)
        settle(tx, done, outcome)
        before = row(tx)
        assert begin(tx, done) == set()
        assert begin(tx, done, owner="other") == set()
        assert row(tx) == before


@pytest.mark.parametrize(("policy", "may_send"), [(Policy.AT_MOST_ONCE, False), (Policy.AT_LEAST_ONCE, True)])
def test_an_unknown_fate_is_repeated_only_where_twice_is_better_than_never(
    store: Store, policy: Policy, may_send: bool
) -> None:
    with store.begin() as tx:
        lost = intent(add_case(tx), policy=policy)
        begin(tx, lost)
        settle(tx, lost, UNKNOWN)
        assert begin(tx, lost) == ({lost.key} if may_send else set())
        assert row(tx).attempts == (2 if may_send else 1)


def test_what_another_sweep_is_sending_is_left_to_it(store: Store) -> None:
    with store.begin() as tx:
        new = intent(add_case(tx))
        begin(tx, new)
        assert begin(tx, new, owner="other") == set()
        assert row(tx).owner == "one"


def test_a_waiting_effect_is_taken_up_again_under_its_old_key(store: Store) -> None:
    with store.begin() as tx:
        busy = intent(add_case(tx))
        begin(tx, busy)
        settle(tx, busy, BUSY)
        assert begin(tx, busy, owner="other") == {busy.key}
        again = row(tx)
    assert (again.state, again.attempts, again.owner, again.next_attempt_at) == ("sending", 2, "other", None)


def test_of_two_sweeps_in_a_race_one_may_send(store: Store) -> None:
    with store.begin() as tx:
        wanted = [intent(add_case(tx)) for _ in range(20)]

    def sweep(owner: str) -> set[str]:
        with store.begin() as tx:
            return begin(tx, *wanted, owner=owner)

    one, other = at_once([lambda: sweep("one"), lambda: sweep("other")])
    assert one | other == {intent.key for intent in wanted}
    assert not one & other


@pytest.mark.parametrize("cls", OutcomeClass)
def test_every_answer_is_written_with_its_state(store: Store, cls: OutcomeClass) -> None:
    with store.begin() as tx:
        made = intent(add_case(tx))
        begin(tx, made)
        settle(tx, made, Outcome(cls, provider_id="m-1", code="-32", detail="why", cost_vnd=300))
        (known,) = ledger.of_cases(tx, [made.case_id], [Step.ACKNOWLEDGE])[made.case_id]
        written = row(tx)
    assert known.state is state_after(Outcome(cls))
    assert (known.outcome_class, known.code, known.attempts) == (cls, "-32", 1)
    assert (written.provider_id, written.cost_vnd, written.lease_until) == ("m-1", 300, None)
    assert (written.settled_at is None) == (known.state is EffectState.WAITING)


def test_a_busy_vendor_is_tried_later_and_later(store: Store) -> None:
    with store.begin() as tx:
        busy = intent(add_case(tx))
        begin(tx, busy)
        settle(tx, busy, BUSY, attempts=3)
        assert row(tx).next_attempt_at == NINE + 9 * MINUTE


def test_an_answer_that_comes_after_the_takeover_does_not_touch_the_new_owners_row(store: Store) -> None:
    with store.begin() as tx:
        told = intent(add_case(tx), policy=Policy.AT_LEAST_ONCE, step=Step.NOTIFY_AGENT)
        begin(tx, told, owner="slow")
        ledger.mark_uncertain(tx, [claim_of(told.case_id, Step.NOTIFY_AGENT)], NINE + HOUR)
        begin(tx, told, owner="quick")
        settle(tx, told, ACCEPTED, owner="slow")
        assert row(tx).state == "sending"
        settle(tx, told, ACCEPTED, owner="quick")
        assert row(tx).state == "accepted"


def test_a_second_answer_changes_nothing(store: Store) -> None:
    with store.begin() as tx:
        made = intent(add_case(tx))
        begin(tx, made)
        settle(tx, made, ACCEPTED)
        settle(tx, made, REFUSED)
        assert row(tx).state == "accepted"


def test_what_a_dead_sweep_was_sending_becomes_uncertain(store: Store) -> None:
    with store.begin() as tx:
        made = intent(add_case(tx))
        begin(tx, made)
        (dead,) = ledger.mark_uncertain(tx, [claim_of(made.case_id, Step.ACKNOWLEDGE)], NINE + HOUR)
        assert (dead.case_id, dead.channel, dead.state) == (made.case_id, "zns", EffectState.UNCERTAIN)
        assert (row(tx).state, row(tx).settled_at) == ("uncertain", NINE + HOUR)
        assert ledger.mark_uncertain(tx, [claim_of(made.case_id, Step.ACKNOWLEDGE)], NINE + HOUR) == []


@pytest.mark.parametrize("outcome", [ACCEPTED, REFUSED, BUSY])
def test_what_was_answered_does_not_become_uncertain(store: Store, outcome: Outcome) -> None:
    with store.begin() as tx:
        made = intent(add_case(tx))
        begin(tx, made)
        settle(tx, made, outcome)
        assert ledger.mark_uncertain(tx, [claim_of(made.case_id, Step.ACKNOWLEDGE)], NINE) == []


def test_other_cases_and_steps_do_not_become_uncertain(store: Store) -> None:
    with store.begin() as tx:
        made = intent(add_case(tx))
        begin(tx, made)
        others = [claim_of(made.case_id, Step.SURVEY), claim_of(add_case(tx), Step.ACKNOWLEDGE)]
        assert [dead for other in others for dead in ledger.mark_uncertain(tx, [other], NINE)] == []


def test_a_live_sweep_on_the_other_clock_of_the_case_is_not_taken_for_dead(store: Store) -> None:
    """A case has two clocks, each its own item on the agenda: two sweeps may work on them at the same time."""
    with store.begin() as tx:
        case_id = add_case(tx)
        response, resolution = (
            intent(
                case_id,
                step=Step.WATCH_SLA,
                channel="notify",
                policy=Policy.AT_LEAST_ONCE,
                ordinal=ordinal_of(kind, 0, 2),
            )
            for kind in (ClockKind.FIRST_RESPONSE, ClockKind.RESOLUTION)
        )
        begin(tx, response, owner="alive")
        begin(tx, resolution, owner="dead")
        taken_over = claim_of(case_id, Step.WATCH_SLA, tickets.clock_ordinal(ClockKind.RESOLUTION, 0))
        (dead,) = ledger.mark_uncertain(tx, [taken_over], NINE + HOUR)
        assert dead.ordinal == resolution.ordinal
        settle(tx, response, ACCEPTED, owner="alive")
        assert [e.state for e in ledger.of_cases(tx, [case_id], [Step.WATCH_SLA])[case_id]] == [
            EffectState.ACCEPTED,
            EffectState.UNCERTAIN,
        ]


def test_effects_are_found_by_either_id(store: Store) -> None:
    with store.begin() as tx:
        sent, open_ = intent(add_case(tx)), intent(add_case(tx))
        begin(tx, sent, open_)
        settle(tx, sent, ACCEPTED)
        found = ledger.find(
            tx, provider_ids=["m-1", "m-9", ""], tracking_ids=[tracking_id(open_.key), "", "7"]
        )
    assert {id_: proof.case_id for id_, proof in found.items()} == {
        "m-1": sent.case_id,
        tracking_id(open_.key): open_.case_id,
    }
    assert found["m-1"].state is EffectState.ACCEPTED
    assert found[tracking_id(open_.key)].key == open_.key


def test_looking_for_nothing_finds_nothing(store: Store) -> None:
    with store.begin() as tx:
        begin(tx, intent(add_case(tx)))
        assert ledger.find(tx, provider_ids=[], tracking_ids=[]) == {}


@pytest.mark.parametrize("outcome", [None, UNKNOWN])
def test_the_vendors_proof_settles_an_unknown_fate(store: Store, outcome: Outcome | None) -> None:
    with store.begin() as tx:
        lost = intent(add_case(tx))
        begin(tx, lost)
        if outcome:
            settle(tx, lost, outcome)
        assert ledger.prove(tx, lost.key, "m-7", NINE + HOUR, "proved by the customer's answer")
        proved = row(tx)
    assert (proved.state, proved.provider_id, proved.settled_at) == ("accepted", "m-7", NINE + HOUR)


def test_a_proof_ends_the_waiting_after_a_busy_answer(store: Store) -> None:
    with store.begin() as tx:
        busy = intent(add_case(tx))
        begin(tx, busy)
        settle(tx, busy, BUSY)
        assert ledger.prove(tx, busy.key, "m-7", NINE + HOUR, "delivery webhook")
        assert (row(tx).state, row(tx).next_attempt_at) == ("accepted", None)
        assert begin(tx, busy, owner="other") == set()


@pytest.mark.parametrize("outcome", [ACCEPTED, REFUSED])
def test_a_known_fate_needs_no_proof(store: Store, outcome: Outcome) -> None:
    with store.begin() as tx:
        known = intent(add_case(tx))
        begin(tx, known)
        settle(tx, known, outcome)
        assert not ledger.prove(tx, known.key, "m-7", NINE + HOUR, "late webhook")
        assert row(tx).detail == ""


def test_a_proof_while_the_call_is_still_open_outlives_its_answer(store: Store) -> None:
    with store.begin() as tx:
        made = intent(add_case(tx))
        begin(tx, made)
        ledger.prove(tx, made.key, "m-7", NINE, "delivery webhook")
        settle(tx, made, UNKNOWN)
        assert row(tx).state == "accepted"


def test_effects_of_a_case_come_oldest_first_and_only_of_the_steps_asked_for(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        for channel, step in (("zns", Step.SURVEY), ("email", Step.SURVEY), ("zns", Step.REMIND)):
            begin(tx, intent(case_id, channel=channel, step=step))
        found = ledger.of_cases(tx, [case_id], [Step.SURVEY])[case_id]
    assert [effect.channel for effect in found] == ["zns", "email"]


answers = st.sampled_from(OutcomeClass).map(Outcome)


@given(st.sampled_from(Policy), st.lists(st.tuples(st.sampled_from(["one", "two"]), answers), max_size=8))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_calls_end_nothing_is_sent_after_it_may_have_arrived(
    store: Store, policy: Policy, tries: list[tuple[str, Outcome]]
) -> None:
    wipe(store)
    sent: list[EffectState] = []
    with store.begin() as tx:
        wanted = intent(add_case(tx), policy=policy)
        for owner, outcome in tries:
            if begin(tx, wanted, owner=owner):
                settle(tx, wanted, outcome, owner, attempts=len(sent) + 1)
                sent.append(state_after(outcome))
    repeatable = {EffectState.WAITING} | (
        {EffectState.UNCERTAIN} if policy is Policy.AT_LEAST_ONCE else set()
    )
    assert all(state in repeatable for state in sent[:-1])
    if len(sent) < len(tries):
        assert sent[-1] not in repeatable
