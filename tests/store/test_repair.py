"""What an operator does to an effect: only what its state allows, once, with everything that hangs on it."""

from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import EffectState, Policy, Step
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.ratings import Scale
from amends.domain.sla import ClockKind, ordinal_of
from amends.store import (
    agenda,
    cases,
    ledger,
    operator_log,
    repair,
    reports,
    surveys,
    tickets,
    timeline,
    vouchers,
)
from amends.store.agenda import Item
from amends.store.engine import Store, Tx
from amends.store.repair import By, RepairProblem
from amends.store.schema import agenda as agenda_table
from amends.store.schema import customers, effects
from amends.store.schema import surveys as surveys_table
from amends.store.schema import vouchers as vouchers_table
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.store.rows import (
    ACCEPTED,
    BUSY,
    REFUSED,
    UNKNOWN,
    add_case,
    add_ticket,
    at_once,
    intent,
    open_items,
    strike_off,
)

BY = By("hoa", "asked the vendor", NINE + HOUR)
CANCELLED = "cancelled"
ENDINGS: dict[str, Outcome] = {
    "accepted": ACCEPTED,
    "refused": REFUSED,
    "waiting": BUSY,
    "uncertain": UNKNOWN,
    CANCELLED: BUSY,
}


def add_effect(
    tx: Tx, case_id: int, outcome: Outcome | None, step: Step = Step.ACKNOWLEDGE, **changes: Any
) -> int:
    """An effect with its answer, or still on its way for None; returns its id."""
    made = intent(case_id, step=step, **changes)
    ledger.begin(tx, [made], owner="one", now=NINE, lease_until=NINE + HOUR)
    if outcome is not None:
        ledger.settle(tx, [(made, outcome)], owner="one", attempts={made.key: 1}, now=NINE)
    return int(tx.execute(sa.select(effects.c.id).where(effects.c.key == made.key)).scalar_one())


def add_item(tx: Tx, case_id: int, step: Step, ordinal: int = 0, *, finished: str | None = None) -> None:
    """An item of the agenda, due tomorrow or finished with a result."""
    agenda.plan(tx, [Item(case_id, "complaint", step, ordinal, NINE + 24 * HOUR)])
    if finished:
        strike_off(tx, case_id, step, finished)


def add_apology(tx: Tx, state: str) -> tuple[int, int]:
    """A case whose apology has come to this; returns the ids of case and effect."""
    case_id = add_case(tx)
    over = state not in ("waiting", "sending")
    add_item(tx, case_id, Step.ACKNOWLEDGE, finished=state if over else None)
    effect_id = add_effect(tx, case_id, ENDINGS.get(state))
    if state == CANCELLED:
        repair.cancel(tx, effect_id, BY)
    return case_id, effect_id


def row(tx: Tx, effect_id: int) -> Any:
    return tx.execute(sa.select(effects).where(effects.c.id == effect_id)).one()


def story(tx: Tx, case_id: int) -> list[tuple[str, str, str]]:
    return [(line.event, line.actor, line.detail) for line in timeline.of_case(tx, case_id)]


def spent(tx: Tx) -> tuple[int, int]:
    return reports.spent(tx, "complaint")


# --- What may be done in which state -----------------------------------------------------------

DEEDS = {"sent": repair.settle_sent, "not_sent": repair.settle_not_sent, "retry": repair.retry}
DEEDS["cancel"] = repair.cancel
ALLOWED = {
    "sending": set(),
    "accepted": set(),
    "uncertain": {"sent", "not_sent"},
    "refused": {"retry"},
    "waiting": {"retry", "cancel"},
    CANCELLED: {"retry"},
}


