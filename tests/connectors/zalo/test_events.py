"""Webhooks read into our words: every documented event, its odd forms, and keys that survive repeated delivery."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.events import (
    ContactShared,
    CustomerActed,
    CustomerLeft,
    CustomerWrote,
    Delivered,
    Fact,
    Rated,
    TemplateChanged,
)
from connectors.zalo.answers import rating_answer
from connectors.zalo.events import read_event
from tests.connectors.rig import NOW

MS = "1616673095659"
AT = datetime(2021, 3, 25, 11, 51, 35, 659000, tzinfo=UTC)
PEOPLE = {"sender": {"id": "user-1"}, "recipient": {"id": "oa-1"}}


def event(name: str, **body: Any) -> dict[str, Any]:
    return {"event_name": name, "app_id": "app", "timestamp": MS} | body


def feedback(**message: Any) -> dict[str, Any]:
    told = {
        "rating_type": "csat",
        "option": "five_emotions",
        "note": "Giao chậm",
        "rate": 1,
        "submit_time": MS,
        "msg_id": "m1",
        "feedbacks": ["Nhân viên vui vẻ"],
        "tracking_id": "t1",
    }
    return event("user_feedback", oa_id="oa-1", message=told | message)


def chat(name: str, **message: Any) -> dict[str, Any]:
    return event(name, **PEOPLE, message={"msg_id": "c1"} | message)


def received(**message: Any) -> dict[str, Any]:
    told = {"delivery_time": MS, "msg_id": "m1", "tracking_id": "t1"} | message
    return event(
        "user_received_message",
        sender={"id": "oa-1"},
        recipient={"id": "84912345678"},
        message={name: value for name, value in told.items() if value is not None},
        timestamp="1616673099999",
    )


def test_rating_is_the_same_as_a_poll_brings() -> None:
    polled = rating_answer(
        {
            "option": "five_emotions",
            "note": "Giao chậm",
            "rate": "1",
            "submitDate": MS,
            "msgId": "m1",
            "feedbacks": ["Nhân viên vui vẻ"],
            "trackingId": "t1",
        },
        msg_id="msgId",
        submitted="submitDate",
        tracking_id="trackingId",
    )
    assert polled is not None
    found = read_event(feedback(), "ZNS", NOW)
    assert found.fact == Rated(polled)
    assert (found.name, found.occurred_at, found.key) == ("user_feedback", AT, "user_feedback:m1")


def test_rating_in_its_odd_forms() -> None:
    fact = read_event(
        feedback(rate="3", submit_time=int(MS), tracking_id="", note=None, option=None, feedbacks=None),
        None,
        NOW,
    ).fact
    assert isinstance(fact, Rated)
    answer = fact.answer
    assert (answer.rate, answer.tracking_id, answer.note, answer.option) == (3, "", "", "five_stars")
    assert (answer.submitted_at, answer.feedbacks) == (AT, ())


def test_rating_without_a_timestamp_of_its_own_dates_itself() -> None:
    body = feedback()
    del body["timestamp"]
    assert read_event(body, "ZNS", NOW).occurred_at == AT


FACTS: list[tuple[dict[str, Any], str | None, Fact | None]] = [
    (received(), "ZNS", Delivered("m1", "t1")),
    (received(tracking_id=None), "ZNS", Delivered("m1", "")),
    (received(), None, Delivered("m1", "t1")),
    (event("user_received_message", **PEOPLE, message={"msg_id": "c1"}), "OA OpenAPI", Delivered("c1", "")),
    (
        event("user_received_message", **PEOPLE, message={"msg_ids": ["c1"]}),
        "OA OpenAPI",
        Delivered("c1", ""),
    ),
    (event("user_received_message", **PEOPLE, message={"msg_ids": ["c1", "c2"]}), "OA OpenAPI", None),
    (event("user_received_message", **PEOPLE), "OA OpenAPI", None),
    (chat("user_send_text", text="Xin chào"), "OA OpenAPI", CustomerWrote("user-1", "c1", "Xin chào")),
    (chat("user_send_text", text=None), None, CustomerWrote("user-1", "c1", "")),
    (
        chat("user_send_image", attachments=[{"type": "image"}]),
        None,
        CustomerWrote("user-1", "c1", "[image]"),
    ),
    (chat("user_send_link", text="xem này"), None, CustomerWrote("user-1", "c1", "[link] xem này")),
    *(
        (chat(f"user_send_{kind}"), None, CustomerWrote("user-1", "c1", f"[{kind}]"))
        for kind in ("audio", "video", "sticker", "gif", "location", "business_card", "file")
    ),
    (event("follow", oa_id="oa-1", follower={"id": "user-1"}, source="qr"), None, CustomerActed("user-1")),
    (event("unfollow", oa_id="oa-1", follower={"id": 123}), None, CustomerLeft("123")),
    (
        event("user_submit_info", **PEOPLE, info={"name": "Lan", "phone": "0912345678"}),
        None,
        ContactShared("user-1", "84912345678", "Lan"),
    ),
    (
        event("user_submit_info", **PEOPLE, info={"phone": 84912345678}),
        None,
        ContactShared("user-1", "84912345678"),
    ),
    (event("user_submit_info", **PEOPLE, info={"phone": "soon"}), None, ContactShared("user-1", None)),
    (
        event(
            "change_template_status",
            oa_id="oa-1",
            template_id=310001,
            status={"prev_status": "ENABLE", "new_status": "DISABLE"},
            reason="Bị báo xấu",
        ),
        None,
        TemplateChanged("310001", "DISABLE", usable=False, reason="Bị báo xấu"),
    ),
    (
        event("change_template_status", template_id="310001", status={"new_status": "ENABLE"}),
        None,
        TemplateChanged("310001", "ENABLE", usable=True),
    ),
    *(
        (chat(f"oa_send_{kind}", text="Chào bạn"), None, None)
        for kind in ("text", "image", "file", "list", "gif")
    ),
    (chat("user_seen_message"), None, None),
    (event("change_template_quality", template_id="310001", quality="LOW"), None, None),
    (
        event("change_oa_daily_quota", oaId="oa-1", quota={"prev_value": "500", "new_value": "5000"}),
        None,
        None,
    ),
    (event("user_click_response_button", msg_id="m1", message={"data": "x"}), None, None),
    (event("user_send_group_text", **PEOPLE, message={"text": "x", "msg_id": "c1"}), None, None),
    (event("something_new"), None, None),
    (event("something_new", message="text", sender=["x"]), None, None),
]


@pytest.mark.parametrize(("body", "server", "fact"), FACTS)
def test_facts(body: dict[str, Any], server: str | None, fact: Fact | None) -> None:
    found = read_event(body, server, NOW)
    assert found.fact == fact
    assert found.name == body["event_name"]
    assert found.occurred_at == AT


def test_time_of_a_delivery_is_the_delivery() -> None:
    assert read_event(received(), "ZNS", NOW).occurred_at == AT


def test_event_without_a_time_happened_now() -> None:
    assert read_event({"event_name": "something_new"}, None, NOW).occurred_at == NOW


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "event_name is missing"),
        ({"event_name": 7}, "event_name is missing"),
        (event("follow", follower={"id": "u"}, timestamp="yesterday"), "follow: timestamp is not a time"),
        (event("follow", follower={"id": "u"}, timestamp="9" * 30), "follow: timestamp is not a time"),
        (feedback(rate="many"), "user_feedback: message.rate is not a number"),
        (feedback(rate=None), "user_feedback: message.rate is not a number"),
        (feedback(msg_id=""), "user_feedback: message.msg_id is missing"),
        (feedback(msg_id={"a": 1}), "user_feedback: message.msg_id is missing"),
        (feedback(submit_time="soon"), "user_feedback: message.submit_time is not a time"),
        (event("user_feedback"), "user_feedback: message.rate is not a number"),
        (received(msg_id=None), "user_received_message: message.msg_id is missing"),
        (received(delivery_time="soon"), "user_received_message: delivery_time is not a time"),
        (event("user_send_text", message={"msg_id": "c1"}), "user_send_text: sender.id is missing"),
        (
            event("user_send_text", **PEOPLE, message={"text": "84912345678"}),
            "user_send_text: message.msg_id is",
        ),
        (
            event("user_send_gif", sender={"id": ["x"]}, message={"msg_id": "c1"}),
            "user_send_gif: sender.id is",
        ),
        (event("follow", follower="u"), "follow: follower.id is missing"),
        (event("unfollow"), "unfollow: follower.id is missing"),
        (event("user_submit_info", **PEOPLE), "user_submit_info: info is missing"),
        (event("user_submit_info", info={"phone": "0912345678"}), "user_submit_info: sender.id is missing"),
        (event("change_template_status", template_id="1"), "status.new_status is missing"),
        (event("change_template_status", status={"new_status": "ENABLE"}), "template_id is missing"),
    ],
)
def test_known_event_that_cannot_be_read_says_why(body: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match="^" + told if ":" in told else told) as caught:
        read_event(body, "ZNS", NOW)
    assert "84912345678" not in str(caught.value)
    assert "0912345678" not in str(caught.value)


@pytest.mark.parametrize("body", [body for body, _, _ in FACTS])
def test_key_is_the_same_for_every_delivery_and_short(body: dict[str, Any]) -> None:
    key = read_event(body, "OA OpenAPI", NOW).key
    again = read_event(json.loads(json.dumps(dict(reversed(body.items())))), None, AT).key
    assert key == again
    assert 1 <= len(key) <= 200


def test_keys_tell_events_apart() -> None:
    bodies = [
        feedback(),
        feedback(msg_id="m2"),
        received(),
        chat("user_send_text", text="a"),
        chat("user_send_text", text="a", msg_id="c2"),
        event("follow", follower={"id": "user-1"}),
        event("follow", follower={"id": "user-2"}),
        event("follow", follower={"id": "user-1"}, timestamp="1616673095660"),
        event("unfollow", follower={"id": "user-1"}),
        event("change_template_quality", template_id="1", quality="LOW"),
        event("change_template_quality", template_id="2", quality="LOW"),
        event("user_seen_message", **PEOPLE, message={"msg_ids": ["c1"]}),
        event("user_seen_message", **PEOPLE, message={"msg_ids": ["c1", "c2"]}),
        {"event_name": "something_new", "a": 1},
        {"event_name": "something_new", "a": 2},
    ]
    assert len({read_event(body, None, NOW).key for body in bodies}) == len(bodies)


def test_long_keys_are_hashed_and_still_differ() -> None:
    keys = {read_event(chat("user_send_text", msg_id="x" * 5000 + end), None, NOW).key for end in "ab"}
    keys |= {read_event(event("n" * 5000 + end), None, NOW).key for end in "ab"}
    assert len(keys) == 4
    assert all(len(key) <= 200 for key in keys)


def test_keys_hold_no_phone_number_and_events_hide_what_people_say() -> None:
    body = event("something_new", sender={}, recipient={"id": "84912345678"})
    assert "84912345678" not in read_event(body, "ZNS", NOW).key
    shown = repr(read_event(chat("user_send_text", text="bí mật"), None, NOW))
    shown += repr(read_event(event("user_submit_info", **PEOPLE, info={"phone": "0912345678"}), None, NOW))
    assert "bí mật" not in shown
    assert "912345678" not in shown


def test_half_a_surrogate_pair_is_no_crash() -> None:
    body = json.loads(
        '{"event_name": "something_new", "timestamp": "1616673095659", "recipient": {"id": "\\ud800"}}'
    )
    assert read_event(body, None, NOW).key
