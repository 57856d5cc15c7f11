import re
import unicodedata
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.sandbox.client import CARE, VOUCHER, Caller

FRIEND = "84900000000"


def test_an_accepted_message_is_answered_in_strings_and_entered(caller: Caller, morning: datetime) -> None:
    answer = caller.send(FRIEND)

    data = answer["data"]
    assert (answer["error"], answer["message"]) == (0, "Success")
    assert re.fullmatch(r"[0-9a-f]{20}", data["msg_id"])
    assert data["sent_time"] == str(int(morning.timestamp() * 1000))
    assert data["quota"] == {"dailyQuota": "1000000", "remainingQuota": "999999"}
    assert caller.sandbox.book() == [
        {
            "n": 1,
            "at": "2026-11-23T02:00:00+00:00",
            "kind": "zns",
            "phone": FRIEND,
            "template_id": "310001",
            "template_type": "custom",
            "tracking_id": "t_1",
            "params": CARE,
            "msg_id": data["msg_id"],
            "code": None,
        }
    ]


def test_the_same_tracking_id_sends_twice(caller: Caller) -> None:
    first, second = (caller.send(FRIEND, tracking_id="same")["data"]["msg_id"] for _ in range(2))

    assert first != second
    assert [entry["msg_id"] for entry in caller.sandbox.book(tracking_id="same")] == [first, second]


@pytest.mark.parametrize("template_id", ["310001", "310002", "320001", "320003", "330001"])
def test_each_template_sends(caller: Caller, template_id: str) -> None:
    assert caller.send(FRIEND, template_id)["error"] == 0


@pytest.mark.parametrize(
    "phone", ["0912345678", "912345678", "84212345678", "8491234567", "", "84 912345678"]
)
def test_a_bad_phone_is_refused_and_entered(caller: Caller, phone: str) -> None:
    assert caller.send(phone) == {"error": -108, "message": "Phone number invalid"}
    (entry,) = caller.sandbox.book()
    assert (entry["kind"], entry["code"], entry["phone"]) == ("zns_refused", -108, phone)


def test_a_template_id_may_be_a_number(caller: Caller) -> None:
    assert caller.send(FRIEND, template_id=310001)["error"] == 0  # type: ignore[arg-type]
    assert caller.sandbox.book()[0]["template_id"] == "310001"


def test_a_plus_before_the_phone_is_the_same_phone(caller: Caller) -> None:
    caller.send(f"+{FRIEND}")
    assert caller.sandbox.book()[0]["phone"] == FRIEND


@pytest.mark.parametrize("code", [-100, -110, -114, -118, -119, -139, -141])
def test_magic_numbers_refuse_every_time(caller: Caller, code: int) -> None:
    phone = f"84900000{-code}"
    assert [caller.send(phone)["error"] for _ in range(3)] == [code] * 3
    assert [entry["code"] for entry in caller.sandbox.book(kind="zns_refused")] == [code] * 3


def test_one_magic_number_recovers_at_the_third_send(caller: Caller) -> None:
    assert [caller.send("84900000102")["error"] for _ in range(4)] == [-100, -100, 0, 0]


@pytest.mark.parametrize(
    ("template_id", "data", "code"),
    [
        ("310001", {}, -111),
        ("310001", None, -111),
        ("310001", ["Lan"], -112),
        ("310001", {**CARE, "case_code": ""}, -1122),
        ("310001", {"customer_name": "Lan"}, -1122),
        ("310001", {**CARE, "case_code": 17}, -1124),
        ("310001", {**CARE, "brand": "x" * 31}, -1121),
        ("330001", {**VOUCHER, "voucher_code": "x" * 26}, -1121),
        ("330001", {**VOUCHER, "value": "x" * 21}, -1121),
        ("330001", {**VOUCHER, "expires": "2026-12-31"}, -1124),
        ("330001", {**VOUCHER, "expires": "31/02/2026"}, -1124),
        ("330001", {**VOUCHER, "expires": "1/2/2026"}, -1124),
        ("330001", {**VOUCHER, "expires": "23:59:00 31/12/2026"}, 0),
        ("310001", {**CARE, "brand": "x" * 30}, 0),
    ],
)
def test_template_data_is_checked(caller: Caller, template_id: str, data: Any, code: int) -> None:
    assert caller.send(FRIEND, template_id, template_data=data)["error"] == code


def test_length_is_counted_in_composed_characters(caller: Caller) -> None:
    name = unicodedata.normalize("NFD", "ễ" * 30)
    assert len(name) == 90
    assert caller.send(FRIEND, template_data={**CARE, "customer_name": name})["error"] == 0


def test_a_too_long_value_names_the_parameter(caller: Caller) -> None:
    answer = caller.send(FRIEND, template_data={**CARE, "brand": "x" * 31})
    assert answer["message"] == "template data brand is break max length"


@pytest.mark.parametrize(("template_id", "code"), [("999999", -109), ("390001", -131), ("390002", -146)])
def test_only_enabled_templates_send(caller: Caller, template_id: str, code: int) -> None:
    assert caller.send(FRIEND, template_id)["error"] == code


