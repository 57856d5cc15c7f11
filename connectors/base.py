"""What every HTTP connector shares: connections, time-outs, pacing, short retries, and an honest "unknown".

Three rings of retry (DESIGN 5.5): this is the innermost, for trouble that passes within seconds. A request
is repeated here only if it surely was not taken or is safe to repeat; everything longer is the ledger's
affair (`RETRY_LATER`), and everything doubtful is `UNCERTAIN` and never repeated.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from json import dumps
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import structlog
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_exponential_jitter

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.egress import Gate, HostRefused
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.fence import TOO_LATE, fence
from connectors.http_answers import refused, retry_after_s
from connectors.transport import LEAVING, Transport

Clock = Callable[[], datetime]
"""Tells the time as aware UTC; the demo and the tests advance it."""

log = structlog.get_logger()

LONGEST_WAIT_S = 5.0
"""A `Retry-After` above this is left to the ledger: no sweep sits on a claimed case for minutes."""

_NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
)
_BAD_SETTINGS = Outcome(
    OutcomeClass.NEEDS_HUMAN,
    code="settings",
    detail="no request can be made of these settings: check the vendor's address, and the token for odd characters",
)
_BAD_TEXT = Outcome(
    OutcomeClass.PAYLOAD_REFUSED, code="text", detail="the text holds characters that UTF-8 cannot carry"
)


def _not_there(refusal: HostRefused) -> Outcome:
    return Outcome(OutcomeClass.NEEDS_HUMAN, code="host", detail=f"no request was made: {refusal}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard and how long one connector tries. Times in seconds.

    `budget_s` bounds all attempts of one call together: no attempt starts after it.
    """

    timeout_s: float = 10
    budget_s: float = 20
    attempts: int = 3
    per_second: float = 50
    connections: int = 64


class _NotTakenError(Exception):
    """This attempt surely did nothing (or was a read): it may be repeated."""

    def __init__(self, code: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(code)
        self.code, self.detail, self.retry_after_s = code, detail, retry_after_s


class _UnknownFateError(Exception):
    """The request may have been taken; nobody knows."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


class _NeverMadeError(Exception):
    """No request was made: none can be of these settings or this text, or it is too late for one."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


_known_url = lru_cache(maxsize=64)(httpx.URL)
"""Reading an address takes longer than all else that is done with it, and nearly every call goes to one of a few."""


_OURS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "amends"}
"""Headers of every request. Compressions as httpx reads them with nothing installed besides."""


@cache
def _tls() -> ssl.SSLContext:
    """One TLS context per process: loading the certificates costs 20 ms, and every sweep opens its own client."""
    return httpx.create_ssl_context()


