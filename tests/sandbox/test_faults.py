import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from sandbox.fault_script import FaultScript
from sandbox.faults import with_faults
from sandbox.process import running_sandbox
from tests.sandbox.client import CARE, Caller

ROOT = Path(__file__).resolve().parents[2]
FRIEND = "84900000000"


def spoil(caller: Caller, fault: str, on: str = "send", **fields: Any) -> None:
    caller.sandbox.set_faults([{"on": on, "fault": fault, **fields}])


def attempt(caller: Caller, **fields: Any) -> httpx.Response:
    """One send as it comes back, envelope or not."""
    body = {"phone": FRIEND, "template_id": "310001", "template_data": CARE, "tracking_id": "t_1", **fields}
    return caller.http.post("/message/template", headers={"access_token": caller.token}, json=body)


def taken(caller: Caller) -> int:
    return len(caller.sandbox.book(kind="zns"))


@pytest.mark.parametrize(
    ("fault", "error", "messages"),
    [
        ("timeout_before", httpx.ReadTimeout, 0),
        ("timeout_after_accept", httpx.ReadTimeout, 1),
        ("reset_before", httpx.ReadError, 0),
        ("reset_after_accept", httpx.ReadError, 1),
        ("cut_off", httpx.RemoteProtocolError, 1),
    ],
)
def test_an_answer_that_does_not_arrive(
    caller: Caller, fault: str, error: type[httpx.HTTPError], messages: int
) -> None:
    spoil(caller, fault, times=1)
    caller.http.timeout = httpx.Timeout(5, read=0.3)

    with pytest.raises(error) as caught:
        attempt(caller)

    assert type(caught.value) is error
    caller.http.timeout = httpx.Timeout(5)
    assert taken(caller) == messages
    assert caller.send(FRIEND)["error"] == 0
    assert taken(caller) == messages + 1  # and nothing came of the abandoned request afterwards


def test_a_cut_off_answer_is_half_of_it(caller: Caller) -> None:
    spoil(caller, "cut_off")
    with pytest.raises(httpx.RemoteProtocolError, match=r"received \d+ bytes, expected \d+") as caught:
        attempt(caller)
    received, expected = map(int, re.findall(r"\d+", str(caught.value)))
    assert 0 < received == expected // 2


@pytest.mark.parametrize(
    ("fault", "status", "messages"),
    [
        ("http_429", 429, 0),
        ("http_500", 500, 0),
        ("http_502", 502, 0),
        ("http_503", 503, 0),
        ("http_500_after_accept", 500, 1),
        ("not_json", 200, 1),
    ],
)
def test_a_web_page_instead_of_an_envelope(caller: Caller, fault: str, status: int, messages: int) -> None:
    spoil(caller, fault)
    answer = attempt(caller)
    assert (answer.status_code, taken(caller)) == (status, messages)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("fault", ["http_429", "http_503"])
def test_a_busy_answer_may_say_until_when(caller: Caller, fault: str) -> None:
    spoil(caller, fault, retry_after=30)
    assert attempt(caller).headers["retry-after"] == "30"


def test_an_empty_answer(caller: Caller) -> None:
    spoil(caller, "empty")
    answer = attempt(caller)
    assert (answer.status_code, answer.content, taken(caller)) == (200, b"", 1)


