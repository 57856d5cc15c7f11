"""Faults below HTTP: a server that hangs up, or never answers, after it has taken a message."""

import asyncio
import socket
import struct
from typing import cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "sandbox.transport"
_NO_FAREWELL = struct.pack("ii", 1, 0)


class SandboxProtocol(H11Protocol):
    """uvicorn's HTTP protocol, plus a way for a route to drop its connection (ASGI offers none)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


async def hang_up(request: Request) -> None:
    """Close the connection in good order; whatever the route returns afterwards goes nowhere."""
    _transport(request).close()
    await until_client_leaves(request)


async def reset(request: Request) -> None:
    """Drop the connection: the client's system reports a reset, not an end."""
    transport = _transport(request)
    # Lingering for no time makes the system send RST where it would send FIN.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FAREWELL)
    transport.abort()
    await until_client_leaves(request)


async def until_client_leaves(request: Request) -> None:
    """Wait, however long, until the connection is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _transport(request: Request) -> asyncio.Transport:
    return cast(asyncio.Transport, request.scope[_TRANSPORT])
