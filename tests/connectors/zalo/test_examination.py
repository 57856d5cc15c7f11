"""The examination of an account: each part by itself, in plain words, and no message sent."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.examination import Finding, TemplateUse
from connectors.zalo.account import ZaloAccount
from tests.connectors.rig import (
    CUSTOMER_NAME,
    NOW,
    SECRETS,
    Answer,
    Clock,
    MemoryVault,
    ZaloHost,
    envelope,
    http,
    refusal,
    template,
    vault_with,
    wire_server,
    zalo_settings,
)

INFO, OA, QUOTA, QUALITY = "/template/info/v2", "/v2.0/oa/getoa", "/message/quota", "/quality"
READS = {INFO, OA, QUOTA, QUALITY, "/v4/oa/access_token"}
ACCOUNT = {"oa_id": "oa-1", "name": "Nắng", "is_verified": True, "linked_ZCA": "zca"}


def use(purpose: Any = "care", **params: str | None) -> TemplateUse:
    return TemplateUse("310001", "acknowledge.zns.vi", params or {"customer_name": "Lan"}, purpose)


async def examine(
    answers: dict[str, Any] | None = None,
    *uses: TemplateUse,
    vault: MemoryVault | None = None,
    name: str = "default",
    **settings: Any,
) -> list[Finding]:
    settings = {"oa_id": "oa-1", "webhook_secret": "hook-secret"} | settings
    async with (
        wire_server(ZaloHost(answers or {})) as vendor,
        ZaloAccount(name, zalo_settings(vendor.url, **settings), Clock(), vault or vault_with()) as account,
    ):
        found = await account.examine(uses or [use()])
    assert {request.path.partition("?")[0] for request in vendor.requests} <= READS, "nobody is messaged"
    shown = repr(found)
    assert not any(secret in shown for secret in (*SECRETS, "hook-secret", "stored-refresh-token"))
    assert all(finding.fix or finding.state == "ok" for finding in found), "every trouble comes with a fix"
    return found


def bad(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.what, finding.state) for finding in found if finding.state != "ok"]


def told(found: list[Finding], what: str) -> str:
    return " | ".join(f"{finding.told} -> {finding.fix}" for finding in found if finding.what == what)


async def test_healthy_account() -> None:
    found = await examine()
    assert bad(found) == []
    what = [finding.what for finding in found]
    assert what == ["token", "official account", "template 310001", "quota", "quality", "webhook"]
    # 20 of 25 hours are left, so the pair is 5 hours old; 90 days from then.
    assert "24/11/2026 06:00" in told(found, "token")
    assert "21/02/2027 05:00" in told(found, "token")
    assert "Nắng (oa-1), package Nâng cao" in told(found, "official account")
    assert "800 VND" in told(found, "template 310001")
    assert "499 of 500" in told(found, "quota")


# -- Token ---------------------------------------------------------------------------------------------------


async def test_no_consent_yet() -> None:
    found = await examine(vault=MemoryVault(), refresh_token="", webhook_secret="")
    assert bad(found) == [("token", "problem"), ("webhook", "warning")], "the rest cannot be asked"
    assert "amends zalo login" in told(found, "token")


async def test_no_consent_of_another_account_names_it() -> None:
    found = await examine(vault=MemoryVault(), refresh_token="", name="second", webhook_secret="", oa_id="")
    assert "amends zalo login (account second)" in told(found, "token")
    assert "webhook_secret of second in AMENDS_ZALO_ACCOUNTS" in told(found, "webhook")


async def test_first_token_from_the_settings_is_tried() -> None:
    assert bad(await examine(vault=MemoryVault())) == []


@pytest.mark.parametrize(("age_days", "state"), [(75, "ok"), (77, "warning"), (95, "warning")])
async def test_refresh_token_near_its_end_is_told_although_this_look_refreshed_it(
    age_days: int, state: str
) -> None:
    found = await examine(vault=vault_with(left=timedelta(hours=25, days=-age_days)))
    assert found[0].state == state
    assert ("refreshed it" in found[0].fix) is (state == "warning")


@pytest.mark.parametrize(
    ("answer", "words"), [(refusal(-14014), "amends zalo login"), (http(503, Retry_After="60"), "try again")]
)
async def test_token_that_cannot_be_refreshed(answer: Answer, words: str) -> None:
    found = await examine({"/v4/oa/access_token": answer}, vault=vault_with(left=timedelta(hours=-1)))
    assert bad(found) == [("token", "problem")]
    assert words in found[0].fix


# -- Account ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"oa_id": "oa-2"}, "problem", "belong to Official Account oa-2, the settings name oa-1"),
        ({"is_verified": "false"}, "problem", "not verified"),
        ({"linked_ZCA": ""}, "warning", "no Zalo Cloud Account"),
        ({"linked_ZCA": None}, "warning", "no Zalo Cloud Account"),
    ],
)
async def test_official_account(changes: dict[str, Any], state: str, words: str) -> None:
    found = await examine({OA: envelope(ACCOUNT | changes)})
    assert bad(found) == [("official account", state)]
    assert words in told(found, "official account")


async def test_untold_verification_is_no_news() -> None:
    assert bad(await examine({OA: envelope({"oa_id": "oa-1", "linked_ZCA": "zca"})})) == []


# -- Templates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "purpose", "state", "words"),
    [
        ({"status": "DISABLE"}, "care", "problem", "DISABLE, used by acknowledge.zns.vi"),
        ({"templateQuality": "LOW"}, "care", "warning", "low quality"),
        ({"templateTag": "PROMOTION"}, "care", "warning", "PROMOTION"),
        ({"templateTag": "PROMOTION"}, "rating", "problem", "only tag 2"),
        ({"templateTag": "OTP"}, "rating", "problem", "only tag 2"),
        ({"templateTag": "TRANSACTION"}, "voucher", "warning", "advertising"),
        ({"templateTag": "SOMETHING"}, "care", "warning", "SOMETHING"),
    ],
)
async def test_template(changes: dict[str, Any], purpose: str, state: str, words: str) -> None:
    found = await examine({INFO: envelope(template(**changes))}, use(purpose))
    assert bad(found) == [("template 310001", state)]
    assert words in told(found, "template 310001")


@pytest.mark.parametrize(
    ("tag", "purpose"),
    [
        ("TRANSACTION", "care"),
        ("CUSTOMER_CARE", "care"),
        ("CUSTOMER_CARE", "rating"),
        ("POST_TRANSACTION", "rating"),
        ("CUSTOMER_CARE", "voucher"),
        ("PROMOTION", "voucher"),
    ],
)
async def test_tags_that_fit(tag: str, purpose: str) -> None:
    assert bad(await examine({INFO: envelope(template(templateTag=tag))}, use(purpose))) == []


@pytest.mark.parametrize(
    ("params", "state", "words"),
    [
        ({"customer_name": "x" * 31}, "problem", "at most 30 characters, it has 31"),
        ({"customer_name": ""}, "problem", "missing or empty"),
        ({"other": "x"}, "problem", "parameter customer_name is missing"),
        ({"customer_name": "Lan", "other": None}, "warning", "no parameter other"),
        ({"customer_name": "Lan", "expires": None}, "ok", ""),
        ({"customer_name": None}, "ok", ""),
        ({"customer_name": "Lan", "expires": "2026-12-31"}, "problem", "expires must be a date"),
    ],
)
async def test_parameters(params: dict[str, str | None], state: str, words: str) -> None:
    listed = [CUSTOMER_NAME, {"name": "expires", "require": False, "type": "DATE"}]
    found = await examine({INFO: envelope(template(listParams=listed))}, use(**params))
    about = [finding for finding in found if finding.what == "template 310001"]
    assert about[0].state == state
    assert words in about[0].told
    assert "x" * 31 not in about[0].told


async def test_template_used_twice_is_read_once_and_judged_for_each_use() -> None:
    second = TemplateUse("310001", "survey.zns.vi", {}, "rating")
    async with (
        wire_server(ZaloHost()) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        found = await account.examine([use(), second])
    assert sum(request.path.startswith(INFO) for request in vendor.requests) == 1
    assert "survey.zns.vi: parameter customer_name is missing" in told(found, "template 310001")


# -- Quota, quality, webhooks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "state"),
    [
        ({"dailyQuota": "500", "remainingQuota": "50"}, "ok"),
        ({"dailyQuota": "500", "remainingQuota": "49"}, "warning"),
        ({"dailyQuota": 0, "remainingQuota": 0}, "warning"),
        ({"dailyQuota": None, "remainingQuota": None}, "ok"),
    ],
)
async def test_quota(quota: dict[str, Any], state: str) -> None:
    found = await examine({QUOTA: envelope(quota)})
    assert [finding.state for finding in found if finding.what == "quota"] == [state]


@pytest.mark.parametrize(
    ("quality", "state"),
    [
        ({"oaCurrentQuality": "LOW", "oa7dayQuality": "HIGH"}, "warning"),
        ({"oaCurrentQuality": "MEDIUM", "oa7dayQuality": "UNDEFINED"}, "ok"),
        ({}, "ok"),
    ],
)
async def test_quality(quality: dict[str, Any], state: str) -> None:
    found = await examine({QUALITY: envelope(quality)})
    assert [finding.state for finding in found if finding.what == "quality"] == [state]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"webhook_secret": ""}, "AMENDS_ZALO__WEBHOOK_SECRET"), ({"oa_id": ""}, "AMENDS_ZALO__OA_ID")],
)
async def test_webhook_settings(changes: dict[str, Any], words: str) -> None:
    found = await examine(**changes)
    assert bad(found) == [("webhook", "warning")]
    assert words in told(found, "webhook")


# -- One failure hides no other --------------------------------------------------------------------------------


PARTS = {INFO: "template 310001", OA: "official account", QUOTA: "quota", QUALITY: "quality"}


@pytest.mark.parametrize("path", PARTS)
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (http(503, Retry_After="60"), "warning"),
        (http(200, ["odd"]), "warning"),
        (refusal(-138), "problem"),
        (http(404), "problem"),
    ],
)
async def test_each_part_survives_the_failure_of_the_others(path: str, answer: Answer, state: str) -> None:
    found = await examine({path: answer})
    assert bad(found) == [(PARTS[path], state)]
    assert len(found) == 6


async def test_unknown_template_is_named() -> None:
    found = await examine({INFO: refusal(-109, "Template invalid")})
    assert bad(found) == [("template 310001", "problem")]
    assert "-109" in told(found, "template 310001")


def test_now_is_ten_oclock() -> None:
    assert NOW.hour == 3, "the dates above are reckoned from 10:00 in Viet Nam"
