"""One Official Account's way to Zalo: every call with a token that should work, every answer judged.

Zalo's errors come with HTTP 200; the header is `access_token`, not Bearer (developers.zalo.me, checked
2026-11-23 in stored copies, never against live Zalo).
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import httpx

from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.domain.outcome import Outcome, OutcomeClass
from amends.hosts import EVERY_HOST, AllowedHosts
from amends.settings import ZaloSettings
from connectors.base import Clock, HttpApi, Limits
from connectors.egress import Gate
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.http_answers import json_object
from connectors.ports import TokenVault
from connectors.zalo.answers import data_of, read_outcome, texts_in
from connectors.zalo.codes import Api
from connectors.zalo.oauth import NEW_TOKEN_REFUSED, ZaloTokens

VENDOR = "zalo"


@dataclass(frozen=True, slots=True)
class Answer:
    """One judged answer. `body` is the whole envelope, empty when there was none; it may hold personal data."""

    outcome: Outcome
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def data(self) -> Mapping[str, Any]:
        return data_of(self.body)


class ZaloClient:
    """Calls both hosts for one account. Open `api` first; use within one event loop.

    `account` is the vault's name of the account. The app secret goes to the OAuth host only.
    """

    def __init__(self, api: HttpApi, settings: ZaloSettings, vault: TokenVault, name: str) -> None:
        self.tokens = ZaloTokens(api, settings, vault, name)
        self.account = self.tokens.account
        self.business = settings.business_url.rstrip("/")
        self.openapi = settings.openapi_url.rstrip("/")
        self.clock = api.clock
        self.api = api
        self._secret = settings.secret_key if settings.prove_secret else None

    def __repr__(self) -> str:
        return f"ZaloClient({self.account!r})"

    async def write(self, operation: str, url: str, body: Mapping[str, Any], which: Api) -> Answer:
        """POST something that must not happen twice; any trouble is in the outcome."""

        async def attempt(token: str) -> Answer:
            response = await self.api.write(operation, url, headers=self._headers(token), json=body)
            if isinstance(response, Outcome):
                return Answer(response)
            return self._judge(response, which, chain([token], texts_in(body)))

        return await self._with_token(attempt)

    async def read(
        self,
        operation: str,
        url: str,
        params: Mapping[str, str | int],
        which: Api = Api.TEMPLATES,
        *,
        post: bool = False,
    ) -> Mapping[str, Any]:
        """The envelope of a reading call, whose parameters are in the query even when it must be a POST.

        Raises `VendorUnavailable` when it may work later, `NeedsHuman` when it will not until somebody acts.
        """

        async def attempt(token: str) -> Answer:
            headers = self._headers(token)
            if not post:
                answered = await self.api.read(operation, url, headers=headers, params=params)
                return self._judge(answered, which, [token])
            response = await self.api.write(operation, f"{url}?{urlencode(params)}", headers=headers)
            return (
                Answer(response) if isinstance(response, Outcome) else self._judge(response, which, [token])
            )

        answer = await self._with_token(attempt)
        outcome = answer.outcome
        if outcome.accepted:
            return answer.body
        wait = None if outcome.retry_at is None else (outcome.retry_at - self.clock()).total_seconds()
        waits = outcome.cls in (
            OutcomeClass.RETRY_LATER,
            OutcomeClass.WAIT_FOR_WINDOW,
            OutcomeClass.UNCERTAIN,
        )
        error = VendorUnavailable if waits else NeedsHuman
        raise error(VENDOR, operation, outcome.code or "", outcome.detail, retry_after_s=wait)

    async def _with_token(self, attempt: Callable[[str], Awaitable[Answer]]) -> Answer:
        """Once; and once more with a new token when the first was refused, which means nothing was done."""
        token = await self.tokens.current()
        if isinstance(token, Outcome):
            return Answer(token)
        answer = await self._attempt(attempt, token)
        if answer.outcome.cls is not OutcomeClass.REFRESH_CREDENTIALS:
            return answer
        token = await self.tokens.renewed(token)
        if isinstance(token, Outcome):
            return Answer(token)
        answer = await self._attempt(attempt, token)
        if answer.outcome.cls is OutcomeClass.REFRESH_CREDENTIALS:
            # Refreshing again and again would only burn single-use tokens.
            human = replace(answer.outcome, cls=OutcomeClass.NEEDS_HUMAN, detail=NEW_TOKEN_REFUSED)
            return Answer(human, answer.body)
        return answer

    async def _attempt(self, attempt: Callable[[str], Awaitable[Answer]], token: str) -> Answer:
        answer = await attempt(token)
        if answer.body and answer.outcome.cls is not OutcomeClass.REFRESH_CREDENTIALS:
            self.tokens.worked(token)
        return answer

    def _judge(self, response: httpx.Response, which: Api, sent: Iterable[str]) -> Answer:
        if response.status_code == 401:
            return Answer(
                Outcome(OutcomeClass.REFRESH_CREDENTIALS, code="http_401", detail="access token refused")
            )
        body = json_object(response)
        return Answer(read_outcome(body, self.clock(), which, sent), body or {})

    def _headers(self, token: str) -> dict[str, str]:
        headers = {"access_token": token}
        if self._secret is not None:
            # Vendor's page on appsecret_proof: HMAC-SHA256 of the token under the app secret, in hex.
            key = self._secret.get_secret_value().encode()
            headers["appsecret_proof"] = hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
        return headers


def open_client(
    settings: ZaloSettings,
    clock: Clock,
    vault: TokenVault,
    name: str = DEFAULT_ACCOUNT,
    limits: Limits | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    allowed: AllowedHosts = EVERY_HOST,
) -> ZaloClient:
    """A client with the settings' hosts, time-out and pace, not opened yet: enter its `api`."""
    limits = limits or Limits(
        timeout_s=settings.timeout_seconds,
        budget_s=2 * settings.timeout_seconds,
        per_second=settings.requests_per_second,
    )
    gate = Gate([settings.oauth_url, settings.business_url, settings.openapi_url], allowed)
    return ZaloClient(HttpApi(VENDOR, gate, clock, limits, transport), settings, vault, name)
