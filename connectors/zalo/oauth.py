"""Care for the tokens of one Zalo app and Official Account (OAuth v4), and the consent they come from.

Facts (developers.zalo.me "Official Account access token v4" and public clients, checked 2026-11-23): the
access token lives 25 h; the refresh token lives 3 months, works *once*, and is replaced with every refresh;
a new access token ends the old one; errors come as HTTP 200 with a negative `error`, sometimes without any
message. Losing the answer of one refresh can therefore end the whole installation until somebody gives
consent again, hence: one refresher at a time over all processes, and the new pair is stored before use.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import structlog
from tenacity import AsyncRetrying, stop_after_attempt, wait_exponential

from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.domain.outcome import Outcome, OutcomeClass
from amends.settings import ZaloSettings
from connectors.base import HttpApi
from connectors.http_answers import json_object
from connectors.ports import Tokens, TokenVault, VaultProblem
from connectors.zalo.answers import as_int
from connectors.zalo.codes import OAUTH_CODES, REFRESH_TOKEN_DEAD

log = structlog.get_logger()

ACCESS_TOKEN_LIFE = timedelta(hours=25)
REFRESH_TOKEN_LIFE = timedelta(days=90)
"""Documented as three months; whether a refresh starts them afresh is said by some sources and denied by none."""
REFRESH_WHEN_LEFT = timedelta(hours=5)
NEW_TOKEN_REFUSED = "a brand-new access token was refused: does another program refresh this app's tokens?"  # noqa: S105
_NEW_FOR = timedelta(minutes=1)
_LAST_MINUTE = timedelta(minutes=1)
_HOLD_AFTER_FAILURE = timedelta(seconds=30)


def new_verifier() -> str:
    """A secret of 43 random characters for one consent (PKCE); keep it until Zalo calls back."""
    return secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    """What Zalo is shown of the verifier beforehand: base64url of its SHA-256, without padding."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def consent_url(settings: ZaloSettings, challenge: str, state: str) -> str:
    """The page where an administrator of the Official Account gives consent.

    Zalo then sends the browser to `redirect_uri` with `code` (10 minutes, works once), `oa_id` and `state`, which
    must be compared with the one given here.
    """
    query = {
        "app_id": settings.app_id,
        "redirect_uri": settings.redirect_uri,
        "code_challenge": challenge,
        "state": state,
    }
    return f"{settings.oauth_url.rstrip('/')}/v4/oa/permission?{urlencode(query)}"


def account_key(settings: ZaloSettings, name: str) -> str:
    """The vault's name of an account: several Official Accounts may share one app."""
    return f"zalo:{settings.app_id}" + ("" if name == DEFAULT_ACCOUNT else f":{name}")


