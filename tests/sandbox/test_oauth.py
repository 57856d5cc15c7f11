from datetime import datetime, timedelta

import pytest

from sandbox import oauth
from tests.sandbox.client import Caller


def test_a_pair_lives_90000_seconds_told_as_a_string(caller: Caller) -> None:
    assert caller.refresh()["expires_in"] == "90000"


def test_a_refresh_token_works_once(caller: Caller) -> None:
    caller.log_in()

    answer = caller.refresh(refresh_token="sandbox-refresh-token")

    assert answer["error"] == -14014
    assert "message" not in answer
    assert "access_token" not in answer


def test_a_new_pair_kills_the_old_access_token(caller: Caller) -> None:
    old = caller.token
    caller.log_in()

    assert caller.send("84900000000")["error"] == 0
    caller.token = old
    assert caller.send("84900000000")["error"] == -124


def test_an_access_token_dies_after_25_hours(caller: Caller, morning: datetime) -> None:
    caller.sandbox.set_clock(morning + timedelta(hours=25, seconds=-1))
    assert caller.call("GET", "/message/quota")["error"] == 0

    caller.sandbox.set_clock(morning + timedelta(hours=25))
    assert caller.call("GET", "/message/quota")["error"] == -124


def test_a_refresh_token_dies_after_90_days(caller: Caller, morning: datetime) -> None:
    caller.sandbox.set_clock(morning + timedelta(days=90))
    assert caller.refresh()["error"] == -14014

    caller.sandbox.set_clock(morning + timedelta(days=89))
    assert caller.refresh()["access_token"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"app_id": "other"}, -14002),
        ({"secret_key": "wrong"}, -14004),
        ({"grant_type": "authorization_code"}, -14005),
        ({"grant_type": "password"}, -14018),
        ({"refresh_token": ""}, -14014),
    ],
)
def test_errors_carry_no_message_and_burn_no_token(
    caller: Caller, changes: dict[str, str], code: int
) -> None:
    answer = caller.refresh(**changes)

    assert answer["error"] == code
    assert set(answer) == {"error", "error_name", "error_reason", "error_description", "ref_doc"}
    assert caller.refresh()["access_token"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/message/template"),
        ("GET", "/message/status"),
        ("GET", "/message/quota"),
        ("GET", "/template/info"),
        ("GET", "/template/info/v2"),
        ("GET", "/rating/get"),
        ("POST", "/rating/get"),
    ],
)
def test_every_business_call_needs_the_token(caller: Caller, method: str, path: str) -> None:
    assert caller.call(method, path, headers={"access_token": "stale"})["error"] == -124


def test_a_proof_is_optional_but_must_fit(caller: Caller) -> None:
    fitting = {"appsecret_proof": oauth.proof(caller.token)}

    assert caller.call("GET", "/message/quota", headers=fitting)["error"] == 0
    assert caller.call("GET", "/message/quota", headers={"appsecret_proof": "0" * 64})["error"] == -1241
