"""One attempt to deliver a webhook, on the wire: sound, or spoilt in one of the ways that a fault script names."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx

from sandbox import events
from sandbox.clock import epoch_ms
from sandbox.events import Body

PATIENCE_SECONDS = 2.0
"""Zalo waits this long for the receiver's 200."""

_OVERSIZE = 2 * 1024 * 1024
_STALE_BY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go. Without `tracking_id`, every event's tracking id is empty, as Zalo's often are."""

    url: str
    secret: str
    tracking_id: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt: an HTTP status, or the reason why there was none."""

    status: int | None
    error: str | None = None

    @property
    def taken(self) -> bool:
        """Only 200 counts."""
        return self.status == 200


def client(connections: int) -> httpx.AsyncClient:
    """The client that all webhooks share."""
    # Idle connections go before any usual server closes them, which would look like a refusal.
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=2
    )
    return httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)  # noqa: S113 - `post` has its own


async def post(
    http: httpx.AsyncClient, to: Endpoint, body: Body, *, retry: int = 0, fault: str | None = None
) -> Outcome:
    """Sign and send one event (already complete); `retry` counts from 1 and goes out as `num_retry`.

    Never raises: a receiver that cannot be reached is an Outcome without a status.
    """
    if fault == "stale":
        sent = datetime.fromtimestamp(int(body["timestamp"]) / 1000).astimezone()
        body = {**body, "timestamp": str(epoch_ms(sent - _STALE_BY))}
    if fault == "oversized":
        body = {**body, "padding": "x" * _OVERSIZE}
    if fault == "no_tracking_id" or not to.tracking_id:
        body = events.without_tracking_id(body)
    raw = events.written(body)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ZaloWebhook",
        "X-ZEvent-Server": events.server_of(body),
        "X-ZEvent-Signature": events.signature(body, raw, "forged" if fault == "forged" else to.secret),
    }
    if retry:
        headers["num_retry"] = str(retry)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            if fault == "truncated":
                await _truncated(to.url, headers, raw)
                return Outcome(None, "truncated")
            answer = await http.post(to.url, content=raw, headers=headers)
            return Outcome(answer.status_code)
    except TimeoutError:
        return Outcome(None, "no answer within 2 s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Outcome(None, type(error).__name__)


async def _truncated(url: str, headers: Mapping[str, str], raw: bytes) -> None:
    """Announce the whole body, send half of it, hang up."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    _reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure or None)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(raw)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + raw[: len(raw) // 2])
        await writer.drain()
    finally:
        writer.close()
        await writer.wait_closed()