@pytest.mark.parametrize("state", ALLOWED)
def test_only_what_the_state_allows_is_done_and_the_rest_says_what_to_do(store: Store, state: str) -> None:
    for name, deed in DEEDS.items():
        with store.begin() as tx:
            case_id, effect_id = add_apology(tx, state)
            told_before = story(tx, case_id)
        if name in ALLOWED[state]:
            with store.begin() as tx:
                done = deed(tx, effect_id, BY)
                assert row(tx, effect_id).state == done.after
                assert done.follows
                assert len(story(tx, case_id)) == len(told_before) + 1
                assert operator_log.of_subject(tx, f"effect {effect_id}")[-1].actor == "hoa"
        else:
            with store.begin() as tx, pytest.raises(RepairProblem, match=f"effect {effect_id} is {state}"):
                deed(tx, effect_id, BY)
            with store.read() as tx:
                assert (row(tx, effect_id).state, story(tx, case_id)) == (state, told_before)


def test_an_effect_that_is_not_there(store: Store) -> None:
    with store.begin() as tx, pytest.raises(RepairProblem, match="there is no effect 77"):
        repair.retry(tx, 77, BY)


def test_of_two_operators_at_once_one_settles_and_the_other_is_told(store: Store) -> None:
    with store.begin() as tx:
        _, effect_id = add_apology(tx, "uncertain")

    def settle(deed: Any) -> str:
        try:
            with store.begin() as tx:
                return str(deed(tx, effect_id, BY).after)
        except RepairProblem as problem:
            return str(problem)

    told = at_once([lambda: settle(repair.settle_sent), lambda: settle(repair.settle_not_sent)])
    (loser,) = [one for one in told if one.startswith("effect")]
    (winner,) = [one for one in told if one != loser]
    assert f"is {winner} " in loser
    with store.read() as tx:
        assert row(tx, effect_id).state == winner


def test_what_changed_between_reading_and_writing_is_not_overwritten(postgres: Store) -> None:
    """A webhook proves the message while the operator's transaction, which has read it, waits."""
    with postgres.begin() as tx:
        _, effect_id = add_apology(tx, "uncertain")
        key = row(tx, effect_id).key
    with postgres.begin() as tx:
        stale = row(tx, effect_id)
        with postgres.begin() as other:
            ledger.prove(other, key, "m-9", NINE, "delivery webhook")
        with pytest.raises(RepairProblem, match="has changed meanwhile: it is accepted now"):
            repair._change(tx, stale, EffectState.REFUSED)


# --- Settling ----------------------------------------------------------------------------------


def test_settled_as_sent_it_is_accepted_with_who_and_why(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, "uncertain")
        repair.settle_sent(tx, effect_id, BY, provider_id="m-7")
        written = row(tx, effect_id)
        assert (written.state, written.outcome_class, written.provider_id) == ("accepted", "accepted", "m-7")
        assert written.detail == "it arrived, says hoa: asked the vendor"
        assert written.settled_at == BY.at
        assert story(tx, case_id) == [("acknowledge.settled_sent", "hoa", "zns: asked the vendor")]
        assert (
            operator_log.of_subject(tx, f"effect {effect_id}")[0].detail == "was uncertain: asked the vendor"
        )