class ZaloTokens:
    """Hands out an access token that should work. One per connector; `api` must be open.

    `current` and `renewed` return the token, or the `Outcome` that every send then shares: `RETRY_LATER`
    when the OAuth host is away, `NEEDS_HUMAN` when it refuses. A failure is remembered for half a minute, so
    that a thousand waiting sends do not ask a thousand times.
    """

    def __init__(
        self, api: HttpApi, settings: ZaloSettings, vault: TokenVault, name: str = DEFAULT_ACCOUNT
    ) -> None:
        self.account = account_key(settings, name)
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
        self._minted: tuple[str, datetime] | None = None
        self._refused: str | None = None

    def __repr__(self) -> str:
        return f"ZaloTokens({self.account!r})"

    async def current(self) -> str | Outcome:
        """The access token, refreshed first when less than five of its 25 hours are left.

        Never one the API has refused, not even while no other can be had: a call with it can only fail, and one
        whose answer is lost on top would leave a message in doubt for nothing.
        """
        if self._tokens is not None and self._fresh(self._tokens, self._refused):
            return self._tokens.access_token
        return await self._renew(self._refused)

    async def renewed(self, rejected: str) -> str | Outcome:
        """Another access token than `rejected`, which the API has just refused (-124)."""
        self._refused = rejected
        return await self._renew(rejected)

    def worked(self, token: str) -> None:
        """Note that the API has taken this token: should it be refused later, it has really died."""
        if self._minted is not None and self._minted[0] == token:
            self._minted = None

    async def keep_alive(self) -> Outcome:
        """Refresh the pair when it is older than 20 hours, so that the refresh token of an idle brand never dies.

        `ACCEPTED` when the pair is fresh or has just been refreshed; else what stands in the way, even while
        the old access token still works.
        """
        token = await self.current()
        if isinstance(token, Outcome):
            return token
        if self._tokens is not None and not self._fresh(self._tokens, None) and self._failure is not None:
            return self._failure[0]
        return Outcome(OutcomeClass.ACCEPTED, detail="the tokens are fresh")

    async def stored(self) -> Tokens | None:
        """The pair in the vault as it is, nothing refreshed."""
        return await self._load()

    async def log_in(self, code: str, verifier: str) -> Tokens | Outcome:
        """Trade the code of a fresh consent for the first pair, which is stored before this returns.

        `NEEDS_HUMAN` when Zalo refuses code, secret or app; `RETRY_LATER` when it surely never saw the code,
        which stays good for ten minutes; `UNCERTAIN` when the code may be spent: give consent again.
        """
        async with self._mutex:
            answer = await self._alone(lambda: self._trade(code, verifier))
            if isinstance(answer, Tokens):
                self._tokens, self._failure = answer, None
            else:
                log.error(f"zalo.login.{answer.cls.value}", code=answer.code, detail=answer.detail)
            return answer

    async def _trade(self, code: str, verifier: str) -> Tokens | Outcome:
        form = {"code": code, "grant_type": "authorization_code", "code_verifier": verifier}
        answer = await self._ask("log_in", form, refresh_token="")
        if isinstance(answer, Tokens):
            await self._save(answer)
            log.info("zalo.login.accepted", expires_at=answer.expires_at.isoformat())
        return answer

    async def _renew(self, rejected: str | None) -> str | Outcome:
        async with self._mutex:
            if self._tokens is not None and self._fresh(self._tokens, rejected):
                return self._tokens.access_token
            answer: Tokens | Outcome
            now = self._api.clock()
            if self._failure is not None and now < self._failure[1]:
                answer = self._failure[0]
            else:
                answer = await self._from_vault(rejected)
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

    async def _from_vault(self, rejected: str | None) -> Tokens | Outcome:
        try:
            self._tokens = await self._load()
            if self._tokens is not None and self._fresh(self._tokens, rejected):
                return self._tokens
            return await self._alone(lambda: self._refresh_once(rejected))
        except VaultProblem as problem:
            return Outcome(OutcomeClass.NEEDS_HUMAN, code="vault", detail=str(problem))
        except Exception as error:
            # Our own database is away, whatever it is. The message has not left: it may be tried again.
            detail = "our own database did not give the tokens, or did not take them"
            return Outcome(OutcomeClass.RETRY_LATER, code=type(error).__name__, detail=detail)

    async def _alone(self, work: Callable[[], Awaitable[Tokens | Outcome]]) -> Tokens | Outcome:
        """Do `work` while no other process changes this account's tokens."""
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
            return await work()
        finally:
            await asyncio.to_thread(self._vault.release, self.account, self._holder)

    async def _refresh_once(self, rejected: str | None) -> Tokens | Outcome:
        # Whoever held the lock before us may have done the work.
        stored = await self._load()
        if stored is not None and self._fresh(stored, rejected):
            return stored
        now = self._api.clock()
        if self._minted is not None and self._minted[0] == rejected and now - self._minted[1] < _NEW_FOR:
            return Outcome(OutcomeClass.NEEDS_HUMAN, code="new_token_refused", detail=NEW_TOKEN_REFUSED)
        return await self._refresh(stored)

    async def _refresh(self, stored: Tokens | None) -> Tokens | Outcome:
        first = self._settings.refresh_token.get_secret_value()
        known = [stored.refresh_token] if stored is not None else []
        # After a new consent the operator's token is in the settings while the store still has the dead one.
        answer: Tokens | Outcome = Outcome(
            OutcomeClass.NEEDS_HUMAN,
            code="no_token",
            detail="no consent yet: run `amends zalo login`, or set AMENDS_ZALO__REFRESH_TOKEN",
        )
        for refresh_token in dict.fromkeys(token for token in (*known, first) if token):
            form = {"refresh_token": refresh_token, "grant_type": "refresh_token"}
            answer = await self._ask("refresh_token", form, refresh_token)
            if isinstance(answer, Tokens):
                await self._save(answer)
                self._minted = (answer.access_token, self._api.clock())
                log.info("zalo.token.refreshed", expires_at=answer.expires_at.isoformat())
                return answer
            if answer.cls is OutcomeClass.UNCERTAIN:
                # Whatever became of the refresh, the *message* has not left: its send may be tried again.
                answer = replace(answer, cls=OutcomeClass.RETRY_LATER)
            if answer.code != str(REFRESH_TOKEN_DEAD):
                return answer
        return answer

    async def _ask(self, operation: str, form: Mapping[str, str], refresh_token: str) -> Tokens | Outcome:
        settings, asked_at = self._settings, self._api.clock()
        response = await self._api.write(
            operation,
            f"{settings.oauth_url.rstrip('/')}/v4/oa/access_token",
            headers={"secret_key": settings.secret_key.get_secret_value()},
            form={**form, "app_id": settings.app_id},
        )
        if not isinstance(response, Outcome):
            return read_token_answer(json_object(response) or {}, refresh_token, asked_at)
        if response.code == "http_404":
            # A gateway before a host that is being changed says so too; nobody's consent is lost by waiting.
            return Outcome(
                OutcomeClass.RETRY_LATER, code=response.code, detail="the OAuth page was not found"
            )
        if response.cls is OutcomeClass.PAYLOAD_REFUSED:
            # Not the message was refused, but our standing with the OAuth host.
            response = replace(response, cls=OutcomeClass.NEEDS_HUMAN)
        return replace(response, detail=f"no token could be had: {response.detail}")

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

    `now` (aware UTC) is when the token was asked for. An answer without a new refresh token keeps the
    one we have, for want of a better.
    """
    access, fresh = body.get("access_token"), body.get("refresh_token")
    if isinstance(access, str) and access:
        return Tokens(
            access_token=access,
            refresh_token=fresh if isinstance(fresh, str) and fresh else refresh_token,
            expires_at=now + _life(body.get("expires_in")),
        )
    code = as_int(body.get("error"))
    if code is None:
        return Outcome(
            OutcomeClass.RETRY_LATER, code="empty_answer", detail="the OAuth host answered without a token"
        )
    return Outcome(
        OutcomeClass.NEEDS_HUMAN,
        code=str(code),
        detail=OAUTH_CODES.get(code, "the OAuth host refused with a code we do not know"),
    )


def _life(expires_in: object) -> timedelta:
    seconds = as_int(expires_in)
    # Longer than a refresh token lives is a mistake, and beyond the calendar it would lose us the pair just bought.
    if seconds is None or not 0 < seconds <= REFRESH_TOKEN_LIFE.total_seconds():
        return ACCESS_TOKEN_LIFE
    return timedelta(seconds=seconds)