def test_a_slow_answer_is_sound_and_its_request_was_taken_at_once(caller: Caller) -> None:
    spoil(caller, "slow", seconds=0.3)
    began = time.monotonic()
    assert caller.send(FRIEND)["error"] == 0
    assert time.monotonic() - began >= 0.3
    caller.http.timeout = httpx.Timeout(5, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        attempt(caller)
    assert taken(caller) == 2


def test_a_code_refuses_and_the_book_knows_as_of_any_refusal(caller: Caller) -> None:
    caller.send("84900000118")
    spoil(caller, "code", code=-137, phone="84900000000")

    assert caller.send(f"+{FRIEND}") == {"error": -137, "message": "ZCA charge failed"}

    usual, scripted = caller.sandbox.book(kind="zns_refused")
    assert scripted == {**usual, "n": 2, "phone": FRIEND, "code": -137}
    assert taken(caller) == 0


def test_a_code_for_other_apis_is_not_in_the_book(caller: Caller) -> None:
    spoil(caller, "code", on="any", code=-32)
    assert caller.call("GET", "/message/quota") == {"error": -32, "message": "Rate limit exceeded"}
    refused = caller.refresh()
    assert refused["error"] == -32
    assert "message" not in refused  # as OAuth answers
    assert caller.sandbox.book() == []


@pytest.mark.parametrize("expired", ["send", "rating", "status", "quota", "template"])
def test_an_expired_access_token_is_mended_by_a_refresh(caller: Caller, expired: str) -> None:
    spoil(caller, "expire_token", on=expired, times=1)
    calls: dict[str, Callable[[], dict[str, Any]]] = {
        "send": lambda: caller.send(FRIEND),
        "rating": lambda: caller.call("GET", "/rating/get"),
        "status": lambda: caller.call("GET", "/message/status"),
        "quota": lambda: caller.call("GET", "/message/quota"),
        "template": lambda: caller.call("GET", "/template/info/v2", params={"template_id": "310001"}),
    }
    assert calls[expired]()["error"] == -124
    assert caller.send(FRIEND)["error"] == -124
    caller.log_in()
    assert caller.send(FRIEND)["error"] == 0


def test_on_the_other_host_an_expired_token_has_another_code(caller: Caller) -> None:
    for on, method, path in (("oa", "GET", "/v2.0/oa/getoa"), ("chat", "POST", "/v3.0/oa/message/cs")):
        spoil(caller, "expire_token", on=on, times=1)
        assert caller.call(method, path, json={})["error"] == -216
        caller.log_in()


def test_chat_and_sends_by_user_id_are_picked_by_user_or_by_phone(caller: Caller) -> None:
    person = caller.sandbox.introduce(FRIEND)
    by_uid = {"user_id": person["uid"], "template_id": "310001", "template_data": CARE}
    chat = {"recipient": {"user_id": person["uid"]}, "message": {"text": "Xin chào"}}
    caller.sandbox.set_faults(
        [
            {"on": "send", "phone": FRIEND, "fault": "code", "code": -100},
            {"on": "chat", "contact": person["uid"], "fault": "code", "code": -200},
        ]
    )

    assert caller.call("POST", "/v3.0/oa/message/template", json=by_uid)["error"] == -100
    assert caller.call("POST", "/v3.0/oa/message/cs", json=chat)["error"] == -200
    hashed = {**by_uid, "hash_phone": person["hash_phone"]}
    assert caller.call("POST", "/message/template/hashphone", json=hashed)["error"] == -100
    facts = [(entry["kind"], entry["phone"], entry["uid"]) for entry in caller.sandbox.book()]
    assert facts[:2] == [("zns_refused", FRIEND, person["uid"]), ("chat_refused", FRIEND, person["uid"])]
    # A list of templates is no send, though its path begins like one.
    assert caller.call("GET", "/message/template-tag")["error"] == 0


def test_a_burnt_refresh_token_is_replaced_by_a_new_consent(caller: Caller) -> None:
    spoil(caller, "burn_refresh_token", times=1)

    assert caller.send(FRIEND)["error"] == 0
    assert caller.refresh()["error"] == -14014
    caller.refresh_token = "sandbox-new-consent"
    caller.log_in()
    assert caller.send(FRIEND)["error"] == 0


def test_the_quota_is_out_until_midnight_in_vietnam(caller: Caller, morning: datetime) -> None:
    spoil(caller, "quota_out", skip=1, times=1)

    assert [caller.send(FRIEND)["error"] for _ in range(3)] == [0, -144, -144]
    assert caller.call("GET", "/message/quota")["data"]["remainingQuota"] == 0
    caller.sandbox.set_clock(morning + timedelta(hours=24))
    assert caller.send(FRIEND)["error"] == 0


def test_the_balance_is_out_until_it_is_switched_back(caller: Caller) -> None:
    spoil(caller, "balance_out", times=1)
    assert [caller.send(FRIEND)["error"] for _ in range(2)] == [-137, -137]
    caller.sandbox.switch(refuse_sends_with=None)
    assert caller.send(FRIEND)["error"] == 0


def test_the_template_of_a_request_is_disabled_and_no_other(caller: Caller) -> None:
    spoil(caller, "template_disabled", times=1)
    codes = [caller.send(FRIEND, template_id)["error"] for template_id in ("310001", "310001", "310002")]
    assert codes == [-146, -146, 0]
    caller.sandbox.switch(template_status={"310001": "ENABLE"})
    assert caller.send(FRIEND)["error"] == 0


def test_patterns_pick_the_requests(caller: Caller) -> None:
    caller.sandbox.set_faults(
        [
            {"on": "send", "phone": "8490000000?", "template_id": "3100*", "fault": "code", "code": -100},
            {"on": "notify", "contact": "l*", "fault": "http_500"},
            {"on": "template", "template_id": "310002", "fault": "http_502"},
        ]
    )
    assert caller.send(FRIEND)["error"] == -100
    assert caller.send("84900000110")["error"] == -110
    assert caller.send(FRIEND, "330001")["error"] == 0
    notices = [
        caller.http.post(f"/notify/{name}", json={"title": "x"}).status_code for name in ("lan", "minh")
    ]
    assert notices == [500, 200]
    asked = [{"template_id": "310001"}, {"template_id": "310002"}]
    info = [caller.http.get("/template/info/v2", params=params).status_code for params in asked]
    assert info == [200, 502]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"phone": null, "template_id": null}', b"\xff"])