def test_a_template_can_be_disabled_at_run_time(caller: Caller) -> None:
    caller.sandbox.switch(template_status={"310001": "DISABLE"})

    assert caller.send(FRIEND)["error"] == -146
    info = caller.call("GET", "/template/info/v2", params={"template_id": "310001"})
    assert info["data"]["status"] == "DISABLE"


@pytest.mark.parametrize(("content", "code"), [(b"", -121), (b"{", -122), (b"[]", -122), (b"\xff", -122)])
def test_the_body_must_be_a_json_object(caller: Caller, content: bytes, code: int) -> None:
    assert caller.call("POST", "/message/template", content=content)["error"] == code


@pytest.mark.parametrize(
    ("template_id", "fields", "code"),
    [
        ("310001", {"sending_mode": "2"}, -161),
        ("310001", {"sending_mode": "3"}, -162),
        ("330001", {"sending_mode": "3"}, 0),
        ("310001", {"mode": "development"}, -127),
    ],
)
def test_modes(caller: Caller, template_id: str, fields: dict[str, str], code: int) -> None:
    assert caller.send(FRIEND, template_id, **fields)["error"] == code


def test_development_mode_reaches_admins(caller: Caller) -> None:
    assert caller.send("84900000009", mode="development")["error"] == 0


@pytest.mark.parametrize(
    ("hour", "code"), [("05:59:59", -133), ("06:00:00", 0), ("21:59:59", 0), ("22:00:00", -133)]
)
def test_no_message_at_night_in_vietnam(caller: Caller, hour: str, code: int) -> None:
    caller.sandbox.set_clock(datetime.fromisoformat(f"2026-11-23T{hour}+07:00"))
    assert caller.send(FRIEND)["error"] == code
    assert caller.send(FRIEND, "330001")["error"] == code


def test_the_night_rule_can_be_switched_off(caller: Caller) -> None:
    caller.sandbox.set_clock(datetime.fromisoformat("2026-11-23T23:00:00+07:00"))
    caller.sandbox.switch(night_rule=False)
    assert caller.send(FRIEND)["error"] == 0


def test_the_daily_quota_counts_accepted_messages_and_returns_next_morning(
    caller: Caller, morning: datetime
) -> None:
    caller.sandbox.switch(daily_quota=2)

    codes = [caller.send(phone)["error"] for phone in (FRIEND, "84900000118", FRIEND, FRIEND)]

    assert codes == [0, -118, 0, -144]
    assert caller.call("GET", "/message/quota")["data"]["remainingQuota"] == 0
    caller.sandbox.set_clock(morning + timedelta(days=1))
    assert caller.call("GET", "/message/quota")["data"]["remainingQuota"] == 2


def test_the_account_can_be_made_to_refuse(caller: Caller) -> None:
    caller.sandbox.switch(refuse_sends_with=-137)
    assert caller.send(FRIEND)["error"] == -137
    caller.sandbox.switch(refuse_sends_with=None)
    assert caller.send(FRIEND)["error"] == 0


def test_a_lost_answer_was_a_sent_message(caller: Caller) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        caller.send("84900000999")
    assert [entry["kind"] for entry in caller.sandbox.book(phone="84900000999")] == ["zns"]
    assert caller.send(FRIEND)["error"] == 0


def test_an_answer_that_never_comes_was_a_sent_message(caller: Caller) -> None:
    caller.http.timeout = httpx.Timeout(5, read=0.1)
    with pytest.raises(httpx.ReadTimeout):
        caller.send("84900000998")
    assert [entry["kind"] for entry in caller.sandbox.book(phone="84900000998")] == ["zns"]


def test_a_503_took_no_message(caller: Caller) -> None:
    body = {"phone": "84900000503", "template_id": "310001", "template_data": CARE}
    answer = caller.http.post("/message/template", headers={"access_token": caller.token}, json=body)
    assert answer.status_code == 503
    assert [entry["kind"] for entry in caller.sandbox.book()] == ["zns_refused"]


def test_status_goes_from_server_to_delivered(caller: Caller, morning: datetime) -> None:
    msg_id = caller.send(FRIEND)["data"]["msg_id"]

    def status(of: str) -> Any:
        return caller.call("GET", "/message/status", params={"message_id": of})["data"]["status"]

    assert (status(msg_id), status("0" * 20)) == (0, -1)
    caller.sandbox.set_clock(morning + timedelta(seconds=30))
    assert status(msg_id) == 1
    assert caller.call("GET", "/message/status")["error"] == -107


@pytest.mark.parametrize("path", ["/template/info", "/template/info/v2"])
def test_template_info_lists_the_parameters(caller: Caller, path: str) -> None:
    data = caller.call("GET", path, params={"template_id": "330001"})["data"]

    assert (data["templateTag"], data["price_sdt"], data["status"]) == ("PROMOTION", "300", "ENABLE")
    assert [(p["name"], p["type"], p["maxLength"]) for p in data["listParams"]] == [
        ("customer_name", "STRING", 30),
        ("case_code", "STRING", 30),
        ("voucher_code", "STRING", 25),
        ("value", "STRING", 20),
        ("expires", "DATE", 20),
    ]
    assert caller.call("GET", path, params={"template_id": "1"})["error"] == -109
