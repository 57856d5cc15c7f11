"""Putting an effect back: what its step would do with it now, and why it would come to nothing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amends.domain.another_try import another_try
from amends.domain.case import Case
from amends.domain.decision import Postpone, Send
from amends.domain.effects import Effect, EffectState, Step
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.outcome import OutcomeClass
from amends.domain.sla import ClockKind, ClockTarget, SlaClock, ordinal_of, start_clock
from tests.domain.examples import HOUR, JOURNEY, NINE, asked, case, effect, lan, solved, ticket, unreachable

S = EffectState
CLOCK = start_clock(ClockKind.FIRST_RESPONSE, 0, NINE, ClockTarget(30), 0.75, JOURNEY.calendar)
DONE = case(ticket=solved(), outcome=CaseOutcome.SATISFIED)


def put_back(
    wanted: Effect, *others: Effect, of: Case | None = None, clock: SlaClock | None = None, after: float = 0
) -> Send | Postpone | str:
    return another_try(wanted, [*others, wanted], of or case(), clock, JOURNEY, NINE + after * HOUR)


def channel_of(coming: Send | Postpone | str) -> str:
    assert isinstance(coming, Send), coming
    return coming.channel


@pytest.mark.parametrize("code", ["-118", "not_sent"])
@pytest.mark.parametrize("cls", [OutcomeClass.UNREACHABLE, OutcomeClass.PAYLOAD_REFUSED])
def test_a_refused_message_is_sent_on_the_channel_that_refused_it(code: str, cls: OutcomeClass) -> None:
    assert channel_of(put_back(effect("zns", S.REFUSED, code=code, outcome_class=cls))) == "zns"


def test_a_mail_is_put_back_as_a_mail() -> None:
    assert channel_of(put_back(effect("email", S.CANCELLED), unreachable("zns"))) == "email"
    assert channel_of(put_back(effect("email", S.REFUSED))) == "email"


def test_an_earlier_channel_is_put_back_when_the_later_one_was_refused_too() -> None:
    assert channel_of(put_back(unreachable("zns"), effect("email", S.REFUSED))) == "zns"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (S.ACCEPTED, "the customer has this message already, by email"),
        (S.UNCERTAIN, "the same message may have arrived by email: settle that first"),
        (S.SENDING, "the same message is being sent by email"),
        (S.WAITING, "the same message waits to be sent by email: cancel that first, or retry that"),
    ],
)
def test_what_has_or_may_have_arrived_by_another_channel_stays(other: EffectState, reason: str) -> None:
    assert put_back(unreachable("zns"), effect("email", other)) == reason


def test_the_same_step_of_another_cycle_does_not_matter() -> None:
    assert channel_of(put_back(unreachable("zns"), effect("zns", S.ACCEPTED, ordinal=1))) == "zns"


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (case(closed_at=NINE), "the case is closed"),
        (case(customer=lan(opted_out_at=NINE)), "the customer has opted out"),
        (case(customer=lan(recent_messages=8)), "message cap: 8 in 30 days"),
        (case(customer=lan(phone=None)), "there is no address or no text for zns any more"),
    ],
)
def test_what_would_be_suppressed_is_not_put_back(of: Case, reason: str) -> None:
    assert put_back(unreachable("zns"), of=of) == reason


def test_an_apology_of_last_week_is_too_late() -> None:
    assert put_back(unreachable("zns"), after=7 * 24) == "too late: more than 72 hours have passed"


def test_at_night_it_waits_for_the_morning() -> None:
    assert isinstance(put_back(unreachable("zns"), after=13), Postpone)


def test_a_voucher_is_put_back_after_the_case_was_closed() -> None:
    closed = case(ticket=solved(), outcome=CaseOutcome.SATISFIED, closed_at=NINE)
    assert channel_of(put_back(effect("zns", S.REFUSED, step=Step.REWARD), of=closed)) == "zns"


def test_a_voucher_that_is_not_earned_any_more_is_not_put_back() -> None:
    reopened = case(ticket=ticket(cycle=1))
    told = put_back(effect("zns", S.REFUSED, step=Step.REWARD), of=reopened)
    assert told == "no voucher for the outcome None"


def test_surveys_and_reminders_ask_their_own_steps() -> None:
    assert channel_of(put_back(effect("zns", S.REFUSED, step=Step.SURVEY), of=DONE)) == "zns"
    again = put_back(effect("zns", S.REFUSED, step=Step.SURVEY), of=case(ticket=ticket(cycle=1)))
    assert again == "the ticket has been reopened"
    answered = case(ticket=solved(), survey=asked(answered_at=NINE))
    assert put_back(effect("zns", S.REFUSED, step=Step.REMIND), of=answered) == "the survey is answered"


def test_an_agent_is_told_of_a_ticket_that_is_still_theirs() -> None:
    told = effect("notify", S.REFUSED, step=Step.NOTIFY_AGENT)
    assert channel_of(put_back(told, of=case(ticket=ticket()))) == "notify"
    assert put_back(told, of=case(ticket=solved())) == "the ticket has moved on"


def level(level: int, state: EffectState = S.REFUSED) -> Effect:
    return effect("notify", state, step=Step.WATCH_SLA, ordinal=ordinal_of(CLOCK.kind, 0, level))


def test_an_escalation_is_put_back_while_it_matters() -> None:
    open_case = case(ticket=ticket())
    coming = put_back(level(1), of=open_case, clock=CLOCK, after=1)
    assert isinstance(coming, Send)
    assert coming.contact == "shift_lead"
    # The warning is past saving once the target is missed.
    told = put_back(level(0), level(1, S.ACCEPTED), of=open_case, clock=CLOCK, after=1)
    assert told == "this warning or escalation is not due any more"


def test_an_escalation_of_a_closed_case_is_over() -> None:
    late = SlaClock(CLOCK.kind, 0, CLOCK.started_at, CLOCK.warn_at, CLOCK.due_at, NINE + 2 * HOUR)
    closed = case(ticket=solved(), closed_at=NINE + timedelta(days=1))
    assert put_back(level(1), of=closed, clock=late, after=30) == "the case is closed"


states = st.sampled_from([S.REFUSED, S.CANCELLED, S.WAITING])
others: st.SearchStrategy[Any] = st.none() | st.sampled_from(EffectState)


@given(states, others, st.sampled_from(["zns", "email"]), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_whatever_else_was_tried_only_the_wanted_channel_is_used_and_never_for_a_second_time(
    state: EffectState, other: EffectState | None, channel: str, after: int
) -> None:
    rest: Sequence[Effect] = [effect({"zns": "email", "email": "zns"}[channel], other)] if other else []
    coming = put_back(effect(channel, state), *rest, after=after)
    if isinstance(coming, Send):
        assert coming.channel == channel
    assert isinstance(coming, str) == (other in (S.ACCEPTED, S.UNCERTAIN, S.SENDING, S.WAITING))
