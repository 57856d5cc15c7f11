"""A real desk on a free port, and webhooks signed as the vendors sign them."""

import asyncio
import hashlib
import hmac
import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.settings import Settings, ZaloSettings
from amends.store.opening import open_spool
from amends.store.spool import Spool, Spooled
from desk.app import create_app
from desk.counts import Counts, Outcome
from desk.limits import Limits
from desk.serving import listen, serve_desk
from desk.writer import SpoolWriter
from tests.conftest import KEY, MONDAY

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + b64encode(b"the secret before this one").decode()
OA_SECRET = "oa-secret"
NOW_MS = int(MONDAY.timestamp() * 1000)
NOW_S = int(MONDAY.timestamp())

_stopping: set["asyncio.Task[None]"] = set()

Signed = tuple[bytes, dict[str, str]]
"""A body and its headers."""


def zalo(app_id: str, oa_id: str, secret: str) -> ZaloSettings:
    return ZaloSettings(app_id=app_id, oa_id=oa_id, webhook_secret=SecretStr(secret))


def desk_settings(home: Path) -> Settings:
    """One account with an app of its own, two that share an app and its secret, one without a secret."""
    return Settings(
        home=home,
        encryption_keys=[SecretStr(KEY)],
        zalo=zalo("app-1", "oa-1", OA_SECRET),
        zalo_accounts={
            "hanoi": zalo("app-2", "oa-2", "shared-secret"),
            "saigon": zalo("app-2", "oa-3", "shared-secret"),
            "closed": zalo("app-4", "oa-4", ""),
        },
        webhook_secrets={"till": SecretStr(f"{OLD_SECRET} {SECRET}"), "survey": SecretStr(OLD_SECRET)},
    )


def wrote(msg_id: str = "m1", **changes: Any) -> dict[str, Any]:
    """A customer's chat message to the default account, now."""
    return {
        "app_id": "app-1",
        "sender": {"id": "user-1"},
        "recipient": {"id": "oa-1"},
        "event_name": "user_send_text",
        "message": {"text": "Giao hàng chậm quá", "msg_id": msg_id},
        "timestamp": str(NOW_MS),
        **changes,
    }


def by_zalo(
    body: dict[str, Any], *, app_id: str = "app-1", secret: str = OA_SECRET, prefix: str = "mac="
) -> Signed:
    """A Zalo webhook, signed with the timestamp in `body`."""
    raw = json.dumps(body).encode()
    signed = app_id.encode() + raw + str(body["timestamp"]).encode() + secret.encode()
    mac = hashlib.sha256(signed).hexdigest()
    return raw, {"x-zevent-signature": prefix + mac, "x-zevent-server": "OA OpenAPI"}


def by_standard(
    body: Any, *, key: str = "msg_1", timestamp: int | str = NOW_S, secret: str = SECRET
) -> Signed:
    """A Standard Webhooks request."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    mac = hmac.digest(
        b64decode(secret.removeprefix("whsec_")), f"{key}.{timestamp}.".encode() + raw, "sha256"
    )
    return raw, {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + b64encode(mac).decode(),
    }


class WatchedCounts(Counts):
    """Counts that a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._counted = asyncio.Event()

    def add(self, door: str, outcome: Outcome) -> None:
        super().add(door, outcome)
        self._counted.set()

    async def until(self, door: str, outcome: Outcome, number: int = 1) -> None:
        async with asyncio.timeout(60):
            while self.totals().get((door, outcome), 0) < number:
                self._counted.clear()
                await self._counted.wait()


@dataclass
class Desk:
    """A running desk; `http` is a client of it."""

    app: FastAPI
    port: int
    http: httpx.AsyncClient
    spool: Spool
    writer: SpoolWriter
    counts: WatchedCounts
    clock: VirtualClock
    serving: "asyncio.Task[None]"
    arrivals: list[str] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)

    async def zalo(self, signed: Signed, account: str = "", **headers: str) -> httpx.Response:
        raw, own = signed
        path = f"/webhooks/zalo/{account}" if account else "/webhooks/zalo"
        return await self.http.post(path, content=raw, headers={**own, **headers})

    async def standard(self, signed: Signed, source: str = "till") -> httpx.Response:
        raw, headers = signed
        return await self.http.post(f"/webhooks/in/{source}", content=raw, headers=headers)

    def spooled(self) -> list[Spooled]:
        return self.spool.peek(100_000)

    def counted(self) -> Mapping[tuple[str, str], int]:
        return self.counts.totals()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *pieces: bytes) -> bytes:
        """Everything the server answers on a new connection until it closes it."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(60):
            said = await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return said


@cache
def _tls() -> ssl.SSLContext:
    """Nobody needs it here, and each client would load all certificates anew."""
    return httpx.create_ssl_context()


@asynccontextmanager
async def running_desk(
    home: Path,
    *,
    limits: Limits | None = None,
    spool: Spool | None = None,
    deadline_seconds: float = 60,
    queue_limit: int = 1024,
) -> AsyncIterator[Desk]:
    """Serve a desk with `desk_settings` at Monday 09:00 until the end of the block."""
    settings, clock, counts = desk_settings(home), VirtualClock(MONDAY), WatchedCounts()
    spool = spool or open_spool(settings)
    arrivals: list[str] = []
    trouble: dict[str, str] = {}
    with SpoolWriter(spool, deadline_seconds=deadline_seconds, queue_limit=queue_limit) as writer:
        app = create_app(settings, clock, writer, counts, arrivals.append, lambda: trouble, limits)
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        serving = asyncio.create_task(serve_desk(app, "127.0.0.1", port, sockets=[listener]))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            timeout=60,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
            verify=_tls(),
        ) as http:
            yield Desk(app, port, http, spool, writer, counts, clock, serving, arrivals, trouble)
        serving.cancel()
        # uvicorn takes 0.2 s to stop, and the next test need not wait for that.
        _stopping.add(serving)
        serving.add_done_callback(_stopping.discard)
    spool.close()
