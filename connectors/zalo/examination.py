"""Is this Official Account fit for use? Reads everything that Zalo tells without messaging anyone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.domain.outcome import Outcome
from amends.settings import ZaloSettings
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.examination import Finding, TemplateUse
from connectors.zalo.answers import VIETNAM, as_flag, as_int
from connectors.zalo.client import ZaloClient
from connectors.zalo.lookups import ZaloLookups
from connectors.zalo.oauth import ACCESS_TOKEN_LIFE, REFRESH_TOKEN_LIFE
from connectors.zalo.templates import TemplateInfo, composed, misfit

REFRESH_TOKEN_WARNING = timedelta(days=14)
QUOTA_WARNING_SHARE = 0.1
_LOG_IN = "amends zalo login"


class Examination:
    """One account's examination; the parts do not depend on each other's success, but all need a token."""

    def __init__(self, name: str, settings: ZaloSettings, client: ZaloClient, lookups: ZaloLookups) -> None:
        self._name = name
        self._settings = settings
        self._client = client
        self._lookups = lookups

    async def examine(self, uses: Sequence[TemplateUse]) -> list[Finding]:
        """Findings about token, account, each template, quota, quality and webhooks, in this order."""
        token, usable = await self._token()
        findings = [token]
        if usable:
            parts: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [
                ("official account", self._official_account)
            ]
            by_template: dict[str, list[TemplateUse]] = {}
            for use in uses:
                by_template.setdefault(use.template_id, []).append(use)
            for template_id, its_uses in by_template.items():
                parts.append((f"template {template_id}", _bound(self._template, template_id, its_uses)))
            parts += [("quota", self._quota), ("quality", self._quality)]
            found = await asyncio.gather(*(_survived(what, part) for what, part in parts))
            findings += [finding for one in found for finding in one]
        return [*findings, *self._webhooks()]

    async def _token(self) -> tuple[Finding, bool]:
        """Looks at the stored pair before it asks for a token: asking may refresh it."""
        tokens = self._client.tokens
        before = await tokens.stored()
        token = await tokens.current()
        if isinstance(token, Outcome):
            fix = _LOG_IN if token.cls.value == "needs_human" else "try again in some minutes"
            return Finding("token", "problem", f"{token.detail} [{token.code}]", self._login_fix(fix)), False
        now = self._client.clock()
        if before is not None:
            left = _refresh_token_end(before.expires_at) - now
            if left < REFRESH_TOKEN_WARNING:
                told = f"the refresh token was {max(left.days, 0)} days from its end: nothing refreshed it for weeks"
                fix = "let the sweeps run every day (amends serve); this look has refreshed it"
                return Finding("token", "warning", told, fix), True
        pair = await tokens.stored()
        if pair is None:
            return Finding("token", "ok", "an access token is at hand"), True
        told = (
            f"the access token lasts until {_said(pair.expires_at)}, the refresh token until about "
            f"{_said(_refresh_token_end(pair.expires_at))} unless it is refreshed before, as every sweep does"
        )
        return Finding("token", "ok", told), True

    def _login_fix(self, fix: str) -> str:
        return fix if fix != _LOG_IN or self._name == DEFAULT_ACCOUNT else f"{fix} (account {self._name})"

    async def _official_account(self) -> list[Finding]:
        data = await self._lookups.official_account_now()
        what = "official account"
        findings = []
        expected, found = self._settings.oa_id, str(data.get("oa_id") or "")
        if expected and found and expected != found:
            findings.append(
                Finding(
                    what,
                    "problem",
                    f"the tokens belong to Official Account {found}, the settings name {expected}",
                    f"{_LOG_IN} as an administrator of {expected}, or correct {self._setting('oa_id')}",
                )
            )
        if as_flag(data.get("is_verified")) is False:
            findings.append(
                Finding(what, "problem", "is not verified, and Zalo sends no templates for it (-135)",
                        "have it verified in the OA Manager")
            )  # fmt: skip
        if data and not data.get("linked_ZCA"):
            findings.append(
                Finding(what, "warning", "no Zalo Cloud Account is linked, and nothing can be charged (-136)",
                        "link one in the ZBS console, and see that it has money")
            )  # fmt: skip
        if not findings:
            package = f", package {data['package_name']}" if data.get("package_name") else ""
            findings.append(Finding(what, "ok", f"{data.get('name') or 'without a name'} ({found}){package}"))
        return findings

    async def _template(self, template_id: str, uses: Sequence[TemplateUse]) -> list[Finding]:
        info = await self._lookups.template_now(template_id)
        what = f"template {template_id}"
        findings = []
        if not info.enabled:
            told = f"is {info.status or 'in an unknown state'}, used by {_users(uses)}"
            findings.append(Finding(what, "problem", told, "have it approved in the console, or use another"))
        if info.quality == "LOW":
            told = "has low quality: Zalo disables such templates (-146)"
            findings.append(Finding(what, "warning", told, "send it to fewer people, or write it anew"))
        for use in uses:
            findings += [*_tag_findings(what, info, use), *_param_findings(what, info, use)]
        if not findings:
            price = f", {info.price_phone_vnd} VND" if info.price_phone_vnd is not None else ""
            findings.append(Finding(what, "ok", f"{info.name}: {info.kind}{price}, used by {_users(uses)}"))
        return findings

    async def _quota(self) -> list[Finding]:
        data = await self._lookups.quota_now()
        daily, left = as_int(data.get("dailyQuota")), as_int(data.get("remainingQuota"))
        if daily is None or left is None:
            return [Finding("quota", "ok", "Zalo tells no daily quota")]
        told = f"{left} of {daily} messages left today"
        if left < QUOTA_WARNING_SHARE * daily or left <= 0:
            fix = "the rest waits for the next day; Zalo raises the quota of accounts with good quality"
            return [Finding("quota", "warning", told, fix)]
        return [Finding("quota", "ok", told)]

    async def _quality(self) -> list[Finding]:
        data = await self._lookups.quality_now()
        current, week = str(data.get("oaCurrentQuality") or ""), str(data.get("oa7dayQuality") or "")
        told = f"{current or 'untold'} over 48 hours, {week or 'untold'} over 7 days"
        if "LOW" in (current, week):
            fix = "customers report these messages: send fewer; Zalo lowers the quota, then blocks"
            return [Finding("quality", "warning", told, fix)]
        return [Finding("quality", "ok", told)]

    def _webhooks(self) -> Iterator[Finding]:
        settings = self._settings
        if not settings.webhook_secret.get_secret_value():
            yield Finding(
                "webhook",
                "warning",
                "no webhook secret is set: webhooks are not believed, ratings come by polling only",
                f"set {self._setting('webhook_secret')} to the OA secret key of the console's webhook page",
            )
        if not settings.oa_id:
            yield Finding(
                "webhook",
                "warning",
                "no Official Account id is set: webhooks of an app with several accounts cannot be told apart",
                f"set {self._setting('oa_id')}",
            )
        if settings.oa_id and settings.webhook_secret.get_secret_value():
            yield Finding("webhook", "ok", "secret and Official Account id are set")

    def _setting(self, field: str) -> str:
        if self._name == DEFAULT_ACCOUNT:
            return f"AMENDS_ZALO__{field.upper()}"
        return f"{field} of {self._name} in AMENDS_ZALO_ACCOUNTS"


def _tag_findings(what: str, info: TemplateInfo, use: TemplateUse) -> Iterator[Finding]:
    kind = info.kind or "of no known tag"
    if use.purpose == "rating" and kind in ("TRANSACTION", "PROMOTION"):
        told = f"is {kind}, but {use.used_by} asks for a rating, which only tag 2 (CUSTOMER_CARE) can"
        yield Finding(what, "problem", told, "use a rating template (type 5) with tag 2")
    elif use.purpose == "voucher" and kind == "TRANSACTION":
        told = f"is TRANSACTION, but {use.used_by} gives a voucher: Zalo may take it for advertising"
        yield Finding(what, "warning", told, "use a voucher template with tag 3 (or 2)")
    elif use.purpose == "care" and kind == "PROMOTION":
        told = f"is PROMOTION, but {use.used_by} is customer care: one a day and few a month reach a customer"
        yield Finding(what, "warning", told, "use a template with tag 2")
    elif kind not in ("TRANSACTION", "CUSTOMER_CARE", "PROMOTION"):
        yield Finding(what, "warning", f"is {kind}, which we do not know", "look at its tag in the console")


def _param_findings(what: str, info: TemplateInfo, use: TemplateUse) -> Iterator[Finding]:
    for param in info.params:
        sample = use.params.get(param.name, "")
        if sample is None:
            continue
        if trouble := misfit(param, composed({"": sample})[""]):
            fix = f"correct params.{param.name} of {use.used_by}"
            yield Finding(what, "problem", f"{use.used_by}: {trouble}", fix)
    known = {param.name for param in info.params}
    for name in use.params:
        if info.params and name not in known:
            told = f"{use.used_by}: the template has no parameter {name}; it is not sent"
            fix = f"take {name} out; the template has {', '.join(sorted(known))}"
            yield Finding(what, "warning", told, fix)


async def _survived(what: str, part: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """One part's findings, or the one finding that it could not be looked at."""
    try:
        return await part()
    except NeedsHuman as refusal:
        told = f"Zalo refuses to tell: {refusal.detail} [{refusal.code}]"
        return [Finding(what, "problem", told, "see to it in the console: id, permission and linked account")]
    except VendorUnavailable as trouble:
        told = f"could not be looked at now: {trouble.detail or 'no usable answer'} [{trouble.code}]"
        return [Finding(what, "warning", told, "try again in some minutes")]


def _bound(
    look: Callable[[str, Sequence[TemplateUse]], Awaitable[list[Finding]]],
    template_id: str,
    uses: Sequence[TemplateUse],
) -> Callable[[], Awaitable[list[Finding]]]:
    return lambda: look(template_id, uses)


def _users(uses: Sequence[TemplateUse]) -> str:
    return ", ".join(dict.fromkeys(use.used_by for use in uses))


def _refresh_token_end(expires_at: datetime) -> datetime:
    """Three months after the refresh that brought an access token with this end."""
    return expires_at - ACCESS_TOKEN_LIFE + REFRESH_TOKEN_LIFE


def _said(moment: datetime) -> str:
    return moment.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M")