def test_a_body_that_is_no_message_still_reaches_the_app(caller: Caller, content: bytes) -> None:
    untouched = caller.call("POST", "/message/template", content=content)
    spoil(caller, "empty", phone="849*")
    assert caller.call("POST", "/message/template", content=content) == untouched


def test_the_controls_are_never_struck_and_count(caller: Caller) -> None:
    spoil(caller, "http_500", on="any", every=2)
    statuses = [caller.http.get(path).status_code for path in ("/message/quota", "/nowhere")]
    assert statuses == [200, 500]
    assert caller.sandbox.faults() == [
        {"on": "any", "fault": "http_500", "every": 2, "matched": 2, "struck": 1}
    ]
    caller.sandbox.set_faults([])
    assert caller.sandbox.faults() == []
    assert caller.http.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "the body must be a JSON list of rules; [] ends all faults"),
        (b"{}", "a script is a list of rules"),
        (b'[{"on": "send", "fault": "slow"}]', "rule 1, seconds: slow needs it"),
    ],
)
def test_a_bad_script_is_refused_and_the_old_one_stays(caller: Caller, content: bytes, problem: str) -> None:
    spoil(caller, "empty")
    answer = caller.http.post("/sandbox/faults", content=content)
    assert answer.status_code == 400
    assert problem in answer.json()["problem"]
    assert [rule["fault"] for rule in caller.sandbox.faults()] == ["empty"]


def test_a_script_is_given_at_the_start_and_comes_back_with_a_reset(
    tmp_path: Path, morning: datetime
) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("- on: token\n  fault: http_429\n  retry_after: 7\n  times: 1\n")
    with running_sandbox(7, morning, faults=script) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        for _ in range(2):
            answers = [http.post("/v4/oa/access_token") for _ in range(2)]
            assert [answer.status_code for answer in answers] == [429, 200]
            assert answers[0].headers["retry-after"] == "7"
            sandbox.set_faults([])
            sandbox.reset()
            assert [rule["struck"] for rule in sandbox.faults()] == [0]


async def test_without_a_script_a_request_is_passed_on_untouched() -> None:
    passed = []

    async def app(*call: object) -> None:
        passed.append(call)

    async def never(*_: object) -> Any:
        raise AssertionError("the request was read")

    state = SimpleNamespace(sandbox=SimpleNamespace(faults=FaultScript()))
    scope = {"type": "http", "path": "/message/template", "app": SimpleNamespace(state=state)}
    await with_faults(app)(scope, never, never)

    (call,) = passed
    assert call == (scope, never, never)
    assert list(scope) == ["type", "path", "app"]


def test_a_bad_file_ends_both_commands_with_one_line(tmp_path: Path) -> None:
    from cli.main import app

    script = tmp_path / "faults.yaml"
    script.write_text("- on: send\n  fault: empty\n- on: send\n  fault: timout_before\n")
    line = f"{script}: rule 2, fault: 'timout_before' is not possible here; did you mean timeout_before?"

    told = CliRunner().invoke(app, ["sandbox", "--faults", str(script)])
    assert (told.exit_code, told.stderr) == (2, f"{line}\n")
    told = CliRunner().invoke(app, ["sandbox", "--faults", str(tmp_path / "none.yaml")])
    assert told.exit_code == 2
    assert "the file cannot be read: No such file or directory" in told.stderr

    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "--faults", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.sub(r"\s+", " ", done.stderr).endswith(f"error: argument --faults: {line} ")
