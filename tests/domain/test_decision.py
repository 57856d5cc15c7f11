"""Messaging a customer: what stops a message, which channel is next, and never a second one by guesswork."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.case import Case
from amends.domain.decision import (
    Decision,
    Finish,
    Postpone,
    Send,
    language_of,
    message_customer,
    message_variables,
    voucher_variables,
)
from amends.domain.effects import Effect, EffectState, Policy
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.base import Language
from amends.domain.outcome import OutcomeClass
from tests.domain.examples import HOUR, JOURNEY, NINE, case, changed, effect, lan, unreachable


def decide(
    of: Case | None = None,
    effects: Sequence[Effect] = (),
    journey: ComplaintJourney = JOURNEY,
    now: datetime = NINE,
    **options: Any,
) -> Decision:
    """Whether and how to apologise to Lan at nine on a Monday."""
    options = {"ordinal": 0, **options}
    return message_customer(of or case(), effects, journey, journey.acknowledge, now=now, **options)


def sent(decision: Decision) -> Send:
    assert isinstance(decision, Send), decision
    return decision


def test_the_first_channel_is_tried_first() -> None:
    send = sent(decide())
    assert (send.channel, send.template_id, send.ordinal) == ("zns", "310001", 0)
    assert send.params == {"customer_name": "Lan", "case_code": "AM000007", "brand": "Nắng Store"}


def test_a_customer_message_is_sent_at_most_once() -> None:
    assert sent(decide()).policy is Policy.AT_MOST_ONCE


def test_the_next_channel_follows_one_that_cannot_reach_the_customer() -> None:
    send = sent(decide(effects=[unreachable("zns")]))
    assert send.channel == "email"
    assert send.subject == "Nắng Store xin lỗi anh/chị về trải nghiệm chưa tốt (AM000007)"
    assert "Chào Lan," in send.body


def test_a_channel_without_an_address_is_passed_over() -> None:
    assert sent(decide(case(customer=lan(phone=None)))).channel == "email"


def test_a_channel_without_a_text_is_passed_over() -> None:
    assert sent(decide(journey=changed(acknowledge__zns={}))).channel == "email"


def test_the_order_of_the_channels_is_the_journeys() -> None:
    assert sent(decide(journey=changed(channels=["email", "zns"]))).channel == "email"


def test_a_channel_that_asked_for_patience_is_tried_again_itself() -> None:
    assert sent(decide(effects=[effect("zns", EffectState.WAITING)])).channel == "zns"


def test_at_the_end_of_the_chain_every_channel_gives_its_reason() -> None:
    decision = decide(case(customer=lan(email=None)), [unreachable("zns")])
    assert decision == Finish("unreachable", "zns: code -118; email: no address or no text")


def test_a_message_refused_for_itself_is_not_tried_on_another_channel() -> None:
    bad = effect("zns", EffectState.REFUSED, outcome_class=OutcomeClass.PAYLOAD_REFUSED, code="-1121")
    assert decide(effects=[bad]) == Finish("refused", "zns refused the message itself (code -1121)")


def test_an_accepted_message_is_over() -> None:
    assert decide(effects=[effect("zns", EffectState.ACCEPTED)]) == Finish("sent", "accepted by zns")


def test_an_unknown_fate_stops_the_chain() -> None:
    decision = decide(effects=[effect("zns", EffectState.UNCERTAIN)])
    assert isinstance(decision, Finish)
    assert decision.result == "uncertain"


def test_an_unknown_fate_stops_the_chain_even_for_a_closed_case() -> None:
    decision = decide(case(closed_at=NINE), [effect("email", EffectState.UNCERTAIN), unreachable("zns")])
    assert isinstance(decision, Finish)
    assert decision.result == "uncertain"


def test_a_cancelled_message_is_over_and_no_other_channel_is_tried() -> None:
    decision = decide(effects=[unreachable("zns"), effect("email", EffectState.CANCELLED)])
    assert decision == Finish("cancelled", "email was cancelled, and no other channel is tried")


def test_what_was_put_back_is_sent_where_it_was_and_nowhere_else() -> None:
    """A cancelled mail does not hold back a ZNS that an operator retries, nor is it sent when that is refused."""
    put_back = effect("zns", EffectState.WAITING)
    cancelled = effect("email", EffectState.CANCELLED)
    assert sent(decide(effects=[put_back, cancelled])).channel == "zns"
    refused = decide(effects=[unreachable("zns"), cancelled])
    assert isinstance(refused, Finish)
    assert refused.result == "cancelled"


def test_a_channel_that_waits_for_another_try_comes_before_those_not_tried() -> None:
    """A mail is on its way to be sent again; that a ZNS could be tried first by now does not matter."""
    assert sent(decide(effects=[effect("email", EffectState.WAITING)])).channel == "email"


def test_what_may_be_sent_after_the_end_of_the_case_is_sent() -> None:
    closed = case(closed_at=NINE)
    assert isinstance(decide(closed, even_if_closed=True), Send)
    assert decide(closed) == Finish("suppressed", "the case is closed")


def test_another_ordinal_is_another_message() -> None:
    assert sent(decide(effects=[effect("zns", EffectState.ACCEPTED)], ordinal=1)).ordinal == 1


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (case(closed_at=NINE), "the case is closed"),
        (case(customer=lan(opted_out_at=NINE)), "the customer has opted out"),
        (case(customer=lan(recent_messages=8)), "message cap: 8 in 30 days"),
    ],
)
def test_what_suppresses_a_message_is_said(of: Case, reason: str) -> None:
    assert decide(of) == Finish("suppressed", reason)


def test_one_message_below_the_cap_is_sent() -> None:
    assert isinstance(decide(case(customer=lan(recent_messages=7))), Send)


def test_too_late_is_after_the_hours_given() -> None:
    three_days = timedelta(hours=72)
    assert isinstance(decide(now=NINE + 72 * HOUR, give_up_after=three_days), Send)
    assert decide(now=NINE + 72 * HOUR + timedelta(seconds=1), give_up_after=three_days) == Finish(
        "suppressed", "too late: more than 72 hours have passed"
    )


def test_too_late_may_count_from_another_event() -> None:
    yesterday = case(opened_at=NINE - 100 * HOUR)
    assert isinstance(decide(yesterday, give_up_after=timedelta(hours=72), since=NINE), Send)


EVENING = datetime(2026, 11, 2, 14, 0, tzinfo=UTC)  # 21:00 in Viet Nam, when quiet hours begin
MORNING = datetime(2026, 11, 3, 1, 0, tzinfo=UTC)  # 08:00 in Viet Nam


@pytest.mark.parametrize("now", [EVENING, EVENING + 3 * HOUR, EVENING + 10 * HOUR])
def test_quiet_hours_postpone_to_the_morning_of_the_brand(now: datetime) -> None:
    assert decide(now=now) == Postpone(MORNING, "quiet hours")


@pytest.mark.parametrize("now", [EVENING - timedelta(seconds=1), MORNING])
def test_right_before_and_after_quiet_hours_messages_go_out(now: datetime) -> None:
    assert isinstance(decide(now=now), Send)


def test_quiet_hours_are_those_of_the_brands_zone() -> None:
    """21:00 in Viet Nam is 15:00 in Berlin."""
    assert isinstance(decide(journey=changed(timezone="Europe/Berlin"), now=EVENING), Send)


def test_who_cannot_be_reached_anyway_is_not_kept_waiting_for_the_morning() -> None:
    decision = decide(effects=[unreachable("zns"), unreachable("email")], now=EVENING)
    assert isinstance(decision, Finish)
    assert decision.result == "unreachable"


def test_suppression_is_not_kept_waiting_for_the_morning() -> None:
    assert isinstance(decide(case(closed_at=NINE), now=EVENING), Finish)


@pytest.mark.parametrize(
    ("spoken", "template"), [("vi", "310001"), ("en", "310002"), ("fr", "310001"), (None, "310001")]
)
def test_the_customers_language_if_we_speak_it_else_the_journeys(spoken: str | None, template: str) -> None:
    assert sent(decide(case(customer=lan(language=spoken)))).template_id == template


def test_a_language_without_a_text_falls_back_to_the_journeys() -> None:
    only_vietnamese = {"vi": JOURNEY.acknowledge.model_dump(mode="json")["zns"]["vi"]}
    journey = changed(acknowledge__zns=only_vietnamese)
    assert sent(decide(case(customer=lan(language="en")), journey=journey)).template_id == "310001"


def test_the_journeys_language_is_the_default() -> None:
    english = changed(language="en", survey__enabled=False, reward__enabled=False)
    assert language_of(case(customer=lan(language=None)), english) is Language.EN


@pytest.mark.parametrize(("language", "stranger"), [(Language.VI, "Quý khách"), (Language.EN, "Customer")])
def test_who_gave_no_name_is_addressed_politely(language: Language, stranger: str) -> None:
    variables = message_variables(case(customer=lan(name=None)), JOURNEY, language)
    assert variables["customer_name"] == stranger


def test_variables_fit_the_limits_of_zns() -> None:
    long = case(customer=lan(name="N" * 99), product="P" * 99)
    variables = message_variables(long, JOURNEY, Language.VI)
    assert (len(variables["customer_name"]), len(variables["product"])) == (30, 60)


def test_a_voucher_is_written_as_vietnamese_customers_read_it() -> None:
    """Its last day is the brand's: 20:00 UTC on the 1st is the 2nd in Viet Nam."""
    end = datetime(2026, 12, 1, 20, 0, tzinfo=UTC)
    assert voucher_variables("NANG2345678", 50_000, end, JOURNEY) == {
        "voucher_code": "NANG2345678",
        "voucher_value": "50.000đ",
        "voucher_expires": "02/12/2026",
    }


