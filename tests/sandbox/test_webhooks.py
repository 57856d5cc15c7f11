"""Webhooks out: who is told what, when, how signed, how often again."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox import events, people
from sandbox.book import Book
from sandbox.clock import Clock
from sandbox.post import Endpoint
from sandbox.process import running_sandbox
from sandbox.webhooks import Webhooks
from tests.sandbox.client import Caller
from tests.sandbox.receiver import SECRET, Receiver, receiving

FRIEND, WORST = "84900000000", "84900000001"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LADDER = (0.5, 5, 15, 30, 60)


@pytest.fixture
def receiver(caller: Caller) -> Iterator[Receiver]:
    with receiving() as receiver:
        caller.sandbox.webhooks(receiver.url)
        yield receiver
        caller.sandbox.webhooks(None)


def ms(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def attempts(caller: Caller, **wanted: str) -> list[Any]:
    return caller.sandbox.book(kind="webhook", **wanted)


def test_a_delivery_is_told_when_it_happens_and_signed(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    msg_id = caller.send(FRIEND, tracking_id="k_1")["data"]["msg_id"]
    assert receiver.received == []

    now = morning + timedelta(seconds=30)
    caller.sandbox.set_clock(now)

    (told,) = receiver.received
    status = caller.call("GET", "/message/status", params={"message_id": msg_id})["data"]
    assert told.body == {
        "sender": {"id": "sandbox-oa"},
        "recipient": {"id": FRIEND},
        "event_name": "user_received_message",
        "message": {"delivery_time": status["delivery_time"], "msg_id": msg_id, "tracking_id": "k_1"},
        "app_id": "sandbox-app",
        "timestamp": ms(now),
    }
    assert told.signed_with(SECRET)
    assert told.headers["X-ZEvent-Server"] == "ZNS"
    assert told.headers["User-Agent"] == "ZaloWebhook"
    assert "num_retry" not in told.headers
    (entry,) = attempts(caller)
    assert (entry["event"], entry["msg_id"], entry["attempt"], entry["status"], entry["error"]) == (
        "user_received_message",
        msg_id,
        1,
        200,
        None,
    )


def test_a_rating_is_told_at_its_time_under_other_names(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    msg_id = caller.send(WORST, "320001", tracking_id="s_1")["data"]["msg_id"]
    caller.sandbox.set_clock(morning + HOUR - timedelta(milliseconds=1))
    assert receiver.names == ["user_received_message"]

    caller.sandbox.set_clock(morning + HOUR)

    told = receiver.received[-1]
    assert told.body == {
        "event_name": "user_feedback",
        "message": {
            "rating_type": "csat",
            "option": "five_stars",
            "note": "",
            "rate": 1,
            "submit_time": ms(morning + HOUR),
            "msg_id": msg_id,
            "feedbacks": [],
            "tracking_id": "s_1",
        },
        "oa_id": "sandbox-oa",
        "app_id": "sandbox-app",
        "timestamp": ms(morning + HOUR),
    }
    assert told.signed_with(SECRET)
    assert told.headers["X-ZEvent-Server"] == "ZNS"


def test_one_leap_of_the_clock_keeps_the_order_of_a_message(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    for number in range(20):
        caller.send(WORST, "320001", template_data=_case(number), tracking_id=f"s_{number}")
    caller.sandbox.set_clock(morning + 2 * HOUR)

    assert len(receiver.received) == 40
    for number in range(20):
        own = [
            each.name for each in receiver.received if each.body["message"]["tracking_id"] == f"s_{number}"
        ]
        assert own == ["user_received_message", "user_feedback"]


def test_without_a_url_nothing_is_told_nor_entered(caller: Caller, morning: datetime) -> None:
    with receiving() as receiver:
        caller.sandbox.webhooks(receiver.url)
        caller.send(FRIEND)
        caller.sandbox.webhooks(None)
        caller.send(FRIEND)
        caller.sandbox.set_clock(morning + HOUR)
        assert receiver.received == []
        assert attempts(caller) == []


@pytest.mark.parametrize("status", [500, 201, 302, 404])
def test_anything_but_200_climbs_the_ladder_and_ends(
    caller: Caller, receiver: Receiver, morning: datetime, status: int
) -> None:
    receiver.status = status
    msg_id = caller.send(FRIEND)["data"]["msg_id"]
    now = morning + MINUTE
    caller.sandbox.set_clock(now)
    for minutes in LADDER:
        now += timedelta(minutes=minutes)
        seen = len(receiver.received)
        caller.sandbox.set_clock(now - timedelta(milliseconds=1))
        assert len(receiver.received) == seen
        caller.sandbox.set_clock(now)
        assert len(receiver.received) == seen + 1

    assert [each.headers.get("num_retry") for each in receiver.received] == [None, "1", "2", "3", "4", "5"]
    assert len({each.raw for each in receiver.received}) == 1
    assert [entry["attempt"] for entry in attempts(caller, msg_id=msg_id, status=str(status))] == list(
        range(1, 7)
    )
    (lost,) = caller.sandbox.book(kind="webhook_lost")
    assert (lost["event"], lost["msg_id"], lost["reason"]) == ("user_received_message", msg_id, "given up")
    caller.sandbox.set_clock(now + timedelta(days=2))
    assert len(receiver.received) == 6


def test_a_retry_that_is_taken_ends_it(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    receiver.status = 503
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    receiver.status = 200
    caller.sandbox.set_clock(morning + 2 * MINUTE)
    caller.sandbox.set_clock(morning + 5 * HOUR)
    assert [entry["status"] for entry in attempts(caller)] == [503, 200]
    assert caller.sandbox.book(kind="webhook_lost") == []


def test_a_receiver_that_is_away_or_slow_is_retried(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    caller.sandbox.webhooks("http://127.0.0.1:9/none")
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    (away,) = attempts(caller)
    assert (away["status"], away["error"]) == (None, "ConnectError")

    caller.sandbox.webhooks(receiver.url)
    receiver.slow = threading.Event()
    caller.sandbox.set_clock(morning + 2 * MINUTE)
    receiver.slow.set()
    assert attempts(caller)[-1]["error"] == "no answer within 2 s"
    caller.sandbox.set_clock(morning + HOUR)
    assert attempts(caller)[-1]["status"] == 200


def test_people_are_told_of_as_chat(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    uid = people.uid_of(7, FRIEND)
    msg_id = caller.sandbox.say(uid, "Vẫn chưa hoàn tiền cho tôi.")
    caller.sandbox.follow(uid)
    caller.sandbox.unfollow(uid)
    caller.sandbox.submit_info(uid, FRIEND, "Lan")

    said, followed, left, shared = receiver.received
    assert said.body == {
        "sender": {"id": uid},
        "recipient": {"id": "sandbox-oa"},
        "user_id_by_app": uid,
        "event_name": "user_send_text",
        "message": {"text": "Vẫn chưa hoàn tiền cho tôi.", "msg_id": msg_id},
        "app_id": "sandbox-app",
        "timestamp": ms(morning),
    }
    assert (followed.name, followed.body["follower"], followed.body["oa_id"]) == (
        "follow",
        {"id": uid},
        "sandbox-oa",
    )
    assert left.name == "unfollow"
    assert (shared.name, shared.body["info"]["phone"], shared.body["info"]["name"]) == (
        "user_submit_info",
        FRIEND,
        "Lan",
    )
    assert {each.headers["X-ZEvent-Server"] for each in receiver.received} == {"OA OpenAPI"}
    assert all(each.signed_with(SECRET) for each in receiver.received)


def test_switches_are_told(caller: Caller, receiver: Receiver) -> None:
    caller.sandbox.switch(template_status={"310001": "DISABLE"}, daily_quota=500)
    caller.sandbox.switch(template_status={"310001": "DISABLE"}, daily_quota=500)
    caller.sandbox.switch(template_quality={"310001": "LOW"})

    bodies = {each.name: each.body for each in receiver.received}
    assert len(receiver.received) == 3
    assert bodies["change_template_status"]["status"] == {"prev_status": "ENABLE", "new_status": "DISABLE"}
    assert bodies["change_oa_daily_quota"]["quota"] == {"prev_value": "1000000", "new_value": "500"}
    assert bodies["change_oa_daily_quota"]["oaId"] == "sandbox-oa"
    assert bodies["change_template_quality"]["quality"] == "LOW"


def test_a_rating_by_hand_replaces_what_was_drawn(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    msg_id = caller.send(WORST, "320001")["data"]["msg_id"]
    caller.sandbox.set_clock(morning + MINUTE)
    caller.sandbox.rate(msg_id, 4, "Ổn", ["Giải quyết nhanh"])
    caller.sandbox.set_clock(morning + 3 * HOUR)

    assert receiver.names == ["user_received_message", "user_feedback"]
    message = receiver.received[1].body["message"]
    assert (message["rate"], message["note"], message["feedbacks"]) == (4, "Ổn", ["Giải quyết nhanh"])
    assert message["submit_time"] == ms(morning + MINUTE)
    (row,) = caller.ratings("320001", morning, morning + 3 * HOUR)["data"]
    assert (row["rate"], row["submitDate"]) == (4, ms(morning + MINUTE))
    with pytest.raises(httpx.HTTPStatusError):
        caller.sandbox.rate(msg_id, 5)


def test_a_rating_by_hand_ends_the_round_of_its_survey(caller: Caller, morning: datetime) -> None:
    first = caller.send(WORST, "320001")["data"]["msg_id"]
    caller.sandbox.rate(first, 5)
    second = caller.send(WORST, "320001")["data"]["msg_id"]
    caller.sandbox.set_clock(morning + 2 * HOUR)
    rows = caller.ratings("320001", morning, morning + 2 * HOUR)["data"]
    assert [(row["msgId"], row["rate"]) for row in rows] == [(first, 5), (second, 1)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"msg_id": "0", "rate": 1}, 404),
        ({"rate": 6}, 409),
        ({"rate": 0}, 409),
        ({"rate": "1"}, 400),
        ({"rate": 1, "note": 1}, 400),
    ],
)
def test_a_bad_rating_is_refused(caller: Caller, body: dict[str, Any], status: int) -> None:
    msg_id = caller.send(FRIEND, "320001")["data"]["msg_id"]
    apology = caller.send(FRIEND)["data"]["msg_id"]
    answer = caller.http.post("/sandbox/rate", json={"msg_id": msg_id, **body})
    assert answer.status_code == status
    assert caller.http.post("/sandbox/rate", json={"msg_id": apology, "rate": 1}).status_code == 409


def test_any_event_can_be_sent_by_hand(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    assert caller.sandbox.emit({"event_name": "user_feedback", "message": {"msg_id": "m"}}) == 200
    receiver.status = 401
    assert caller.sandbox.emit({"event_name": "x", "app_id": "other", "timestamp": "7", "oa_id": "9"}) == 401

    first, second = receiver.received
    assert (first.body["app_id"], first.body["oa_id"], first.body["timestamp"]) == (
        "sandbox-app",
        "sandbox-oa",
        ms(morning),
    )
    assert (second.body["app_id"], second.body["oa_id"], second.body["timestamp"]) == ("other", "9", "7")
    assert first.signed_with(SECRET)
    assert second.signed_with(SECRET)
    caller.sandbox.set_clock(morning + HOUR)
    assert len(receiver.received) == 2


def test_another_secret_and_no_tracking_ids(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    caller.sandbox.webhooks(receiver.url, secret="mine", tracking_id=False)
    caller.send(WORST, "320001")
    caller.sandbox.set_clock(morning + 2 * HOUR)
    assert [each.body["message"]["tracking_id"] for each in receiver.received] == ["", ""]
    assert all(each.signed_with("mine") and not each.signed_with(SECRET) for each in receiver.received)


@pytest.mark.parametrize(
    "body",
    [{}, {"url": "ftp://x"}, {"url": 1}, {"url": None, "secret": 1}, {"url": None, "tracking_id": "no"}],
)
def test_a_bad_webhook_address_is_refused(caller: Caller, body: object) -> None:
    assert caller.http.post("/sandbox/webhooks", json=body).status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("people/say", {"text": "x"}, 400),
        ("people/say", {"uid": "abc", "text": "x"}, 400),
        ("people/say", {"uid": "12345", "text": ""}, 400),
        ("people/dance", {"uid": "12345"}, 404),
        ("people/submit_info", {"uid": "12345"}, 400),
        ("people", {"phone": "123"}, 400),
        ("events", {}, 400),
        ("events", {"event_name": "x"}, 409),
    ],
)
def test_a_bad_act_is_refused(caller: Caller, path: str, body: object, status: int) -> None:
    answer = caller.http.post(f"/sandbox/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["problem"]


async def test_with_the_machines_clock_they_come_by_themselves() -> None:
    with receiving() as receiver:
        book, clock = Book(), Clock()
        webhooks = Webhooks(clock, book, lambda _name, _now: None, Endpoint(receiver.url, SECRET))
        soon = clock.now() + timedelta(milliseconds=60)
        webhooks.plan(events.followed("2", follows=True), soon + HOUR)
        webhooks.plan(events.followed("1", follows=True), soon)
        assert receiver.received == []
        assert await asyncio.to_thread(receiver.arrived.wait, 20)
        await webhooks.close()
    (told,) = receiver.received
    assert told.body["follower"] == {"id": "1"}
    assert datetime.fromtimestamp(int(told.body["timestamp"]) / 1000, UTC) >= soon - timedelta(milliseconds=1)


def test_the_option_at_the_start_outlives_a_reset(morning: datetime) -> None:
    with (
        receiving() as receiver,
        running_sandbox(seed=7, now=morning, webhooks=receiver.url) as sandbox,
        httpx.Client(base_url=sandbox.url) as http,
    ):
        sandbox.reset()
        caller = Caller(sandbox, http)
        caller.log_in()
        caller.send(FRIEND)
        sandbox.set_clock(morning + MINUTE)
        assert receiver.names == ["user_received_message"]


def _case(number: int) -> dict[str, str]:
    return {"customer_name": "Lan", "case_code": f"C-{number}", "brand": "Sao"}
