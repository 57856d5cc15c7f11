"""Token care: rotation, one refresher at a time, and never losing the pair we have."""

import asyncio
import base64
import hashlib
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import HttpApi, Limits
from connectors.egress import Gate
from connectors.ports import Tokens
from connectors.zalo.oauth import ZaloTokens, challenge_of, consent_url, new_verifier
from tests.connectors.rig import (
    NOW,
    SECRETS,
    Answer,
    Clock,
    MemoryVault,
    Request,
    http,
    new_tokens,
    unused_port,
    vault_with,
    wire_server,
    zalo_settings,
)

LIMITS = Limits(timeout_s=1, budget_s=3)


class OAuthHost:
    """Refresh tokens that work once, as at Zalo."""

    def __init__(self, valid: str = "stored-refresh-token") -> None:
        self.valid = valid
        self.number = 0

    def __call__(self, request: Request) -> Answer:
        form = parse_qs(request.body.decode())
        assert request.path == "/v4/oa/access_token"
        assert request.headers["secret_key"] == "very-secret-app-key"
        assert form["grant_type"] == ["refresh_token"]
        assert form["app_id"] == ["app"]
        if form["refresh_token"] != [self.valid]:
            return http(200, {"error": -14014, "error_name": "Invalid refresh token.", "error_reason": ""})
        self.number += 1
        self.valid = f"refresh-{self.number}"
        return new_tokens(self.number)


