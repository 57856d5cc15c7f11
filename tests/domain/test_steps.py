"""The decision of each step: agents told at least once, each SLA level once, surveys and vouchers with a holdout."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain import steps
from amends.domain.case import Case, in_holdout
from amends.domain.decision import Decision, Finish, Postpone, Send
from amends.domain.effects import Effect, EffectState, Policy, Step
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.sla import ClockKind, ClockTarget, SlaClock, ordinal_of, start_clock
from tests.domain.examples import (
    HOUR,
    JOURNEY,
    NINE,
    asked,
    case,
    changed,
    effect,
    lan,
    solved,
    ticket,
    unreachable,
)

MINUTE = timedelta(minutes=1)


def told(ordinal: int, state: EffectState = EffectState.ACCEPTED, **changes: Any) -> Effect:
    return effect("notify", state, ordinal=ordinal, **changes)


# --- Apology ----------------------------------------------------------------------------------


def test_the_apology_is_given_up_after_three_days() -> None:
    assert isinstance(steps.acknowledge(case(), [], JOURNEY, NINE + 72 * HOUR), Send)
    late = steps.acknowledge(case(), [], JOURNEY, NINE + 73 * HOUR)
    assert late == Finish("suppressed", "too late: more than 72 hours have passed")


# --- Telling the agent ------------------------------------------------------------------------


def test_the_assignee_is_told_what_it_is_about() -> None:
    send = steps.notify_agent(case(ticket=ticket()), 0, [], JOURNEY, NINE)
    assert isinstance(send, Send)
    assert (send.channel, send.contact) == ("notify", "lan")
    assert send.subject == "[AM000007] urgent ticket"
    assert send.body == "Giao thiếu hàng."


def test_a_reopened_ticket_is_announced_as_such() -> None:
    send = steps.notify_agent(case(ticket=ticket(cycle=1)), 1, [], JOURNEY, NINE)
    assert isinstance(send, Send)
    assert send.subject == "[AM000007] urgent ticket (reopened 1x)"
    assert send.ordinal == 1


def test_an_agent_is_rather_told_twice_than_never() -> None:
    send = steps.notify_agent(case(ticket=ticket()), 0, [told(0, EffectState.UNCERTAIN)], JOURNEY, NINE)
    assert isinstance(send, Send)
    assert send.policy is Policy.AT_LEAST_ONCE


def test_agents_are_told_at_night_too() -> None:
    assert isinstance(steps.notify_agent(case(ticket=ticket()), 0, [], JOURNEY, NINE + 15 * HOUR), Send)


@pytest.mark.parametrize(
    ("effects", "result"),
    [
        ([told(0)], Finish("sent", "lan was told")),
        ([told(0, EffectState.REFUSED, code="404")], Finish("refused", "lan could not be told (code 404)")),
        ([told(0, EffectState.CANCELLED)], Finish("cancelled", "the message to lan was cancelled")),
    ],
)
def test_a_settled_notification_is_over(effects: list[Effect], result: Finish) -> None:
    assert steps.notify_agent(case(ticket=ticket()), 0, effects, JOURNEY, NINE) == result


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (case(), "the ticket has no assignee"),
        (case(ticket=ticket(assignee=None)), "the ticket has no assignee"),
        (case(ticket=ticket(cycle=1)), "the ticket has moved on"),
        (case(ticket=solved()), "the ticket has moved on"),
        (case(ticket=ticket(assignee="hoa")), "agent hoa is not in this version of the journey"),
    ],
)
def test_nobody_is_told_about_a_ticket_that_needs_nobody(of: Case, reason: str) -> None:
    assert steps.notify_agent(of, 0, [], JOURNEY, NINE) == Finish("skipped", reason)


# --- Service levels ---------------------------------------------------------------------------

# An urgent ticket of nine o'clock: first response due at 09:30, warned at 09:22:30; the shift lead hears of a
# miss at 09:30, the care manager four hours later.
TARGET = ClockTarget(30)
CLOCK = start_clock(ClockKind.FIRST_RESPONSE, 0, NINE, TARGET, JOURNEY.sla.warn_share, JOURNEY.calendar)
WARNED_AT, DUE_AT, LAST_RUNG_AT = NINE + 22.5 * MINUTE, NINE + 30 * MINUTE, NINE + 4.5 * HOUR


def watch(
    now: datetime,
    effects: Sequence[Effect] = (),
    clock: SlaClock = CLOCK,
    journey: ComplaintJourney = JOURNEY,
    **changes: Any,
) -> Decision:
    return steps.watch_sla(case(ticket=ticket(**changes)), clock, effects, journey, now)


def raised(decision: Decision) -> tuple[int, str | None]:
    """Level and contact of what is sent now."""
    assert isinstance(decision, Send), decision
    return decision.ordinal % 10, decision.contact


def level(level: int, state: EffectState = EffectState.ACCEPTED) -> Effect:
    return told(ordinal_of(CLOCK.kind, CLOCK.cycle, level), state, step=Step.WATCH_SLA)


def met(at: datetime) -> SlaClock:
    return SlaClock(CLOCK.kind, 0, CLOCK.started_at, CLOCK.warn_at, CLOCK.due_at, at)


def test_before_the_warning_there_is_nothing_to_do() -> None:
    assert watch(NINE) == Postpone(WARNED_AT, "on track", routine=True)


def test_the_agent_is_warned_before_the_target_is_missed() -> None:
    decision = watch(WARNED_AT)
    assert raised(decision) == (0, "lan")
    assert isinstance(decision, Send)
    assert decision.subject == "[AM000007] first response at risk"
    assert "ends at 02/11/2026 09:30." in decision.body


def test_after_the_warning_the_next_look_is_when_the_target_ends() -> None:
    assert watch(WARNED_AT, [level(0)]) == Postpone(DUE_AT, "on track", routine=True)


def test_a_miss_is_told_to_the_first_rung() -> None:
    decision = watch(DUE_AT, [level(0)])
    assert raised(decision) == (1, "shift_lead")
    assert isinstance(decision, Send)
    assert decision.subject == "[AM000007] first response missed, level 1"


def test_the_next_rung_waits_its_business_minutes() -> None:
    assert watch(DUE_AT, [level(0), level(1)]) == Postpone(LAST_RUNG_AT, "on track", routine=True)


def test_a_sweep_that_comes_late_tells_every_rung_in_order() -> None:
    """The warning is past saving; both rungs are still told, the lower one first."""
    late = LAST_RUNG_AT + HOUR
    assert raised(watch(late)) == (1, "shift_lead")
    assert raised(watch(late, [level(1)])) == (2, "care_manager")
    assert watch(late, [level(1), level(2)]) == Finish("watched", "the ladder has been climbed")


@pytest.mark.parametrize("state", [EffectState.REFUSED, EffectState.CANCELLED])
def test_a_rung_that_cannot_be_told_does_not_block_the_next(state: EffectState) -> None:
    assert raised(watch(LAST_RUNG_AT, [level(0), level(1, state)])) == (2, "care_manager")


@pytest.mark.parametrize("state", [EffectState.UNCERTAIN, EffectState.WAITING])
def test_a_level_whose_fate_is_open_is_told_again(state: EffectState) -> None:
    assert raised(watch(DUE_AT, [level(0), level(1, state)])) == (1, "shift_lead")


def test_a_clock_met_in_time_is_watched_no_more() -> None:
    assert watch(LAST_RUNG_AT, clock=met(NINE + MINUTE)) == Finish("watched", "the clock has stopped")


def test_a_clock_met_late_still_tells_the_rungs_that_fell_due_before() -> None:
    late = met(DUE_AT + HOUR)
    assert raised(watch(LAST_RUNG_AT, clock=late)) == (1, "shift_lead")
    assert watch(LAST_RUNG_AT, [level(1)], late) == Finish("watched", "the clock has stopped")


def test_levels_of_other_clocks_do_not_count() -> None:
    others = [told(ordinal_of(kind, cycle, 1)) for kind in ClockKind for cycle in (0, 1)]
    assert raised(watch(DUE_AT, [o for o in others if o.ordinal != ordinal_of(CLOCK.kind, 0, 1)])) == (
        1,
        "shift_lead",
    )


def test_without_the_agent_the_warning_goes_to_the_first_rung() -> None:
    assert raised(watch(WARNED_AT, assignee="hoa")) == (0, "shift_lead")


def test_with_nobody_to_warn_the_watch_ends_and_says_so() -> None:
    decision = watch(WARNED_AT, journey=changed(sla__ladder=[]), assignee="hoa")
    assert decision == Finish("skipped", "nobody to warn: the agent has left and there is no ladder")


def test_the_resolution_target_is_called_by_its_name() -> None:
    clock = start_clock(ClockKind.RESOLUTION, 0, NINE, TARGET, 0.75, JOURNEY.calendar)
    decision = watch(DUE_AT, clock=clock)
    assert isinstance(decision, Send)
    assert decision.subject == "[AM000007] resolution missed, level 1"


delays = st.lists(st.integers(0, 600), max_size=9).map(sorted)
looks = st.lists(st.integers(0, 24 * 60), min_size=1, max_size=12).map(sorted)


@given(delays, looks)
def test_however_often_we_look_each_level_is_told_once_and_in_order(
    ladder: list[int], minutes: list[int]
) -> None:
    journey = changed(sla__ladder=[{"contact": "shift_lead", "after_minutes": after} for after in ladder])
    effects: list[Effect] = []
    for now in (NINE + at * MINUTE for at in minutes):
        while isinstance(decision := watch(now, effects, journey=journey), Send):
            effects.append(told(decision.ordinal))
    levels = [done.ordinal % 10 for done in effects]
    assert levels == sorted(set(levels))
    due = [rung for rung, after in enumerate(ladder, 1) if JOURNEY.calendar.add_minutes(DUE_AT, after) <= now]
    assert [rung for rung in levels if rung] == due


# --- Survey and reminder ----------------------------------------------------------------------

DONE = case(ticket=solved())


def test_the_survey_is_asked_once_the_ticket_is_solved() -> None:
    send = steps.survey(DONE, 0, [], JOURNEY, NINE)
    assert isinstance(send, Send)
    assert send.template_id == "320001"


@pytest.mark.parametrize(
    "of",
    [case(), case(ticket=ticket()), case(ticket=solved(cycle=1))],
    ids=["no ticket", "open", "next cycle"],
)
def test_no_survey_about_a_ticket_that_is_not_solved(of: Case) -> None:
    assert steps.survey(of, 0, [], JOURNEY, NINE) == Finish("skipped", "the ticket has been reopened")


def test_a_journey_may_do_without_surveys() -> None:
    decision = steps.survey(DONE, 0, [], changed(survey__enabled=False), NINE)
    assert decision == Finish("suppressed", "this journey sends no surveys")


def test_the_survey_is_given_up_a_week_after_the_ticket_was_solved() -> None:
    assert isinstance(steps.survey(DONE, 0, [], JOURNEY, NINE + timedelta(days=7)), Send)
    assert isinstance(steps.survey(DONE, 0, [], JOURNEY, NINE + timedelta(days=7, hours=1)), Finish)


def test_the_holdout_gets_no_survey_and_the_same_cases_every_time() -> None:
    journey = changed(survey__holdout_percent=20)
    held = [id_ for id_ in range(1, 2001) if _is_held_out(steps.survey(_numbered(id_), 0, [], journey, NINE))]
    assert held == [id_ for id_ in range(1, 2001) if in_holdout("complaint", "survey", id_, 20)]
    assert len(held) == pytest.approx(400, rel=0.15)


def _numbered(case_id: int) -> Case:
    return case(id=case_id, ticket=solved())


def _is_held_out(decision: Decision) -> bool:
    return decision == Finish("suppressed", "holdout of 20 %")


def test_the_reminder_asks_the_same_question_again() -> None:
    send = steps.remind(case(ticket=solved(), survey=asked()), 0, [], JOURNEY, NINE + 48 * HOUR)
    assert isinstance(send, Send)
    assert send.template_id == "320001"


@pytest.mark.parametrize(
    ("of", "after", "reason"),
    [
        (case(ticket=solved(), survey=asked(answered_at=NINE)), 48, "the survey is answered"),
        (case(ticket=solved(), survey=asked(asked_at=None)), 48, "the survey is answered"),
        (case(ticket=solved()), 48, "the survey is answered"),
        (case(ticket=solved(), survey=asked()), 96, "the answer window is over"),
        (case(ticket=solved(cycle=1), survey=asked()), 48, "the ticket has been reopened"),
        (case(ticket=ticket(), survey=asked()), 48, "the ticket has been reopened"),
    ],
)
def test_nobody_is_reminded_in_vain(of: Case, after: int, reason: str) -> None:
    result = "answered" if reason.endswith("answered") else "skipped"
    assert steps.remind(of, 0, [], JOURNEY, NINE + after * HOUR) == Finish(result, reason)


# --- Voucher ----------------------------------------------------------------------------------

VOUCHER = {"voucher_code": "NANG23456789AB", "voucher_value": "50.000đ", "voucher_expires": "02/12/2026"}


def test_the_voucher_is_sent_with_its_code() -> None:
    send = steps.reward(DONE, [], JOURNEY, NINE, VOUCHER)
    assert isinstance(send, Send)
    assert send.params["voucher_code"] == "NANG23456789AB"
    assert send.ordinal == 0


def test_a_case_gets_one_voucher_message_however_often_it_was_reopened() -> None:
    reopened = case(ticket=solved(cycle=1))
    decision = steps.reward(reopened, [effect("zns", EffectState.ACCEPTED)], JOURNEY, NINE, VOUCHER)
    assert decision == Finish("sent", "accepted by zns")


def test_a_voucher_without_a_mail_text_cannot_fall_back_to_mail() -> None:
    decision = steps.reward(DONE, [unreachable("zns")], JOURNEY, NINE, VOUCHER)
    assert decision == Finish("unreachable", "zns: code -118; email: no address or no text")


@pytest.mark.parametrize("outcome", CaseOutcome)
def test_vouchers_are_for_the_outcomes_the_marketer_chose(outcome: CaseOutcome) -> None:
    refusal = steps.earns_voucher(case(outcome=outcome), JOURNEY)
    if outcome in (CaseOutcome.SATISFIED, CaseOutcome.SILENT):
        assert refusal is None
    else:
        assert refusal == Finish("skipped", f"no voucher for the outcome {outcome}")


def test_a_journey_may_do_without_vouchers() -> None:
    refusal = steps.earns_voucher(case(outcome=CaseOutcome.SATISFIED), changed(reward__enabled=False))
    assert refusal == Finish("suppressed", "this journey gives no vouchers")


def test_the_holdout_gets_no_voucher() -> None:
    journey = changed(reward__holdout_percent=30)
    refused = {
        id_: steps.earns_voucher(case(id=id_, outcome=CaseOutcome.SATISFIED), journey)
        for id_ in range(1, 500)
    }
    held = [id_ for id_, refusal in refused.items() if refusal == Finish("suppressed", "holdout of 30 %")]
    assert held == [id_ for id_ in range(1, 500) if in_holdout("complaint", "reward", id_, 30)]
    assert {refusal for refusal in refused.values() if refusal is None} == {None}


def test_a_voucher_goes_out_after_the_end_of_the_case_too() -> None:
    """Closing follows the reward: a voucher that is put back finds its case closed."""
    closed = case(ticket=solved(), outcome=CaseOutcome.SATISFIED, closed_at=NINE)
    assert isinstance(steps.reward(closed, [], JOURNEY, NINE, VOUCHER), Send)


def test_an_opted_out_customer_gets_no_voucher_message() -> None:
    quiet = case(ticket=solved(), customer=lan(opted_out_at=NINE))
    assert steps.reward(quiet, [], JOURNEY, NINE, VOUCHER) == Finish(
        "suppressed", "the customer has opted out"
    )
