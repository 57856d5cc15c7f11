"""Serving the desk with uvicorn, inside an event loop that belongs to somebody else."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from desk.limits import Limits
from desk.wire import DeskProtocol

_BACKLOG = 2048
_GRACE_SECONDS = 2


async def serve_desk(
    app: FastAPI, host: str, port: int, *, sockets: Sequence[socket.socket] | None = None
) -> None:
    """Serve until cancelled; requests under way then have 2 s to finish. `sockets` (of `listen`) replace host and port.

    No signal is handled here. Raises OSError when the address cannot be had.
    """
    limits: Limits = app.state.limits
    config = uvicorn.Config(
        app,
        http=DeskProtocol,
        ws="none",
        lifespan="off",
        # Not a word from uvicorn: a stranger could fill the log, and tracebacks could quote what a customer wrote.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(list(sockets or [listen(host, port)])))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Connections wait in it until somebody serves them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # Connections inherit this: headers and body are two writes, and Nagle would hold the second 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class _Server(uvicorn.Server):
    """Leaves the signals to those who started it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