class HttpApi:
    """One vendor's HTTP API for one event loop. Use as `async with`; opened once per sweep.

    Connections and `AsyncLimiter` belong to the loop they first run in, hence they are made on entering.
    `gate` says which hosts it may reach. Redirects are never followed: they would carry the access token away.
    """

    def __init__(
        self,
        vendor: str,
        gate: Gate,
        clock: Clock,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.vendor = vendor
        self.gate = gate
        self.clock = clock
        self.limits = limits or Limits()
        self._transport = transport or Transport(
            _tls, connect_s=min(self.limits.timeout_s, 5), read_s=self.limits.timeout_s
        )
        self._turns: asyncio.Semaphore | None = None
        self._limiter: AsyncLimiter | None = None

    def __repr__(self) -> str:
        return f"HttpApi({self.vendor!r})"

    async def __aenter__(self) -> Self:
        rate = self.limits.per_second
        self._turns = asyncio.Semaphore(self.limits.connections)
        self._limiter = AsyncLimiter(rate, 1) if rate >= 1 else AsyncLimiter(1, 1 / rate)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()
        self._turns = self._limiter = None

    async def write(
        self,
        operation: str,
        url: str,
        *,
        headers: Mapping[str, str],
        json: Any = None,
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response | Outcome:
        """POST something that must not happen twice.

        Returns the response when the vendor answered with 2xx or 401 (the connector reads both), else
        the outcome: `RETRY_LATER` (surely not taken), `UNCERTAIN`, `PAYLOAD_REFUSED` or `NEEDS_HUMAN`.
        """

        async def attempt() -> httpx.Response:
            response = await self._request(lambda: _post(url, headers, json, form), repeatable=False)
            # 503 and 429 are said by a gate before the work is done. Any other 5xx can come after it: a 500
            # thrown while the answer was being written, a 502/504 from a proxy that lost its upstream.
            if response.status_code >= 500:
                raise _UnknownFateError(
                    f"http_{response.status_code}", "the server failed while working on it"
                )
            return response

        try:
            response = await self._patiently(attempt)
        except _NotTakenError as trouble:
            return self._later(trouble)
        except _UnknownFateError as doubt:
            return Outcome(OutcomeClass.UNCERTAIN, code=doubt.code, detail=doubt.detail)
        except _NeverMadeError as reason:
            return reason.outcome
        if response.is_success or response.status_code == 401:
            return response
        return refused(response.status_code)

    async def read(
        self, operation: str, url: str, *, headers: Mapping[str, str], params: Mapping[str, str | int]
    ) -> httpx.Response:
        """GET something; repeated freely within the budget. Returns the response to a 2xx or 401.

        Raises `VendorUnavailable` when it stays down, `NeedsHuman` when asking again cannot help.
        """

        async def attempt() -> httpx.Response:
            response = await self._request(lambda: _get(url, headers, params), repeatable=True)
            if response.status_code >= 500:
                raise _NotTakenError(f"http_{response.status_code}", "the server failed")
            return response

        try:
            response = await self._patiently(attempt)
        except _NotTakenError as trouble:
            raise VendorUnavailable(
                self.vendor, operation, trouble.code, trouble.detail, retry_after_s=trouble.retry_after_s
            ) from None
        except _NeverMadeError as reason:
            wrong = reason.outcome
            raise NeedsHuman(self.vendor, operation, wrong.code or "", wrong.detail) from None
        if response.is_success or response.status_code == 401:
            return response
        final = refused(response.status_code)
        raise NeedsHuman(self.vendor, operation, final.code or "", final.detail)

    async def _patiently(self, attempt: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        limits, began = self.limits, monotonic()
        try:
            # Nearly always the last one. The retrying machine costs a quarter of a whole call, so it starts with a
            # failure.
            return await attempt()
        except _NotTakenError as trouble:
            failed = [trouble]

        async def again() -> httpx.Response:
            if failed:
                raise failed.pop()
            return await attempt()

        left_s = limits.budget_s - (monotonic() - began)
        retrying = AsyncRetrying(
            retry=retry_if_exception(_passes_soon),
            wait=_wait,
            stop=stop_after_attempt(limits.attempts) | stop_before_delay(left_s),
            reraise=True,
        )
        return await retrying(again)

    async def _request(self, make: Callable[[], httpx.Request], *, repeatable: bool) -> httpx.Response:
        if self._turns is None or self._limiter is None:
            raise RuntimeError(f"{self!r} is not open: use it inside `async with`")
        await self._limiter.acquire()
        try:
            request = make()
            self.gate(request)
            if not repeatable and fence().leave_before is not None:
                # Waiting for a connection takes time too, so the look is taken when the first byte is about to go.
                request.extensions[LEAVING] = self._stop_at_the_fence
            # Each read is timed; a server that drips one byte a second needs a deadline of its own. It begins with this
            # call's turn: who waits for that has sent nothing, and must not end as a doubt.
            async with self._turns, asyncio.timeout(2 * self.limits.timeout_s):
                response = await self._transport.handle_async_request(request)
                await response.aread()
        except HostRefused as refusal:
            raise _NeverMadeError(_not_there(refusal)) from None
        # `from None` throughout: an httpx exception holds the request and with it the token.
        except UnicodeEncodeError as error:
            # Bodies are UTF-8, headers and host names are not.
            raise _NeverMadeError(_BAD_TEXT if error.encoding == "utf-8" else _BAD_SETTINGS) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise _NeverMadeError(_BAD_SETTINGS) from None
        except _NEVER_LEFT as error:
            raise _NotTakenError(type(error).__name__, "no connection") from None
        except (httpx.RequestError, TimeoutError) as error:
            detail = f"no answer within {self.limits.timeout_s:g} s or a broken connection"
            if repeatable:
                raise _NotTakenError(type(error).__name__, detail) from None
            raise _UnknownFateError(type(error).__name__, detail) from None
        if response.status_code in (429, 503):
            raise _NotTakenError(
                f"http_{response.status_code}", "busy", retry_after_s(response.headers, self.clock())
            )
        return response

    def _stop_at_the_fence(self) -> None:
        if fence().closed(self.clock()):
            raise _NeverMadeError(TOO_LATE)

    def _later(self, trouble: _NotTakenError) -> Outcome:
        wait = trouble.retry_after_s
        return Outcome(
            OutcomeClass.RETRY_LATER,
            code=trouble.code,
            detail=trouble.detail,
            retry_at=None if wait is None else self.clock() + timedelta(seconds=wait),
        )


def _get(url: str, headers: Mapping[str, str], params: Mapping[str, str | int]) -> httpx.Request:
    return httpx.Request("GET", _known_url(url), params=params, headers={**_OURS, **headers})


def _post(url: str, headers: Mapping[str, str], json: Any, form: Mapping[str, str] | None) -> httpx.Request:
    """`httpx.Request` spends three quarters of its time on what it adds to a body that it encodes itself."""
    sent, body = {**_OURS, **headers}, b""
    if json is not None:
        sent["content-type"] = "application/json"
        body = dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    elif form is not None:
        sent["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode(form).encode()
    return httpx.Request("POST", _known_url(url), headers=sent, stream=httpx.ByteStream(body))


class HttpConnector:
    """Base of a connector that is one `HttpApi` and nothing else to open: the two open and close together."""

    def __init__(self, api: HttpApi) -> None:
        self._api = api

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._api.vendor!r})"

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)


def _passes_soon(error: BaseException) -> bool:
    return isinstance(error, _NotTakenError) and (error.retry_after_s or 0) <= LONGEST_WAIT_S


_backoff = wait_exponential_jitter(multiplier=0.2, max=2, jitter=0.2)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _NotTakenError) and error.retry_after_s is not None:
        return error.retry_after_s
    return _backoff(state)


def log_outcome(vendor: str, verb: str, outcome: Outcome, **ids: str | None) -> None:
    """One line per settled call, named `vendor.verb.outcome`, with ids only."""
    write = log.debug if outcome.accepted else log.warning
    write(
        f"{vendor}.{verb}.{outcome.cls.value}",
        code=outcome.code,
        provider_id=outcome.provider_id,
        detail=outcome.detail,
        **ids,
    )
