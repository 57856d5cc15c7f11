"""The Official Account API: chat within its window, template messages by user id, people, limits."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox import oauth, people
from tests.sandbox.client import CARE, Caller
from tests.sandbox.receiver import receiving

FRIEND, WORST = "84900000000", "84900000001"
UID = people.uid_of(7, FRIEND)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def chat(caller: Caller, uid: str = UID, **message: Any) -> dict[str, Any]:
    body = {"recipient": {"user_id": uid}, "message": message or {"text": "Xin chào"}}
    return caller.call("POST", "/v3.0/oa/message/cs", json=body)


def by_uid(caller: Caller, uid: str, template_id: str = "310001", **fields: Any) -> dict[str, Any]:
    body = {"user_id": uid, "template_id": template_id, "template_data": CARE, **fields}
    return caller.call("POST", "/v3.0/oa/message/template", json=body)


def test_a_user_id_is_19_digits_and_belongs_to_one_person() -> None:
    uids = {people.uid_of(7, f"849{n:08d}") for n in range(5_000)}
    assert len(uids) == 5_000
    assert all(len(uid) == 19 and uid.isdigit() for uid in uids)
    assert people.uid_of(7, FRIEND) == UID != people.uid_of(8, FRIEND)


@pytest.mark.parametrize(
    ("after", "code", "quota"),
    [
        (timedelta(0), 0, "reply"),
        (timedelta(hours=48), 0, "reply"),
        (timedelta(hours=48) + SECOND, 0, "purchase_quota"),
        (timedelta(days=7), 0, "purchase_quota"),
        (timedelta(days=7) + SECOND, -230, None),
    ],
)
def test_the_window_opens_with_the_last_interaction(
    caller: Caller, morning: datetime, after: timedelta, code: int, quota: str | None
) -> None:
    assert chat(caller)["error"] == -232
    caller.sandbox.say(UID, "Alo")
    caller.sandbox.set_clock(morning + after)
    if after > 24 * HOUR:
        caller.log_in()

    answer = chat(caller)

    assert answer["error"] == code
    (entry,) = caller.sandbox.book(kind="chat_refused" if code else "chat", code=str(code or None))
    assert (entry["uid"], entry["phone"], entry["text"]) == (UID, FRIEND, "Xin chào")
    if quota:
        assert answer["data"]["quota"]["quota_type"] == entry["quota_type"] == quota
        assert answer["data"]["message_id"] == entry["msg_id"]


@pytest.mark.parametrize("act", ["follow", "submit_info"])
def test_other_interactions_open_it_too(caller: Caller, act: str) -> None:
    caller.http.post(f"/sandbox/people/{act}", json={"uid": UID, "name": "Lan"}).raise_for_status()
    assert chat(caller)["error"] == 0


def test_a_rating_opens_nothing(caller: Caller) -> None:
    caller.sandbox.rate(caller.send(FRIEND, "320001")["data"]["msg_id"], 1)
    assert chat(caller)["error"] == -232


def test_whoever_unfollowed_cannot_be_written_to_until_they_follow(caller: Caller) -> None:
    caller.sandbox.say(UID, "Alo")
    caller.sandbox.unfollow(UID)
    assert chat(caller)["error"] == -213
    caller.sandbox.follow(UID)
    assert chat(caller)["error"] == 0


def test_chat_outside_48_hours_is_paid_from_the_balance(caller: Caller, morning: datetime) -> None:
    caller.sandbox.say(UID, "Alo")
    caller.sandbox.switch(balance=60)
    assert chat(caller)["error"] == 0
    caller.sandbox.set_clock(morning + 49 * HOUR)
    caller.log_in()
    assert [chat(caller)["error"] for _ in range(2)] == [0, -321]
    assert caller.http.get("/sandbox/switches").json()["balance"] == 5


def test_nobody_without_zalo_has_a_user_id(caller: Caller) -> None:
    assert chat(caller, people.uid_of(7, "84900000118"))["error"] == -201
    assert chat(caller, people.uid_of(7, "84900000114"))["error"] == -232


def test_strangers_are_known_from_the_moment_they_write(caller: Caller) -> None:
    stranger = "1234567890123456789"
    assert chat(caller, stranger)["error"] == -201
    caller.sandbox.say(stranger, "Alo")
    assert chat(caller, stranger)["error"] == 0
    assert by_uid(caller, stranger)["error"] == 0
    assert [entry["phone"] for entry in caller.sandbox.book(uid=stranger)] == [None, None, None]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"text": "x" * 2_000}, 0),
        ({"text": "x" * 2_001}, -210),
        ({"text": ""}, -201),
        ({"text": 7}, -201),
        ({"attachment": {"type": "file", "payload": {"token": "t"}}}, 0),
    ],
)
def test_a_message_needs_text_or_attachment(caller: Caller, message: dict[str, Any], code: int) -> None:
    caller.sandbox.say(UID, "Alo")
    assert chat(caller, **message)["error"] == code


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"recipient": 1, "message": 2}'])
def test_bodies_that_are_no_message(caller: Caller, content: bytes) -> None:
    assert caller.call("POST", "/v3.0/oa/message/cs", content=content)["error"] == -201
    assert caller.call("POST", "/v3.0/oa/message/template", content=content)["error"] == -201
    assert [entry["kind"] for entry in caller.sandbox.book()] == ["chat_refused", "zns_refused"]


def test_the_account_is_told_what_it_wrote(caller: Caller, morning: datetime) -> None:
    with receiving() as receiver:
        caller.sandbox.webhooks(receiver.url)
        caller.sandbox.say(UID, "Alo")
        message_id = chat(caller, text="Dạ")["data"]["message_id"]
        caller.sandbox.set_clock(morning + SECOND)
    assert receiver.names == ["user_send_text", "oa_send_text"]
    assert receiver.received[1].body["message"] == {"text": "Dạ", "msg_id": message_id}
    assert receiver.received[1].body["recipient"] == {"id": UID}


def test_a_template_reaches_the_same_person_by_user_id(caller: Caller, morning: datetime) -> None:
    uid = people.uid_of(7, WORST)
    with receiving() as receiver:
        caller.sandbox.webhooks(receiver.url)
        answer = by_uid(caller, uid, "320001", tracking_id="ignored")
        caller.sandbox.set_clock(morning + HOUR)

    message_id = answer["data"]["message_id"]
    assert "msg_id" not in answer["data"]
    (entry,) = caller.sandbox.book(kind="zns")
    assert (entry["uid"], entry["phone"], entry["msg_id"], entry["tracking_id"]) == (
        uid,
        WORST,
        message_id,
        "",
    )
    (row,) = caller.ratings("320001", morning, morning + HOUR)["data"]
    assert (row["msgId"], row["rate"], row["trackingId"]) == (message_id, 1, "")
    delivered, rated = receiver.received
    assert delivered.body["recipient"] == {"id": uid}
    assert delivered.body["message"]["msg_id"] == rated.body["message"]["msg_id"] == message_id


@pytest.mark.parametrize(
    ("template_id", "fields", "code"),
    [
        ("390249", {}, -249),
        ("1", {}, -109),
        ("390001", {}, -131),
        ("310001", {"template_data": {}}, -111),
        ("310001", {"template_data": {**CARE, "brand": ""}}, -1122),
    ],
)
def test_templates_by_user_id_are_checked_as_by_phone(
    caller: Caller, template_id: str, fields: dict[str, Any], code: int
) -> None:
    assert by_uid(caller, UID, template_id, **fields)["error"] == code
    (entry,) = caller.sandbox.book(kind="zns_refused", uid=UID)
    assert entry["code"] == code


@pytest.mark.parametrize(
    ("phone", "code"),
    [("84900000118", -201), ("84900000114", -227), ("84900000141", -244), ("84900000100", -200)],
)
def test_the_person_s_own_refusal_has_this_host_s_code(caller: Caller, phone: str, code: int) -> None:
    assert by_uid(caller, people.uid_of(7, phone))["error"] == code


def test_an_old_template_still_goes_to_phones(caller: Caller) -> None:
    assert caller.send(FRIEND, "390249")["error"] == 0


def test_a_lost_answer_was_a_sent_message_here_too(caller: Caller) -> None:
    uid = people.uid_of(7, "84900000999")
    caller.sandbox.say(uid, "Alo")
    with pytest.raises(httpx.RemoteProtocolError):
        chat(caller, uid)
    with pytest.raises(httpx.RemoteProtocolError):
        by_uid(caller, uid)
    assert [entry["kind"] for entry in caller.sandbox.book(uid=uid)] == ["chat", "zns"]


ROUTES = [
    ("POST", "/v3.0/oa/message/cs"),
    ("POST", "/v3.0/oa/message/template"),
    ("POST", "/v3.0/oa/quota/message"),
    ("GET", "/v3.0/oa/user/detail"),
    ("GET", "/v2.0/oa/getoa"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_tokens_are_refused_with_this_host_s_codes(
    caller: Caller, morning: datetime, method: str, path: str
) -> None:
    assert caller.call(method, path, headers={"access_token": "stale"})["error"] == -216
    assert caller.call(method, path, headers={"appsecret_proof": "0" * 64})["error"] == -242
    assert caller.call(method, path, headers={"appsecret_proof": oauth.proof(caller.token)})["error"] != -242
    caller.sandbox.set_clock(morning + 25 * HOUR)
    assert caller.call(method, path)["error"] == -220


def test_the_account_and_its_people_can_be_read(caller: Caller, morning: datetime) -> None:
    caller.sandbox.follow(UID)
    caller.sandbox.submit_info(UID, FRIEND, "Lan")

    account = caller.call("GET", "/v2.0/oa/getoa")["data"]
    detail = caller.call("GET", "/v3.0/oa/user/detail", params={"data": f'{{"user_id":"{UID}"}}'})["data"]
    quota = caller.call("POST", "/v3.0/oa/quota/message", json={"user_id": UID})["data"]

    assert (account["oa_id"], account["is_verified"], account["num_follower"]) == ("sandbox-oa", True, 1)
    assert (detail["user_id"], detail["display_name"], detail["user_is_follower"]) == (UID, "Lan", True)
    assert detail["shared_info"] == {"name": "Lan", "phone": FRIEND}
    assert quota["last_interaction"] == str(int(morning.timestamp() * 1000))
    assert quota["cs_reply"] == {"remain": 8, "total": 8}
    for data in ("", "[]", '{"user_id":"1"}'):
        assert caller.call("GET", "/v3.0/oa/user/detail", params={"data": data})["error"] == -201


def test_the_rate_limit_counts_calls_in_a_minute(caller: Caller, morning: datetime) -> None:
    assert "X-RateLimit-Limit" not in _answer(caller).headers
    caller.sandbox.switch(rate_limit_per_minute=2)

    answers = [_answer(caller) for _ in range(3)]

    assert [answer.json()["error"] for answer in answers] == [0, 0, -32]
    assert [answer.headers["X-RateLimit-Remain"] for answer in answers] == ["1", "0", "0"]
    assert caller.send(FRIEND)["error"] == 0
    caller.sandbox.set_clock(morning + timedelta(minutes=1))
    assert _answer(caller).json()["error"] == 0


def _answer(caller: Caller) -> httpx.Response:
    return caller.http.get("/v2.0/oa/getoa", headers={"access_token": caller.token})
