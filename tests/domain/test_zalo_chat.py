"""Consultation messages: only within Zalo's window, in the customer's language, and never beside another try."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amends.domain.case import Case, ZaloUser
from amends.domain.decision import Decision, Finish, Postpone, Send, may_chat, message_customer
from amends.domain.effects import Effect, EffectState, Policy
from amends.domain.journey import ComplaintJourney
from tests.domain.examples import HOUR, JOURNEY, NINE, case, changed, effect, lan, unreachable

SECOND = timedelta(seconds=1)
TEXTS = {
    "vi": {"text": "{{ brand }} xin lỗi {{ customer_name }}"},
    "en": {"text": "Sorry, {{ customer_name }}"},
}


def chatty(*channels: str, **changes: Any) -> ComplaintJourney:
    """The shipped journey with a text for the chat, over these channels."""
    known = {"channels": list(channels or ("zns", "zalo_chat", "email")), "acknowledge__zalo_chat": TEXTS}
    return changed(**{**known, **changes})


CHATTY = chatty()
CHAT_FIRST = chatty("zalo_chat", "email", survey__enabled=False, reward__enabled=False)


def user(hours_ago: float | None = 1, account: str = "default", **changes: Any) -> ZaloUser:
    """Lan at Zalo, who last acted so many hours before nine."""
    at = None if hours_ago is None else NINE - hours_ago * HOUR
    return ZaloUser(**{"account": account, "uid": "user-1", "last_interaction_at": at, **changes})


def of(*users: ZaloUser, **changes: Any) -> Case:
    return case(customer=lan(zalo=users, **changes))


def decide(
    about: Case, effects: Sequence[Effect] = (), journey: ComplaintJourney = CHATTY, now: datetime = NINE
) -> Decision:
    return message_customer(about, effects, journey, journey.acknowledge, ordinal=0, now=now)


def sent(decision: Decision) -> Send:
    assert isinstance(decision, Send), decision
    return decision


def test_the_window_is_open_until_just_before_48_hours_and_closed_at_48() -> None:
    acted = user(hours_ago=0)
    assert may_chat(acted, CHATTY, NINE)
    assert may_chat(acted, CHATTY, NINE + 48 * HOUR - SECOND)
    assert not may_chat(acted, CHATTY, NINE + 48 * HOUR)


def test_the_journey_says_how_long_the_window_is() -> None:
    week = chatty(zalo_chat_hours=168)
    assert may_chat(user(167), week, NINE)
    assert not may_chat(user(168), week, NINE)
    assert not may_chat(user(1), chatty(zalo_chat_hours=0.5), NINE)


@pytest.mark.parametrize("hours", [0, -1, 169])
def test_a_window_that_zalo_does_not_have_is_refused(hours: float) -> None:
    with pytest.raises(ValidationError):
        chatty(zalo_chat_hours=hours)


@given(st.integers(0, 96 * 3600))
def test_a_chat_is_sent_exactly_while_the_window_is_open(seconds: int) -> None:
    about = of(user(last_interaction_at=NINE - timedelta(seconds=seconds)))
    assert sent(decide(about, journey=CHAT_FIRST)).channel == (
        "zalo_chat" if seconds < 48 * 3600 else "email"
    )


@pytest.mark.parametrize(
    "unreached",
    [user(hours_ago=None), user(left_at=NINE), user(48), user(account="hanoi")],
    ids=["never acted", "has left", "too long ago", "another account's user"],
)
def test_nobody_outside_the_window_gets_a_chat(unreached: ZaloUser) -> None:
    assert sent(decide(of(unreached), journey=CHAT_FIRST)).channel == "email"
    assert decide(of(unreached, email=None), journey=CHAT_FIRST) == Finish(
        "unreachable", "zalo_chat: no address or no text; email: no address or no text"
    )


def test_the_chat_goes_to_the_id_by_which_the_journeys_account_knows_the_customer() -> None:
    about = of(user(2, account="hanoi", uid="user-h"), user(1, uid="user-d"))
    assert sent(decide(about, journey=CHAT_FIRST)).zalo_uid == "user-d"
    at_hanoi = chatty("zalo_chat", survey__enabled=False, reward__enabled=False, zalo_account="hanoi")
    assert sent(decide(about, journey=at_hanoi)).zalo_uid == "user-h"


def test_a_chat_is_plain_text_without_template_and_sent_at_most_once() -> None:
    send = sent(decide(of(user()), journey=CHAT_FIRST))
    assert send.body == "Nắng Store xin lỗi Lan"
    assert (send.channel, send.template_id, send.subject, send.params) == ("zalo_chat", None, "", {})
    assert send.policy is Policy.AT_MOST_ONCE


@pytest.mark.parametrize(
    ("language", "body"),
    [("en", "Sorry, Lan"), ("vi", "Nắng Store xin lỗi Lan"), ("fr", "Nắng Store xin lỗi Lan")],
)
def test_the_chat_is_in_the_customers_language_else_in_the_journeys(language: str, body: str) -> None:
    assert sent(decide(of(user(), language=language), journey=CHAT_FIRST)).body == body


def test_a_text_missing_in_the_customers_language_falls_back_to_the_journeys() -> None:
    only_vi = chatty(
        "zalo_chat", survey__enabled=False, reward__enabled=False, acknowledge__zalo_chat={"vi": TEXTS["vi"]}
    )
    assert sent(decide(of(user(), language="en"), journey=only_vi)).body == "Nắng Store xin lỗi Lan"


def test_a_text_in_neither_language_is_no_text() -> None:
    only_en = chatty(acknowledge__zalo_chat={"en": TEXTS["en"]})
    assert sent(decide(of(user()), [unreachable("zns")], only_en)).channel == "email"
    assert sent(decide(of(user(), language="en"), [unreachable("zns")], only_en)).channel == "zalo_chat"


def test_a_journey_over_chat_alone_needs_a_text_in_its_language() -> None:
    with pytest.raises(
        ValidationError, match=r"acknowledge: no text .* add one, e.g. acknowledge.zalo_chat.vi"
    ):
        chatty("zalo_chat", acknowledge__zalo_chat={"en": TEXTS["en"]})


def test_an_unknown_variable_in_a_chat_is_refused() -> None:
    with pytest.raises(ValidationError, match="nickname"):
        chatty(acknowledge__zalo_chat={"vi": {"text": "Chào {{ nickname }}"}})


def test_only_the_reward_may_speak_of_a_voucher_in_a_chat() -> None:
    with pytest.raises(ValidationError, match=r"only reward\.message may use 'voucher_code'"):
        chatty(acknowledge__zalo_chat={"vi": {"text": "Mã {{ voucher_code }}"}})


def test_the_chain_is_template_then_chat_then_mail_then_unreachable() -> None:
    about = of(user())
    assert sent(decide(about)).channel == "zns"
    assert sent(decide(about, [unreachable("zns")])).channel == "zalo_chat"
    assert sent(decide(about, [unreachable("zns"), unreachable("zalo_chat")])).channel == "email"
    nobody = decide(about, [unreachable(channel) for channel in ("zns", "zalo_chat", "email")])
    assert nobody == Finish("unreachable", "zns: code -118; zalo_chat: code -118; email: code -118")


def test_a_closed_window_is_passed_over_on_the_way_to_mail() -> None:
    assert sent(decide(of(user(49)), [unreachable("zns")])).channel == "email"


@pytest.mark.parametrize("channel", ["zns", "zalo_chat"])
def test_while_one_channel_is_uncertain_no_other_is_used(channel: str) -> None:
    doubt = decide(of(user()), [effect(channel, EffectState.UNCERTAIN)])
    assert isinstance(doubt, Finish)
    assert doubt.result == "uncertain"


def test_a_chat_that_was_accepted_ends_the_step() -> None:
    effects = [unreachable("zns"), effect("zalo_chat", EffectState.ACCEPTED)]
    assert decide(of(user()), effects) == Finish("sent", "accepted by zalo_chat")


def test_without_a_phone_number_the_template_goes_to_the_user_id() -> None:
    send = sent(decide(of(user(hours_ago=None), phone=None)))
    assert (send.channel, send.zalo_uid, send.template_id) == ("zns", "user-1", "310001")


@pytest.mark.parametrize("users", [(), (user(account="hanoi"),)])
def test_without_phone_number_and_user_id_at_this_account_there_is_no_template(
    users: Sequence[ZaloUser],
) -> None:
    assert sent(decide(of(*users, phone=None))).channel == "email"


def test_a_chat_waits_for_the_end_of_quiet_hours_too() -> None:
    night = NINE + 13 * HOUR
    decision = decide(of(user(last_interaction_at=night)), [unreachable("zns")], now=night)
    assert decision == Postpone(NINE + 23 * HOUR, "quiet hours")


def test_a_window_that_closes_in_quiet_hours_leaves_the_next_channel() -> None:
    about, refused = of(user(hours_ago=34)), [unreachable("zns")]
    assert isinstance(decide(about, refused, now=NINE + 13 * HOUR), Postpone)
    assert sent(decide(about, refused, now=NINE + 23 * HOUR)).channel == "email"


def test_user_ids_and_texts_stay_out_of_logs() -> None:
    send = sent(decide(of(user()), [unreachable("zns")]))
    assert not any(secret in f"{send!r} {user()!r}" for secret in ("user-1", "Nắng"))


def test_the_shipped_journey_does_not_chat() -> None:
    assert sent(decide(of(user()), [unreachable("zns")], JOURNEY)).channel == "email"
