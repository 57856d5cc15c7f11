"""What uvicorn leaves open: connections that send no request, and bodies that nobody waits for."""

import asyncio
from typing import cast

import h11
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from desk.counts import CONNECTION, Counts
from desk.limits import Limits
from desk.refusal import BUSY, problem


class DeskProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a number of places, a time limit for request heads, and an end for requests answered
    early.

    It serves an app of `desk.app.create_app`, which carries its limits and counts.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        state = cast(FastAPI, self.config.app).state
        self._limits, self._counts = cast(Limits, state.limits), cast(Counts, state.counts)
        self._head_timer: asyncio.TimerHandle | None = None
        # uvicorn's own limit is answered without a count and without Retry-After, and counts who waits to be refused:
        # a crowd at the door would keep those from being served who are inside.
        self.limit_concurrency = None
        self._admitted = cast(set[asyncio.Protocol], state.admitted)
        if len(self._admitted) < self._limits.connections:
            self._admitted.add(self)
        else:
            self.app = self._refuse
        self._time_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._admitted.discard(self)
        self._stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        # The rest of a body whose request is answered could otherwise trickle in for ever.
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
        super().on_response_complete()

    def _time_head(self) -> None:
        """Give a request's head its time from its first byte; more bytes do not start it again."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._counts.add(CONNECTION, "slow")
        self.transport.close()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._counts.add(CONNECTION, "unavailable")
        answer = problem(503, BUSY)
        answer.headers["connection"] = "close"
        await answer(scope, receive, send)