def test_settled_as_sent_it_counts_against_the_cap_and_keeps_the_id_it_had(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        customer = cases.load(tx, [case_id], messages_since=NINE)[case_id].customer.id
        lost = Outcome(OutcomeClass.UNCERTAIN, provider_id="m-1")
        effect_id = add_effect(tx, case_id, lost, customer_id=customer)
        repair.settle_sent(tx, effect_id, BY)
        assert row(tx, effect_id).provider_id == "m-1"
        assert cases.load(tx, [case_id], messages_since=NINE)[case_id].customer.recent_messages == 1


def test_phone_numbers_do_not_get_into_the_reasons(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, "uncertain")
        repair.settle_sent(tx, effect_id, By("hoa", "called 0912345678", NINE))
        written = [row(tx, effect_id).detail, *(str(line) for line in story(tx, case_id))]
        written += [deed.detail for deed in operator_log.of_subject(tx, f"effect {effect_id}")]
    assert len(written) == 3
    assert all("84912***678" in text and "345678" not in text for text in written)


def test_settled_as_not_sent_it_is_refused_and_nothing_is_due(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, "uncertain")
        done = repair.settle_not_sent(tx, effect_id, BY)
        written = row(tx, effect_id)
        assert (written.state, written.code, written.settled_at) == ("refused", "not_sent", BY.at)
        assert open_items(tx, case_id) == {}
    assert done.follows == ("nothing more is sent, unless you retry it",)


def test_staff_that_was_surely_not_told_is_told_by_the_next_sweep(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        told = {"channel": "notify", "policy": Policy.AT_LEAST_ONCE}
        effect_id = add_effect(tx, case_id, UNKNOWN, Step.NOTIFY_AGENT, **told)
        done = repair.settle_not_sent(tx, effect_id, BY)
        assert (done.after, row(tx, effect_id).next_attempt_at) == (EffectState.WAITING, BY.at)
        assert open_items(tx, case_id)["notify_agent", 0] == BY.at


def test_staff_of_a_step_that_is_over_is_not_told_any_more(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        strike_off(tx, case_id, Step.NOTIFY_AGENT, "skipped")
        effect_id = add_effect(
            tx, case_id, UNKNOWN, Step.NOTIFY_AGENT, channel="notify", policy=Policy.AT_LEAST_ONCE
        )
        assert repair.settle_not_sent(tx, effect_id, BY).after is EffectState.REFUSED


# --- Vouchers ----------------------------------------------------------------------------------


def add_reward(
    tx: Tx, outcome: Outcome, voucher: str = "issued", journey: ComplaintJourney = JOURNEY
) -> tuple[int, int]:
    """A closed case whose voucher message has come to this; returns the ids of case and effect."""
    case_id, ticket_id = add_ticket(tx, journey)
    tickets.solve(tx, ticket_id, "lan", "late", NINE)
    cases.set_outcomes(tx, [cases.Ending(case_id, CaseOutcome.SATISFIED, "5 of 5")])
    add_item(tx, case_id, Step.REWARD, finished=voucher)
    vouchers.reserve(tx, journey.name, journey.reward, [case_id], NINE)
    if voucher == "issued":
        vouchers.issued(tx, [case_id])
    if voucher == CANCELLED:
        vouchers.cancel(tx, [case_id])
    cases.close(tx, [case_id], NINE)
    return case_id, add_effect(tx, case_id, outcome, Step.REWARD)


def voucher_of(tx: Tx, case_id: int) -> Any:
    return tx.execute(sa.select(vouchers_table).where(vouchers_table.c.case_id == case_id)).one()


@pytest.mark.parametrize("voucher", ["issued", "reserved"])
def test_a_voucher_that_never_arrived_goes_back_to_the_budget(store: Store, voucher: str) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, UNKNOWN, voucher)
        done = repair.settle_not_sent(tx, effect_id, BY)
        assert voucher_of(tx, case_id).state == "cancelled"
        assert spent(tx) == (0, 0)
    assert "the voucher is cancelled and its value is back in the budget" in done.follows


def test_a_voucher_that_arrived_stays_given(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, UNKNOWN, "reserved")
        repair.settle_sent(tx, effect_id, BY)
        assert voucher_of(tx, case_id).state == "issued"
        assert spent(tx) == (1, 50_000)


def test_a_retried_voucher_keeps_its_code_and_is_paid_for_again(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, UNKNOWN)
        code = voucher_of(tx, case_id).code
        repair.settle_not_sent(tx, effect_id, BY)
        done = repair.retry(tx, effect_id, BY)
        again = voucher_of(tx, case_id)
        assert (again.code, again.state, again.reserved_at) == (code, "reserved", BY.at)
        assert spent(tx) == (1, 50_000)
        assert open_items(tx, case_id)["reward", 0] == BY.at
    assert done.follows == (
        "the next sweep sends it by zns",
        "the voucher is reserved again, with the code it had",
    )


def test_a_voucher_beyond_the_budget_is_not_retried(store: Store) -> None:
    poor = changed(reward__budget={"count": 1, "vnd": 50_000})
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, REFUSED, CANCELLED, poor)
        add_reward(tx, ACCEPTED, "issued", poor)
    with store.begin() as tx, pytest.raises(RepairProblem, match="the budget of 1 vouchers or 50,000 VND"):
        repair.retry(tx, effect_id, BY)
    with store.read() as tx:
        assert (row(tx, effect_id).state, voucher_of(tx, case_id).state) == ("refused", "cancelled")
        assert spent(tx) == (1, 50_000)


def test_the_voucher_of_a_later_cycle_is_retried_where_it_was_earned(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, REFUSED, CANCELLED)
        add_item(tx, case_id, Step.REWARD, 1, finished="unreachable")
        repair.retry(tx, effect_id, BY)
        assert open_items(tx, case_id) == {**open_items(tx, case_id), ("reward", 1): BY.at}
        assert ("reward", 0) not in open_items(tx, case_id)


def test_a_cancelled_voucher_message_gives_the_money_back_at_once(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, BUSY, "reserved")
        repair.cancel(tx, effect_id, BY)
        assert voucher_of(tx, case_id).state == "cancelled"
        assert spent(tx) == (0, 0)


def test_a_proof_that_comes_later_beats_the_operators_word(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_reward(tx, UNKNOWN)
        repair.settle_not_sent(tx, effect_id, BY)
        key = row(tx, effect_id).key
        assert ledger.prove(tx, key, "m-9", NINE + 2 * HOUR, "delivery webhook")
        assert (row(tx, effect_id).state, voucher_of(tx, case_id).state) == ("accepted", "issued")
        assert spent(tx) == (1, 50_000)
        with pytest.raises(RepairProblem, match="is accepted and cannot be retried"):
            repair.retry(tx, effect_id, BY)
        assert not ledger.prove(tx, key, "m-9", NINE, "the same webhook")
        assert spent(tx) == (1, 50_000)


# --- Surveys -----------------------------------------------------------------------------------


def add_survey(tx: Tx, outcome: Outcome, *, concluded: bool = False) -> tuple[int, int]:
    case_id, ticket_id = add_ticket(tx)
    tickets.solve(tx, ticket_id, "lan", "late", NINE)
    strike_off(tx, case_id, Step.SURVEY, "uncertain")
    surveys.asked(tx, [(case_id, 0)], NINE)
    add_item(tx, case_id, Step.CONCLUDE, finished="silent" if concluded else None)
    return case_id, add_effect(tx, case_id, outcome, Step.SURVEY)


def survey_of(tx: Tx, case_id: int) -> Any:
    return tx.execute(sa.select(surveys_table).where(surveys_table.c.case_id == case_id)).one()


def test_nobody_waits_for_the_answer_to_a_survey_that_never_arrived(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_survey(tx, UNKNOWN)
        repair.settle_not_sent(tx, effect_id, BY)
        assert open_items(tx, case_id)["conclude", 0] == BY.at
        assert survey_of(tx, case_id).skipped == "unreachable"


def test_an_outcome_that_is_reached_stays(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_survey(tx, UNKNOWN, concluded=True)
        done = repair.settle_not_sent(tx, effect_id, BY)
        assert survey_of(tx, case_id).skipped is None
    assert done.follows[0] == "the case has its outcome already, which stays"
    with store.begin() as tx, pytest.raises(RepairProblem, match="the case has its outcome"):
        repair.retry(tx, effect_id, BY)


def test_a_survey_that_is_asked_again_is_waited_for_from_then_on(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_survey(tx, UNKNOWN)
        repair.settle_not_sent(tx, effect_id, BY)
        repair.retry(tx, effect_id, BY)
        assert open_items(tx, case_id)["survey", 0] == BY.at
        assert ("conclude", 0) not in open_items(tx, case_id), "else the case would end before it is asked"
        survey = survey_of(tx, case_id)
        assert (survey.asked_at, survey.skipped, survey.reason) == (None, None, "")


def test_an_answer_that_comes_all_the_same_counts(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_survey(tx, UNKNOWN)
        repair.settle_not_sent(tx, effect_id, BY)
        answer = surveys.Answer(case_id, 0, 5, Scale.FIVE_STARS, True, "", NINE, "5 of 5")
        assert surveys.answered(tx, [answer]) == [answer]
        assert ledger.prove(tx, row(tx, effect_id).key, "m-9", NINE, "the customer's answer")


# --- Trying again ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["refused", CANCELLED, "waiting"])
def test_what_is_retried_is_due_now_and_nobodys(store: Store, state: str) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, state)
        leased = {"lease_owner": "dead", "lease_until": NINE + 9 * HOUR}
        tx.execute(agenda_table.update().values(**leased))
        key = row(tx, effect_id).key
        repair.retry(tx, effect_id, BY)
        written = row(tx, effect_id)
        assert (written.state, written.key, written.next_attempt_at) == ("waiting", key, BY.at)
        assert (written.code, written.outcome_class, written.settled_at) == (None, None, None)
        (claim,) = agenda.claim(
            tx, "complaint", Step.ACKNOWLEDGE, now=BY.at, owner="two", lease_until=NINE + 9 * HOUR, limit=9
        )
        assert claim.case_id == case_id
        again = intent(case_id)
        assert ledger.begin(tx, [again], owner="two", now=BY.at, lease_until=NINE) == {key}
        assert row(tx, effect_id).attempts == 2


def test_an_item_that_is_gone_is_planned_anew(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        effect_id = add_effect(tx, case_id, REFUSED)
        repair.retry(tx, effect_id, BY)
        assert open_items(tx, case_id) == {("acknowledge", 0): BY.at}


def test_what_would_not_be_sent_is_not_put_back_and_nothing_is_changed(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, "refused")
        tx.execute(customers.update().values(opted_out_at=NINE))
    with (
        store.begin() as tx,
        pytest.raises(RepairProblem, match="would not be sent: the customer has opted out"),
    ):
        repair.retry(tx, effect_id, BY)
    with store.read() as tx:
        assert (row(tx, effect_id).state, open_items(tx, case_id)) == ("refused", {})


def test_a_message_of_a_closed_case_is_not_retried(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, "refused")
        cases.close(tx, [case_id], NINE)
    with store.begin() as tx, pytest.raises(RepairProblem, match="the case is closed"):
        repair.retry(tx, effect_id, BY)


def test_at_night_the_operator_hears_when_it_goes_out(store: Store) -> None:
    with store.begin() as tx:
        _, effect_id = add_apology(tx, "refused")
        done = repair.retry(tx, effect_id, By("hoa", "asked", NINE + 13 * HOUR))
    assert done.follows == ("it is sent by zns at 03/11/2026 08:00 (quiet hours)",)


def test_an_escalation_is_retried_by_its_own_clock(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        for kind in ClockKind:
            ordinal = tickets.clock_ordinal(kind, 0)
            tx.execute(agenda_table.update().where(agenda_table.c.ordinal == ordinal).values(due_at=None))
        told = {"channel": "notify", "policy": Policy.AT_LEAST_ONCE}
        level = ordinal_of(ClockKind.FIRST_RESPONSE, 0, 1)
        effect_id = add_effect(tx, case_id, REFUSED, Step.WATCH_SLA, ordinal=level, **told)
        done = repair.retry(tx, effect_id, BY)
        open_now = open_items(tx, case_id)
        assert open_now["watch_sla", tickets.clock_ordinal(ClockKind.FIRST_RESPONSE, 0)] == BY.at
        assert ("watch_sla", tickets.clock_ordinal(ClockKind.RESOLUTION, 0)) not in open_now
    assert done.follows == ("the next sweep sends it by notify",)


# --- Calling off -------------------------------------------------------------------------------


def test_what_is_cancelled_is_never_sent_and_its_step_is_woken_to_end(store: Store) -> None:
    with store.begin() as tx:
        case_id, effect_id = add_apology(tx, "waiting")
        done = repair.cancel(tx, effect_id, BY)
        assert open_items(tx, case_id) == {("acknowledge", 0): BY.at}
        assert ledger.begin(tx, [intent(case_id)], owner="two", now=NINE, lease_until=NINE) == set()
        assert row(tx, effect_id).next_attempt_at is None
    assert done.follows[-1] == "the next sweep ends its step"


def test_an_effect_whose_step_is_over_can_be_cancelled(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        done = repair.cancel(tx, add_effect(tx, case_id, BUSY), BY)
    assert done.follows[-1] == "its step was over already"