async def test_first_token_comes_from_the_settings_and_is_stored_before_use() -> None:
    vault = MemoryVault()
    async with (
        wire_server(OAuthHost("first-refresh-token")) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        token = await ZaloTokens(api, zalo_settings(host.url), vault).current()
    assert token == "access-1"
    assert vault.tokens["zalo:app"] == Tokens("access-1", "refresh-1", NOW + timedelta(hours=25))
    assert vault.leases == {}


@pytest.mark.parametrize(("left_hours", "refreshed"), [(5.1, False), (4.9, True), (-1, True)])
async def test_refreshed_when_less_than_five_hours_are_left(left_hours: float, refreshed: bool) -> None:
    vault = vault_with(left=timedelta(hours=left_hours))
    async with wire_server(OAuthHost()) as host, HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api:
        token = await ZaloTokens(api, zalo_settings(host.url), vault).current()
    assert (token, len(host.requests)) == (("access-1", 1) if refreshed else ("access-token-one", 0))


async def test_token_grows_stale_while_open() -> None:
    clock, vault = Clock(), vault_with()
    async with wire_server(OAuthHost()) as host, HttpApi("zalo", Gate([host.url]), clock, LIMITS) as api:
        tokens = ZaloTokens(api, zalo_settings(host.url), vault)
        assert await tokens.current() == "access-token-one"
        clock.now += timedelta(hours=16)
        assert await tokens.current() == "access-1"
        clock.now += timedelta(hours=21)
        assert await tokens.current() == "access-2"
    assert len(host.requests) == 2


async def test_two_processes_and_many_sends_refresh_once() -> None:
    vault = vault_with()
    async with (
        wire_server(OAuthHost()) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as one,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as two,
    ):
        keepers = [ZaloTokens(api, zalo_settings(host.url), vault) for api in (one, two)]
        calls = (keeper.renewed("access-token-one") for keeper in keepers for _ in range(20))
        found = await asyncio.gather(*calls)
    assert set(found) == {"access-1"}
    assert len(host.requests) == 1


async def test_lock_of_a_killed_refresher_runs_out() -> None:
    clock, vault = Clock(), vault_with()
    vault.leases["zalo:app"] = ("killed", NOW + timedelta(seconds=60))
    async with (
        wire_server(OAuthHost()) as host,
        HttpApi("zalo", Gate([host.url]), clock, Limits(budget_s=0.3)) as api,
    ):
        tokens = ZaloTokens(api, zalo_settings(host.url), vault)
        waiting = await tokens.renewed("access-token-one")
        assert isinstance(waiting, Outcome)
        assert (waiting.cls, waiting.code) == (OutcomeClass.RETRY_LATER, "token_lock")
        clock.now += timedelta(seconds=61)
        assert await tokens.renewed("access-token-one") == "access-1"
    assert len(host.requests) == 1


@pytest.mark.parametrize(
    ("answer", "cls"),
    [
        (http(200, {}), OutcomeClass.RETRY_LATER),
        (http(200, {"access_token": "", "refresh_token": ""}), OutcomeClass.RETRY_LATER),
        (http(200), OutcomeClass.RETRY_LATER),
        (http(200, ["list"]), OutcomeClass.RETRY_LATER),
        (http(500), OutcomeClass.RETRY_LATER),
        (http(404), OutcomeClass.RETRY_LATER),
        (http(429, Retry_After="60"), OutcomeClass.RETRY_LATER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>", OutcomeClass.RETRY_LATER),
        (http(401), OutcomeClass.RETRY_LATER),
        (http(400), OutcomeClass.NEEDS_HUMAN),
        (http(403), OutcomeClass.NEEDS_HUMAN),
        (None, OutcomeClass.RETRY_LATER),
        (http(200, {"error": "-14004"}), OutcomeClass.NEEDS_HUMAN),
        (http(200, {"error": -14002, "error_name": "Invalid app id."}), OutcomeClass.NEEDS_HUMAN),
        (http(200, {"error": -77777}), OutcomeClass.NEEDS_HUMAN),
    ],
)
async def test_failed_refresh_keeps_the_stored_pair(answer: Answer, cls: OutcomeClass) -> None:
    vault = vault_with()
    async with (
        wire_server(lambda _: answer) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        outcome = await ZaloTokens(api, zalo_settings(host.url), vault).renewed("access-token-one")
    assert isinstance(outcome, Outcome)
    assert outcome.cls is cls
    assert vault.saved == []
    assert vault.leases == {}
    assert len(host.requests) == 1, "a refresh token is never sent twice on a doubt"


async def test_dead_refresh_token_needs_a_human_and_is_asked_about_once() -> None:
    vault = vault_with()
    async with (
        wire_server(OAuthHost("another")) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        tokens = ZaloTokens(api, zalo_settings(host.url), vault)
        found = await asyncio.gather(*(tokens.renewed("access-token-one") for _ in range(50)))
    outcomes = set(found)
    assert len(outcomes) == 1
    outcome = outcomes.pop()
    assert isinstance(outcome, Outcome)
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "-14014")
    assert "AMENDS_ZALO__REFRESH_TOKEN" in outcome.detail
    tried = [parse_qs(request.body.decode())["refresh_token"][0] for request in host.requests]
    assert tried == ["stored-refresh-token", "first-refresh-token"]


async def test_new_consent_in_the_settings_replaces_a_dead_stored_token() -> None:
    vault = vault_with()
    async with (
        wire_server(OAuthHost("first-refresh-token")) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        assert await ZaloTokens(api, zalo_settings(host.url), vault).renewed("access-token-one") == "access-1"
    assert vault.tokens["zalo:app"].refresh_token == "refresh-1"


async def test_living_token_is_used_while_the_oauth_host_is_away() -> None:
    clock, vault = Clock(), vault_with(left=timedelta(hours=2))
    url = f"http://127.0.0.1:{unused_port()}"
    async with HttpApi("zalo", Gate([url]), clock, Limits(timeout_s=1, budget_s=0.3)) as api:
        tokens = ZaloTokens(api, zalo_settings(url), vault)
        assert await tokens.current() == "access-token-one"
        clock.now += timedelta(hours=2)
        outcome = await tokens.current()
    assert isinstance(outcome, Outcome)
    assert outcome.cls is OutcomeClass.RETRY_LATER


async def test_new_pair_survives_a_database_hiccup() -> None:
    class Hiccup(MemoryVault):
        failures = 2

        def save(self, account: str, tokens: Tokens) -> None:
            if self.failures:
                self.failures -= 1
                raise ConnectionError("database away")
            super().save(account, tokens)

    vault = Hiccup()
    async with (
        wire_server(OAuthHost("first-refresh-token")) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        assert await ZaloTokens(api, zalo_settings(host.url), vault).current() == "access-1"
    assert vault.tokens["zalo:app"].refresh_token == "refresh-1"


@pytest.mark.parametrize("expires_in", ["90000", 90000, None, "soon", "-1"])
async def test_odd_expiry_means_the_documented_life(expires_in: object) -> None:
    vault = MemoryVault()
    async with (
        wire_server(lambda _: new_tokens(1, expires_in=expires_in)) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        await ZaloTokens(api, zalo_settings(host.url), vault).current()
    assert vault.tokens["zalo:app"].expires_at == NOW + timedelta(hours=25)


# -- Consent ---------------------------------------------------------------------------------------------------


def consenting(answer: Answer = None) -> OAuthHost:
    """Zalo's host for the trade of one consent's code."""

    class Host(OAuthHost):
        def __call__(self, request: Request) -> Answer:
            form = parse_qs(request.body.decode())
            assert (request.method, request.path) == ("POST", "/v4/oa/access_token")
            assert request.headers["secret_key"] == "very-secret-app-key"
            assert request.headers["content-type"] == "application/x-www-form-urlencoded"
            assert form == {
                "code": ["the-code"],
                "app_id": ["app"],
                "grant_type": ["authorization_code"],
                "code_verifier": ["the-verifier"],
            }
            return new_tokens(7) if answer is None else answer

    return Host()


async def test_log_in_trades_the_code_and_stores_the_pair_before_use() -> None:
    vault = vault_with(left=timedelta(hours=-9))
    async with wire_server(consenting()) as host, HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api:
        tokens = ZaloTokens(api, zalo_settings(host.url), vault)
        pair = await tokens.log_in("the-code", "the-verifier")
        assert pair == Tokens("access-7", "refresh-7", NOW + timedelta(hours=25))
        assert vault.tokens["zalo:app"] == pair
        assert vault.leases == {}
        assert await tokens.current() == "access-7", "and is used from now on"
    assert len(host.requests) == 1


async def test_log_in_waits_for_a_refresher_of_another_process() -> None:
    vault = vault_with()
    vault.leases["zalo:app"] = ("another", NOW + timedelta(seconds=60))
    async with (
        wire_server(consenting()) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), Limits(budget_s=0.2)) as api,
    ):
        outcome = await ZaloTokens(api, zalo_settings(host.url), vault).log_in("the-code", "the-verifier")
    assert isinstance(outcome, Outcome)
    assert outcome.code == "token_lock"
    assert host.requests == []


@pytest.mark.parametrize(
    ("answer", "cls"),
    [
        (http(200, {"error": -14005, "error_name": "Invalid code."}), OutcomeClass.NEEDS_HUMAN),
        (http(200, {"error": "-14004"}), OutcomeClass.NEEDS_HUMAN),
        (http(400), OutcomeClass.NEEDS_HUMAN),
        (http(404), OutcomeClass.RETRY_LATER),
        (http(200, {}), OutcomeClass.RETRY_LATER),
        (http(502), OutcomeClass.UNCERTAIN),
    ],
)
async def test_failed_log_in_keeps_the_stored_pair(answer: Answer, cls: OutcomeClass) -> None:
    vault = vault_with()
    async with (
        wire_server(consenting(answer)) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        tokens = ZaloTokens(api, zalo_settings(host.url), vault)
        outcome = await tokens.log_in("the-code", "the-verifier")
        assert isinstance(outcome, Outcome)
        assert outcome.cls is cls
        assert (vault.saved, vault.leases) == ([], {})
        assert await tokens.current() == "access-token-one", "a failed log-in stops nobody"
    assert len(host.requests) == 1


def test_verifier_and_challenge_are_as_zalo_wants_them() -> None:
    verifiers = {new_verifier() for _ in range(50)}
    assert len(verifiers) == 50
    assert {len(verifier) for verifier in verifiers} == {43}
    # The example of RFC 7636, appendix B.
    example = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(example) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    digest = hashlib.sha256(example.encode()).digest()
    assert base64.urlsafe_b64decode(challenge_of(example) + "=") == digest


def test_consent_page() -> None:
    settings = zalo_settings("http://oauth.example/", redirect_uri="http://127.0.0.1:8901/zalo?a=b")
    url = urlsplit(consent_url(settings, "the-challenge", "a&b"))
    assert (url.netloc, url.path) == ("oauth.example", "/v4/oa/permission")
    assert parse_qs(url.query) == {
        "app_id": ["app"],
        "redirect_uri": ["http://127.0.0.1:8901/zalo?a=b"],
        "code_challenge": ["the-challenge"],
        "state": ["a&b"],
    }


# -- Idle accounts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_hours", "refreshed"), [(19.9, False), (20.1, True), (24 * 60, True)])
async def test_keep_alive_refreshes_what_is_older_than_twenty_hours(
    age_hours: float, refreshed: bool
) -> None:
    vault = vault_with(left=timedelta(hours=25 - age_hours))
    async with wire_server(OAuthHost()) as host, HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api:
        outcome = await ZaloTokens(api, zalo_settings(host.url), vault).keep_alive()
    assert outcome.accepted
    assert len(host.requests) == int(refreshed)


async def test_keep_alive_tells_of_trouble_even_while_the_old_token_works() -> None:
    vault = vault_with(left=timedelta(hours=3))
    async with (
        wire_server(OAuthHost("another")) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        tokens = ZaloTokens(api, zalo_settings(host.url), vault)
        assert await tokens.current() == "access-token-one"
        outcome = await tokens.keep_alive()
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "-14014")


async def test_keep_alive_without_any_consent_needs_a_human() -> None:
    async with wire_server(OAuthHost()) as host, HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api:
        settings = zalo_settings(host.url, refresh_token="")
        outcome = await ZaloTokens(api, settings, MemoryVault()).keep_alive()
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "no_token")
    assert "amends zalo login" in outcome.detail
    assert host.requests == []


async def test_accounts_of_one_app_keep_their_tokens_apart() -> None:
    vault = MemoryVault()
    async with (
        wire_server(OAuthHost("first-refresh-token")) as host,
        HttpApi("zalo", Gate([host.url]), Clock(), LIMITS) as api,
    ):
        tokens = ZaloTokens(api, zalo_settings(host.url), vault, "second")
        assert await tokens.current() == "access-1"
    assert set(vault.tokens) == {"zalo:app:second"}


def test_nothing_secret_in_a_repr() -> None:
    shown = repr(Tokens(SECRETS[2], SECRETS[1], NOW)) + repr(
        ZaloTokens(HttpApi("zalo", Gate([]), Clock()), zalo_settings("http://x"), MemoryVault())
    )
    assert not any(secret in shown for secret in SECRETS)