def test_no_repr_shows_what_was_written_to_whom() -> None:
    for effects in ([], [unreachable("zns")]):
        assert "Lan" not in repr(decide(effects=effects))


channels = st.sampled_from(["zns", "email"])
histories = st.lists(
    st.builds(
        effect,
        channels,
        st.sampled_from(EffectState),
        ordinal=st.integers(0, 2),
        outcome_class=st.none() | st.sampled_from(OutcomeClass),
    ),
    max_size=6,
    unique_by=lambda tried: (tried.channel, tried.ordinal),
)
cases = st.builds(
    lambda phone, email, closed, messages: case(
        customer=replace(lan(), phone=phone, email=email, recent_messages=messages),
        closed_at=NINE if closed else None,
    ),
    st.none() | st.just("84912345678"),
    st.none() | st.just("lan@example.com"),
    st.booleans(),
    st.integers(0, 9),
)
times = st.integers(0, 48).map(lambda hours: NINE + hours * HOUR)


@given(cases, histories, st.integers(0, 2), times)
def test_nothing_is_sent_that_may_have_arrived(
    of: Case, history: list[Effect], ordinal: int, now: datetime
) -> None:
    decision = decide(of, history, now=now, ordinal=ordinal)
    mine = [e.state for e in history if e.ordinal == ordinal]
    if EffectState.UNCERTAIN in mine or EffectState.ACCEPTED in mine:
        assert isinstance(decision, Finish)
        assert decision.result in ("uncertain", "sent")


@given(cases, histories, st.integers(0, 2), times)
def test_what_is_sent_has_an_address_and_was_not_refused_there(
    of: Case, history: list[Effect], ordinal: int, now: datetime
) -> None:
    decision = decide(of, history, now=now, ordinal=ordinal)
    if isinstance(decision, Send):
        assert of.customer.phone if decision.channel == "zns" else of.customer.email
        mine = {e.channel: e.state for e in history if e.ordinal == ordinal}
        assert mine.get(decision.channel) not in (EffectState.REFUSED, EffectState.CANCELLED)
        if EffectState.WAITING in mine.values() and of.customer.phone and of.customer.email:
            assert mine.get(decision.channel) is EffectState.WAITING
        assert not JOURNEY.quiet.is_quiet(now)


@given(cases, histories, st.integers(0, 2), times)
def test_a_postponed_message_waits_for_a_time_that_comes(
    of: Case, history: list[Effect], ordinal: int, now: datetime
) -> None:
    decision = decide(of, history, now=now, ordinal=ordinal)
    if isinstance(decision, Postpone):
        assert now < decision.until <= now + timedelta(hours=11)
        assert isinstance(decide(of, history, now=decision.until, ordinal=ordinal), Send)
