"""HTTP/1.1 for the connectors: httpx's requests and answers, over connections of aiohttp, whose parser is in C.

What the ledger stands on is told here: whether a request that failed may have been taken. The moment decides it, not
the name of the exception: until a request is handed to its open connection, nothing of it has left (ADR 0016).
"""

import re
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

LONGEST_IDLE_S = 2.5
"""Idle connections are dropped before the usual server does (5 s and more): a request written to a connection that the
server is just closing would be an unknown send for no good reason."""

LEAVING = "leaving"
"""The extension of a request that is called, without arguments, at the last moment before it leaves. What it raises
comes out of the transport as it is, and the request stays here."""

_HEADER_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
"""RFC 9110, 5.5: no control characters, no blanks at the ends."""


class _Departure:
    """One request's way out."""

    __slots__ = ("_last_look", "left")

    def __init__(self, last_look: Callable[[], None] | None) -> None:
        self._last_look = last_look
        self.left = False

    def now(self) -> None:
        if self._last_look is not None:
            self._last_look()
        self.left = True


_departure: ContextVar[_Departure] = ContextVar("departure")


class _Request(aiohttp.ClientRequest):
    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        # The requests that set up a tunnel through a proxy come here, too, and carry nothing of ours.
        if self.method != "CONNECT":
            _departure.get().now()
        return await super().send(conn)


class Transport(httpx.AsyncBaseTransport):
    """One pool of connections for one event loop, made at its first request. As many are open as calls are.

    `connect_s` and `read_s` are seconds: to a connection, and between two pieces of an answer. Answers come whole.
    Follows no redirects, keeps no cookies, honours the proxies of the environment.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext], *, connect_s: float, read_s: float) -> None:
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=read_s)
        self._session: aiohttp.ClientSession | None = None
        self._proxy_of = lru_cache(maxsize=64)(_proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `httpx.ConnectError`, `ConnectTimeout` or `ProxyError` when the request surely has not left,
        `LocalProtocolError` when it can be no request, and any other `httpx.TransportError` when nobody knows.
        """
        headers, url = _headers(request), _url(request)
        departure = _Departure(request.extensions.get(LEAVING))
        token = _departure.set(departure)
        try:
            async with self._open().request(
                request.method,
                url,
                headers=headers,
                data=request.read() or None,
                allow_redirects=False,
                proxy=self._proxy_of(url.scheme, url.host or ""),
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise (_broken(error) if departure.left else _never_left(error)) from None
        finally:
            _departure.reset(token)
        return httpx.Response(answer.status, headers=answer.raw_headers, content=body, request=request)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # How many may be open is decided before, where who waits has no time-out running.
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls(), keepalive_timeout=LONGEST_IDLE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,  # httpx does, by the headers of the answer
                request_class=_Request,
                skip_auto_headers=("Content-Type",),
            )
        return self._session


def _url(request: httpx.Request) -> URL:
    try:
        return _known_url(str(request.url))
    except ValueError:
        raise httpx.LocalProtocolError("an address that aiohttp cannot read") from None


@lru_cache(maxsize=256)
def _known_url(url: str) -> URL:
    """As it is written: httpx has encoded it, and a gate has looked at that very spelling."""
    return URL(url, encoded=True)


def _headers(request: httpx.Request) -> CIMultiDict[str]:
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.raw:
        if _HEADER_VALUE.fullmatch(value) is None:
            raise httpx.LocalProtocolError("a header holds characters that no header may hold")
        sent.add(name.decode("ascii"), value.decode("latin-1"))
    return sent


def _proxy(scheme: str, host: str) -> str | None:
    if proxy_bypass(host):
        return None
    proxies = getproxies()
    address = proxies.get(scheme) or proxies.get("all")
    return address if address is None or "://" in address else f"http://{address}"


def _never_left(error: Exception) -> httpx.TransportError:
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return httpx.ProxyError("the proxy makes no connection")
    if isinstance(error, TimeoutError):
        return httpx.ConnectTimeout("no connection in time")
    return httpx.ConnectError("no connection")


def _broken(error: Exception) -> httpx.TransportError:
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no answer in time")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return httpx.RemoteProtocolError("no answer of HTTP")
    return httpx.ReadError("the connection broke")
