"""What the connector tests share: a clock, an in-memory vault, and servers that misbehave on the wire."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from amends.settings import ZaloSettings
from connectors.ports import Message, Recipient, Tokens

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
"""10:00 in Viet Nam."""

PHONE = "84912345678"
EMAIL = "khach.hang@example.com"
KEY = "0b6f3c52-7f6e-5d1c-9d53-0a2c9a8f4a11"
TRACKING_ID = KEY.replace("-", "")
SECRETS = ("very-secret-app-key", "first-refresh-token", "access-token-one", "hunter2-password")


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class MemoryVault:
    """The vault's contract in memory, shared by "processes" of one test."""

    tokens: dict[str, Tokens] = field(default_factory=dict)
    leases: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    saved: list[Tokens] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, account: str) -> Tokens | None:
        return self.tokens.get(account)

    def save(self, account: str, tokens: Tokens) -> None:
        self.tokens[account] = tokens
        self.saved.append(tokens)

    def acquire(self, account: str, holder: str, until: datetime, now: datetime) -> bool:
        with self._lock:
            lease = self.leases.get(account)
            if lease is not None and lease[0] != holder and lease[1] > now:
                return False
            self.leases[account] = (holder, until)
            return True

    def release(self, account: str, holder: str) -> None:
        with self._lock:
            if self.leases.get(account, ("", NOW))[0] == holder:
                del self.leases[account]


def vault_with(access: str = "access-token-one", left: timedelta = timedelta(hours=20)) -> MemoryVault:
    return MemoryVault(tokens={"zalo:app": Tokens(access, "stored-refresh-token", NOW + left)})


def zalo_settings(url: str, **changes: Any) -> ZaloSettings:
    return ZaloSettings.model_validate(
        {
            "app_id": "app",
            "secret_key": SecretStr("very-secret-app-key"),
            "refresh_token": SecretStr("first-refresh-token"),
            "oauth_url": url,
            "business_url": url,
            "openapi_url": url,
            "timeout_seconds": 0.5,
        }
        | changes
    )


def message(**changes: Any) -> Message:
    values: dict[str, Any] = {
        "key": KEY,
        "tracking_id": TRACKING_ID,
        "recipient": Recipient(phone=PHONE, email=EMAIL, contact="lan"),
        "template_id": "310001",
        "params": {"customer_name": "Nguyễn Thị Lan"},
        "subject": "Xin lỗi quý khách",
        "body": "Chúng tôi rất tiếc về trải nghiệm của bạn.",
    }
    return Message(**(values | changes))


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = bytes | None
"""What goes back on the wire; None: the request is read whole, then the connection is reset."""


@dataclass
class WireServer:
    """An HTTP/1.1 server that answers each request with whatever bytes `answer` makes of it."""

    answer: Callable[[Request], Answer]
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    port: int = 0
    connections: int = 0
    """How many it has accepted."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                self.requests.append(Request(method, path, headers, body))
                answer = self.answer(self.requests[-1])
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def wire_server(answer: Callable[[Request], Answer]) -> AsyncIterator[WireServer]:
    wire = WireServer(answer)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    wire.url = f"http://127.0.0.1:{wire.port}"
    try:
        yield wire
    finally:
        server.close()


def http(status: int, body: object = None, **headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def accepted(msg_id: str = "a4d0243feee163bd3af2") -> bytes:
    return http(
        200, {"error": 0, "message": "Success", "data": {"msg_id": msg_id, "sent_time": "1626926349402"}}
    )


def envelope(data: object) -> bytes:
    return http(200, {"error": "0", "message": "Success", "data": data})


def refusal(code: object, said: str = "no") -> bytes:
    return http(200, {"error": code, "message": said})


CUSTOMER_NAME = {"name": "customer_name", "require": True, "type": "STRING", "maxLength": 30}


def template(**changes: Any) -> dict[str, Any]:
    """`data` of `/template/info/v2`, fitting `message()`."""
    return {
        "templateId": "310001",
        "templateName": "Xin lỗi",
        "status": "ENABLE",
        "templateTag": "CUSTOMER_CARE",
        "templateQuality": "HIGH",
        "listParams": [CUSTOMER_NAME],
        "price": "800",
        "price_sdt": "800",
        "price_uid": "560",
    } | changes


@dataclass
class ZaloHost:
    """Zalo's hosts in one: each path answers with what `answers` has for it, else as a healthy account would."""

    answers: dict[str, Answer | Callable[[Request], Answer]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        answer = self.answers.get(path, _HEALTHY.get(path, http(404)))
        return answer(request) if callable(answer) else answer


def new_tokens(number: int, **changes: Any) -> bytes:
    body = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": "90000"}
    return http(200, body | changes)


_HEALTHY: dict[str, Answer] = {
    "/v4/oa/access_token": new_tokens(2),
    "/template/info/v2": envelope(template()),
    "/message/quota": envelope({"dailyQuota": 500, "remainingQuota": 499}),
    "/message/template": accepted(),
    "/message/template/hashphone": accepted(),
    "/v3.0/oa/message/template": envelope({"message_id": "uid-message", "user_id": "u1"}),
    "/v3.0/oa/message/cs": envelope({"message_id": "chat-message", "user_id": "u1"}),
    "/v2.0/oa/getoa": envelope(
        {
            "oa_id": "oa-1",
            "name": "Nắng",
            "is_verified": True,
            "package_name": "Nâng cao",
            "linked_ZCA": "zca",
        }
    ),
    "/quality": envelope({"oaCurrentQuality": "HIGH", "oa7dayQuality": "HIGH"}),
}


def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
