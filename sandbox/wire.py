"""Faults below HTTP: a server that hangs up, or never answers, after it has taken a message."""

import asyncio
from collections.abc import Callable
from typing import cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_HANG_UP = "sandbox.hang_up"


class SandboxProtocol(H11Protocol):
    """uvicorn's HTTP protocol, plus a way for a route to drop its connection (ASGI offers none)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_HANG_UP] = transport.close
            await app(scope, receive, send)

        self.app = with_hang_up


async def hang_up(request: Request) -> None:
    """Close the connection; whatever the route returns afterwards goes nowhere."""
    cast(Callable[[], None], request.scope[_HANG_UP])()
    await until_client_leaves(request)


async def until_client_leaves(request: Request) -> None:
    """Wait, however long, until the connection is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
