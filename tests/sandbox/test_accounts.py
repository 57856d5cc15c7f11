"""What the account may send: hashes, money, caps, links; and the APIs around templates."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from sandbox import people
from tests.sandbox.client import CARE, Caller
from tests.sandbox.receiver import receiving

FRIEND = "84900000000"
HASH = sha256(FRIEND.encode()).hexdigest()


def to_hash(caller: Caller, hashed: str) -> dict[str, Any]:
    body = {"hash_phone": hashed, "template_id": "310001", "template_data": CARE, "tracking_id": "h_1"}
    return caller.call("POST", "/message/template/hashphone", json=body)


def test_a_hash_reaches_the_phone_and_names_itself(caller: Caller, morning: datetime) -> None:
    with receiving() as receiver:
        caller.sandbox.webhooks(receiver.url)
        msg_id = to_hash(caller, HASH)["data"]["msg_id"]
        caller.sandbox.set_clock(morning + timedelta(minutes=1))
    (entry,) = caller.sandbox.book(kind="zns")
    assert (entry["phone"], entry["hash_phone"], entry["msg_id"]) == (FRIEND, HASH, msg_id)
    assert receiver.received[0].body["recipient"] == {"id": HASH}


@pytest.mark.parametrize(
    ("hashed", "code"), [("0" * 64, -118), (HASH.upper(), -108), (FRIEND, -108), ("", -108)]
)
def test_other_hashes_are_refused(caller: Caller, hashed: str, code: int) -> None:
    assert to_hash(caller, hashed)["error"] == code
    (entry,) = caller.sandbox.book(kind="zns_refused")
    assert (entry["code"], entry["hash_phone"]) == (code, hashed)


def test_a_phone_is_known_by_hash_and_user_id_once_introduced_or_met(caller: Caller) -> None:
    phones = [people.customer_phone(7, f"hash-{n}") for n in range(9)]
    first, second = [phone for phone in phones if phone and not people.unreachable_code(7, phone)][:2]
    assert to_hash(caller, sha256(first.encode()).hexdigest())["error"] == -118

    person = caller.sandbox.introduce(first)
    caller.send(second)

    assert person == {
        "phone": first,
        "uid": people.uid_of(7, first),
        "hash_phone": sha256(first.encode()).hexdigest(),
    }
    assert to_hash(caller, person["hash_phone"])["error"] == 0
    assert to_hash(caller, sha256(second.encode()).hexdigest())["error"] == 0


def test_the_balance_pays_for_accepted_messages_until_it_is_used_up(caller: Caller) -> None:
    caller.sandbox.switch(balance=500)
    codes = [caller.send(phone)["error"] for phone in (FRIEND, "84900000118", FRIEND, FRIEND)]
    assert codes == [0, -118, 0, -137]
    assert caller.http.get("/sandbox/switches").json()["balance"] == 100
    caller.sandbox.switch(balance=140)
    body = {"user_id": people.uid_of(7, FRIEND), "template_id": "310001", "template_data": CARE}
    codes = [caller.call("POST", "/v3.0/oa/message/template", json=body)["error"] for _ in range(2)]
    assert codes == [0, -137]
    assert caller.http.get("/sandbox/switches").json()["balance"] == 0
    caller.sandbox.switch(balance=None)
    assert caller.send(FRIEND)["error"] == 0


def test_promotions_are_capped_by_day_and_month(caller: Caller, morning: datetime) -> None:
    assert [caller.send(FRIEND, "330001")["error"] for _ in range(3)] == [0, 0, 0]
    caller.sandbox.reset()
    caller.refresh_token = "sandbox-refresh-token"
    caller.log_in()
    caller.sandbox.switch(promotions_per_user_per_day=1, promotions_per_user_per_month=2)

    codes = []
    for days in (0, 0, 1, 2, 8):
        caller.sandbox.set_clock(morning + timedelta(days=days))
        caller.log_in()
        codes.append(caller.send(FRIEND, "330001")["error"])

    assert codes == [0, -1472, 0, -1471, 0]
    assert caller.send("84900000005", "330001")["error"] == 0
    assert caller.send(FRIEND)["error"] == 0


def test_an_app_without_account_gets_nothing(caller: Caller) -> None:
    caller.sandbox.switch(oa_linked=False)
    assert caller.send(FRIEND)["error"] == -105
    assert caller.call("GET", "/message/quota")["error"] == -105
    caller.sandbox.switch(oa_linked=True)
    assert caller.send(FRIEND)["error"] == 0


@pytest.mark.parametrize(("method", "other"), [("get", "POST"), ("post", "GET")])
def test_ratings_can_be_had_by_one_method_alone(caller: Caller, method: str, other: str) -> None:
    query = {"template_id": "320001", "from_time": "1", "to_time": "2", "offset": "0", "limit": "10"}
    caller.sandbox.switch(rating_methods=method)
    assert caller.call(other, "/rating/get", params=query)["error"] == -106
    assert caller.call(method.upper(), "/rating/get", params=query)["error"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"balance": -1},
        {"oa_linked": 1},
        {"rating_methods": "put"},
        {"template_quality": {"310001": "GOOD"}},
        {"rate_limit_per_minute": "1"},
        {"promotions_per_user_per_day": True},
    ],
)
def test_a_bad_switch_is_refused(caller: Caller, body: object) -> None:
    assert caller.http.post("/sandbox/switches", json=body).status_code == 400


def all_templates(caller: Caller, **query: Any) -> dict[str, Any]:
    return caller.call("GET", "/template/all", params={"offset": 0, "limit": 100, **query})


def test_templates_are_listed_by_the_number_of_their_status(caller: Caller) -> None:
    everything, waiting = all_templates(caller), all_templates(caller, status=2)
    assert everything["metadata"]["total"] == len(everything["data"]) == 9
    assert [(row["templateId"], row["status"]) for row in waiting["data"]] == [("390001", "PENDING_REVIEW")]
    assert len(all_templates(caller, offset=6, limit=5)["data"]) == 3


@pytest.mark.parametrize("query", [{"status": "ENABLE"}, {"limit": 101}, {"limit": 0}, {"offset": "x"}])
def test_a_bad_listing_is_refused(caller: Caller, query: dict[str, Any]) -> None:
    assert all_templates(caller, **query)["error"] == -132


@pytest.mark.parametrize("template_id", ["310001", "330001"])
def test_sample_data_is_accepted_as_it_is(caller: Caller, template_id: str) -> None:
    data = caller.call("GET", "/template/sample-data", params={"template_id": template_id})["data"]
    assert caller.send(FRIEND, template_id, template_data=data)["error"] == 0


def test_quality_tags_and_responses_can_be_read(caller: Caller) -> None:
    assert caller.call("GET", "/quality")["data"] == {"oaCurrentQuality": "HIGH", "oa7dayQuality": "HIGH"}
    assert "CUSTOMER_CARE" in caller.call("GET", "/message/template-tag")["data"]
    query = {"template_id": "310001", "from_time": "1", "to_time": "2", "limit": "10"}
    assert caller.call("POST", "/response/get", params=query)["data"] == {"total": 0, "data": []}
    caller.sandbox.switch(template_quality={"310001": "LOW"})
    info = caller.call("GET", "/template/info/v2", params={"template_id": "310001"})["data"]
    assert info["templateQuality"] == "LOW"


NEW = {
    "template_name": "Hỏi thăm sau bán",
    "template_type": 5,
    "tag": "2",
    "params": [{"type": "1", "name": "customer_name", "sample_value": "Lan"}],
}


def test_a_template_is_registered_reviewed_and_sent(caller: Caller) -> None:
    created = caller.call("POST", "/template/create", json=NEW)["data"]
    template_id, data = created["template_id"], {"customer_name": "Lan"}
    assert created["template_status"] == "PENDING_REVIEW"
    assert caller.send(FRIEND, template_id, template_data=data)["error"] == -131

    caller.sandbox.switch(template_status={template_id: "REJECT"})
    edited = caller.call("POST", "/template/edit", json={**NEW, "template_id": template_id})["data"]
    assert (edited["template_id"], edited["template_status"]) == (template_id, "PENDING_REVIEW")
    again = caller.call("POST", "/template/edit", json={**NEW, "template_id": template_id})
    assert again["error"] == -1091

    caller.sandbox.switch(template_status={template_id: "ENABLE"})
    sent = caller.send(FRIEND, template_id, template_data=data)
    caller.sandbox.rate(sent["data"]["msg_id"], 5)
    assert caller.call("POST", "/template/edit", json={"template_id": "1"})["error"] == -109


@pytest.mark.parametrize(
    "changes",
    [
        {"template_type": 9},
        {"tag": "3"},
        {"template_name": "x"},
        {"params": [1]},
    ],
)
def test_a_bad_registration_is_refused(caller: Caller, changes: dict[str, Any]) -> None:
    assert caller.call("POST", "/template/create", json={**NEW, **changes})["error"] == -132


def test_a_hundred_registrations_a_day(caller: Caller, morning: datetime) -> None:
    codes = {caller.call("POST", "/template/create", json=NEW)["error"] for _ in range(100)}
    assert codes == {0}
    assert caller.call("POST", "/template/create", json=NEW)["error"] == -160
    caller.sandbox.set_clock(morning + timedelta(hours=20))
    assert caller.call("POST", "/template/create", json=NEW)["error"] == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\r\n\x00" * 1_000, 0),
        (b"\xff\xd8\xff" + b"x" * 600_000, -158),
        (b"GIF89a", -159),
    ],
)
def test_images(caller: Caller, content: bytes, code: int) -> None:
    answer = caller.call("POST", "/upload/image", files={"file": ("logo.png", content)})
    assert answer["error"] == code
    assert code or answer["data"]["media_id"]
    assert caller.call("POST", "/upload/image", content=b"")["error"] == -159


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/message/template/hashphone"),
        ("GET", "/template/all"),
        ("GET", "/template/sample-data"),
        ("POST", "/template/create"),
        ("POST", "/template/edit"),
        ("GET", "/message/template-tag"),
        ("GET", "/quality"),
        ("POST", "/upload/image"),
        ("POST", "/response/get"),
    ],
)
def test_every_call_needs_the_token(caller: Caller, method: str, path: str) -> None:
    assert caller.call(method, path, headers={"access_token": "stale"})["error"] == -124
