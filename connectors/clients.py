"""Connections to one vendor: a client of httpx for every call that is open, each with a single connection.

A client with many looks through all of them, down to their sockets, at every request and at every answer: with 32 open
calls that was half of what a call costs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

LONGEST_IDLE_S = 2.5
"""Idle connections are dropped before the usual server does (5 s and more): a request written to a connection that the
server is just closing would be an unknown send for no good reason."""

ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=LONGEST_IDLE_S)


class Clients:
    """Up to `at_once` clients for one event loop, made by `make` when no idle one is left."""

    def __init__(self, make: Callable[[], httpx.AsyncClient], at_once: int) -> None:
        self._make = make
        self._free = asyncio.Semaphore(at_once)
        self._made: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one call: the idle one that was used last. Waits while as many are open as may be."""
        async with self._free:
            client = self._idle.pop() if self._idle else self._another()
            try:
                yield client
            finally:
                self._idle.append(client)

    async def close(self) -> None:
        for client in self._made:
            await client.aclose()

    def _another(self) -> httpx.AsyncClient:
        client = self._make()
        self._made.append(client)
        return client
