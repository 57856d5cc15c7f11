"""OAuth consent: the page, the code, the exchange, and an installation that lives again."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sandbox.oauth import challenge_of
from tests.sandbox.client import Caller

VERIFIER = "v" * 43
BACK = "http://127.0.0.1:8901/zalo"


def consent(caller: Caller, **changes: str) -> httpx.Response:
    query = {
        "app_id": "sandbox-app",
        "redirect_uri": BACK,
        "code_challenge": challenge_of(VERIFIER),
        "state": "s 1",
        "approve": "1",
        **changes,
    }
    return caller.http.get("/v4/oa/permission", params=query)


def code_of(answer: httpx.Response) -> str:
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def exchange(caller: Caller, code: str, verifier: str = VERIFIER) -> dict[str, Any]:
    return caller.refresh(grant_type="authorization_code", code=code, code_verifier=verifier)


def test_the_challenge_is_the_one_of_the_standard() -> None:
    # The example of RFC 7636, appendix B.
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_consent_leads_back_with_a_code_that_buys_tokens(caller: Caller) -> None:
    answer = consent(caller)
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{BACK}?")
    assert (query["oa_id"], query["state"]) == (["sandbox-oa"], ["s 1"])

    pair = exchange(caller, query["code"][0])

    assert pair["expires_in"] == "90000"
    assert caller.send("84900000000")["error"] == -124
    caller.token = pair["access_token"]
    assert caller.send("84900000000")["error"] == 0


def test_the_page_has_a_link_that_allows(caller: Caller) -> None:
    page = consent(caller, approve="0", state='"><script>')
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<script>" not in page.text
    assert "&amp;state=" in page.text
    link = page.text.split('href="')[1].split('"')[0].replace("&amp;", "&")
    assert exchange(caller, code_of(caller.http.get(link)))["access_token"]


def test_a_header_allows_at_once(caller: Caller) -> None:
    query = {"app_id": "sandbox-app", "redirect_uri": "http://localhost/x?a=1"}
    answer = caller.http.get("/v4/oa/permission", params=query, headers={"X-Approve": "1"})
    assert answer.headers["Location"].startswith("http://localhost/x?a=1&code=")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"app_id": "other"}, -14002),
        ({"redirect_uri": "https://evil.example/"}, -14003),
        ({"redirect_uri": "http://127.0.0.1.evil.example/"}, -14003),
        ({"redirect_uri": "http://[x"}, -14003),
        ({"redirect_uri": ""}, -14003),
    ],
)
def test_bad_requests_get_no_code(caller: Caller, changes: dict[str, str], code: int) -> None:
    answer = consent(caller, **changes)
    assert answer.status_code == 200
    assert answer.json()["error"] == code
    assert "message" not in answer.json()


def test_a_code_works_once(caller: Caller) -> None:
    code = code_of(consent(caller))
    assert exchange(caller, code)["access_token"]
    assert exchange(caller, code)["error"] == -14005


@pytest.mark.parametrize("verifier", ["w" * 43, "v" * 42, ""])
def test_a_code_needs_its_verifier(caller: Caller, verifier: str) -> None:
    assert exchange(caller, code_of(consent(caller)), verifier)["error"] == -14005
    short = code_of(consent(caller, code_challenge=challenge_of("v" * 42)))
    assert exchange(caller, short, "v" * 42)["error"] == -14005


def test_a_code_lives_10_minutes(caller: Caller, morning: datetime) -> None:
    codes = [code_of(consent(caller)) for _ in range(2)]
    caller.sandbox.set_clock(morning + timedelta(minutes=10, milliseconds=-1))
    assert exchange(caller, codes[0])["access_token"]
    caller.sandbox.set_clock(morning + timedelta(minutes=10))
    assert exchange(caller, codes[1])["error"] == -14005


def test_consent_revives_an_installation_whose_refresh_token_is_dead(
    caller: Caller, morning: datetime
) -> None:
    caller.sandbox.set_clock(morning + timedelta(days=91))
    assert caller.refresh()["error"] == -14014
    pair = exchange(caller, code_of(consent(caller)))
    caller.refresh_token = pair["refresh_token"]
    assert caller.refresh()["access_token"]
