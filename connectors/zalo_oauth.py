"""Care for the tokens of one Zalo app and Official Account (OAuth v4).

Facts (developers.zalo.me "Official Account access token v4" and public clients, checked 2026-11-23): the
access token lives 25 h; the refresh token lives 3 months, works *once*, and is replaced with every refresh;
a new access token ends the old one; errors come as HTTP 200 with a negative `error`, sometimes without any
message. Losing the answer of one refresh can therefore end the whole installation until somebody gives
consent again, hence: one refresher at a time over all processes, and the new pair is stored before use.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from tenacity import AsyncRetrying, stop_after_attempt, wait_exponential

from amends.domain.outcome import Outcome, OutcomeClass
from amends.settings import ZaloSettings
from connectors.base import HttpApi
from connectors.http_answers import json_object
from connectors.ports import Tokens, TokenVault
from connectors.zalo_codes import OAUTH_CODES, REFRESH_TOKEN_DEAD

log = structlog.get_logger()

ACCESS_TOKEN_LIFE = timedelta(hours=25)
REFRESH_WHEN_LEFT = timedelta(hours=5)
_LAST_MINUTE = timedelta(minutes=1)
_HOLD_AFTER_FAILURE = timedelta(seconds=30)


class ZaloTokens:
    """Hands out an access token that should work. One per connector; `api` must be open.

    `current` and `renewed` return the token, or the `Outcome` that every send then shares: `RETRY_LATER`
    when the OAuth host is away, `NEEDS_HUMAN` when it refuses. A failure is remembered for half a minute, so
    that a thousand waiting sends do not ask a thousand times.
    """

    def __init__(self, api: HttpApi, settings: ZaloSettings, vault: TokenVault) -> None:
        self.account = f"zalo:{settings.app_id}"
        self._api = api
        self._settings = settings
        self._vault = vault
        self._holder = uuid4().hex
        # Longer than all attempts of one refresh together: a lock that ends before the call does would let a
        # second refresher burn the single-use token.
        self._lease = timedelta(seconds=api.limits.budget_s + 3 * api.limits.timeout_s + 30)
        self._mutex = asyncio.Lock()
        self._tokens: Tokens | None = None
        self._failure: tuple[Outcome, datetime] | None = None

    def __repr__(self) -> str:
        return f"ZaloTokens({self.account!r})"

    async def current(self) -> str | Outcome:
        """The access token, refreshed first when less than five of its 25 hours are left."""
        if self._tokens is not None and self._fresh(self._tokens, None):
            return self._tokens.access_token
        return await self._renew(rejected=None)

    async def renewed(self, rejected: str) -> str | Outcome:
        """Another access token than `rejected`, which the API has just refused (-124)."""
        return await self._renew(rejected)

    async def _renew(self, rejected: str | None) -> str | Outcome:
        async with self._mutex:
            if self._tokens is not None and self._fresh(self._tokens, rejected):
                return self._tokens.access_token
            answer: Tokens | Outcome
            now = self._api.clock()
            if self._failure is not None and now < self._failure[1]:
                answer = self._failure[0]
            else:
                self._tokens = await self._load()
                if self._tokens is not None and self._fresh(self._tokens, rejected):
                    return self._tokens.access_token
                answer = await self._refresh_alone(rejected)
            if isinstance(answer, Tokens):
                self._tokens, self._failure = answer, None
                return answer.access_token
            if self._failure is None or self._failure[0] is not answer:
                self._failure = (answer, now + _HOLD_AFTER_FAILURE)
                log.error(f"zalo.token.{answer.cls.value}", code=answer.code, detail=answer.detail)
            # Refreshing early failed, but the old token still has hours: customers need not wait for it.
            if self._tokens is not None and self._fresh(self._tokens, rejected, left=_LAST_MINUTE):
                return self._tokens.access_token
            return answer

    async def _refresh_alone(self, rejected: str | None) -> Tokens | Outcome:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._api.limits.budget_s
        while not await self._lock():
            if loop.time() > give_up:
                return Outcome(
                    OutcomeClass.RETRY_LATER,
                    code="token_lock",
                    detail="another process is refreshing the token",
                )
            await asyncio.sleep(0.1)
        try:
            # Whoever held the lock before us may have done the work.
            stored = await self._load()
            if stored is not None and self._fresh(stored, rejected):
                return stored
            return await self._refresh(stored)
        finally:
            await asyncio.to_thread(self._vault.release, self.account, self._holder)

    async def _refresh(self, stored: Tokens | None) -> Tokens | Outcome:
        first = self._settings.refresh_token.get_secret_value()
        known = [stored.refresh_token] if stored is not None else []
        # After a new consent the operator's token is in the settings while the store still has the dead one.
        answer: Tokens | Outcome = Outcome(
            OutcomeClass.NEEDS_HUMAN, code="no_token", detail="set AMENDS_ZALO__REFRESH_TOKEN"
        )
        for refresh_token in dict.fromkeys(token for token in (*known, first) if token):
            answer = await self._exchange(refresh_token)
            if isinstance(answer, Tokens):
                await self._save(answer)
                log.info("zalo.token.refreshed", expires_at=answer.expires_at.isoformat())
                return answer
            if answer.code != str(REFRESH_TOKEN_DEAD):
                return answer
        return answer

    async def _exchange(self, refresh_token: str) -> Tokens | Outcome:
        settings = self._settings
        asked_at = self._api.clock()
        response = await self._api.write(
            "refresh_token",
            f"{settings.oauth_url.rstrip('/')}/v4/oa/access_token",
            headers={"secret_key": settings.secret_key.get_secret_value()},
            form={
                "refresh_token": refresh_token,
                "app_id": settings.app_id,
                "grant_type": "refresh_token",
            },
        )
        if isinstance(response, Outcome):
            if response.cls is OutcomeClass.NEEDS_HUMAN:
                return response
            # Whatever became of the refresh, the *message* has not left: its send may be tried again.
            return Outcome(
                OutcomeClass.RETRY_LATER,
                code=response.code,
                detail=f"the token could not be refreshed: {response.detail}",
                retry_at=response.retry_at,
            )
        return read_token_answer(json_object(response) or {}, refresh_token, asked_at)

    async def _save(self, tokens: Tokens) -> None:
        # The old refresh token is spent: if this pair is lost, so is the account. Worth some seconds.
        retrying = AsyncRetrying(stop=stop_after_attempt(5), wait=wait_exponential(0.2, max=3), reraise=True)
        await retrying(asyncio.to_thread, self._vault.save, self.account, tokens)

    async def _load(self) -> Tokens | None:
        return await asyncio.to_thread(self._vault.load, self.account)

    async def _lock(self) -> bool:
        now = self._api.clock()
        return await asyncio.to_thread(
            self._vault.acquire, self.account, self._holder, now + self._lease, now
        )

    def _fresh(self, tokens: Tokens, rejected: str | None, left: timedelta = REFRESH_WHEN_LEFT) -> bool:
        return tokens.access_token != rejected and tokens.expires_at - self._api.clock() > left


def read_token_answer(body: Mapping[str, Any], refresh_token: str, now: datetime) -> Tokens | Outcome:
    """Tokens only when the body has a non-empty access token; everything else is classified, never stored.

    `now` (aware UTC) is when the refresh was asked for. An answer without a new refresh token keeps the
    one we have, for want of a better.
    """
    access = body.get("access_token")
    if isinstance(access, str) and access:
        return Tokens(
            access_token=access,
            refresh_token=str(body.get("refresh_token") or refresh_token),
            expires_at=now + _life(body.get("expires_in")),
        )
    try:
        code = int(str(body.get("error")))
    except ValueError:
        return Outcome(
            OutcomeClass.RETRY_LATER, code="empty_answer", detail="the OAuth host answered without a token"
        )
    return Outcome(
        OutcomeClass.NEEDS_HUMAN,
        code=str(code),
        detail=OAUTH_CODES.get(code, "the OAuth host refused with a code we do not know"),
    )


def _life(expires_in: object) -> timedelta:
    try:
        seconds = int(str(expires_in))
    except ValueError:
        return ACCESS_TOKEN_LIFE
    return timedelta(seconds=seconds) if seconds > 0 else ACCESS_TOKEN_LIFE
