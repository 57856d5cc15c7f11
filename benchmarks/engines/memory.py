"""The vendor in memory: answers at once, so that only the engines differ, and keeps the same book as the sandbox.

It answers below the HTTP clients, in the transport of httpx and in the adapter of requests, so every system under test
builds its requests and reads its answers as ever. What is asked once for each message is answered here, by the form and
without the sandbox's rules; everything else by the sandbox's own routes, on the same state.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

import httpx
import requests
from requests.adapters import HTTPAdapter

from connectors.transport import Transport
from sandbox import accept
from sandbox.app import create_app
from sandbox.state import Start, State

PORT = 9
URL = f"http://127.0.0.1:{PORT}"
"""An address of this machine where nobody listens."""
_JSON = {"content-type": "application/json"}


class InMemory:
    """One vendor of this process. Its clock stands still until it is set."""

    url = URL

    def __init__(self, seed: int) -> None:
        self._app = create_app(Start(seed=seed))
        self._state: State = self._app.state.sandbox
        self._others = httpx.ASGITransport(self._app)
        self._sent = 0

    def set_clock(self, now: datetime) -> None:
        self._state.clock.set(now)

    def book(self) -> list[Mapping[str, Any]]:
        return list(self._state.book.entries)

    def rate(self, msg_id: str, mark: int) -> None:
        entry = self._state.book.by_msg_id[msg_id]
        accept.rate(self._state, entry, mark, "", [], self._state.clock.now())

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Requests to `url` that httpx or requests makes in this process come here; others go where they went."""
        httpx_goes_on, requests_goes_on = httpx.AsyncHTTPTransport.handle_async_request, HTTPAdapter.send

        async def over_httpx(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            if request.url.port != PORT:  # Prefect's client speaks httpx, too
                return await httpx_goes_on(transport, request)
            return await self._httpx(request)

        async def ours(_: Transport, request: httpx.Request) -> httpx.Response:
            return await self._httpx(request)

        def over_requests(
            adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **more: Any
        ) -> requests.Response:
            if not str(request.url).startswith(URL):
                return requests_goes_on(adapter, request, *args, **more)
            return self._requests(request)

        with (
            patch.object(httpx.AsyncHTTPTransport, "handle_async_request", over_httpx),
            patch.object(Transport, "handle_async_request", ours),
            patch.object(HTTPAdapter, "send", over_requests),
        ):
            yield

    async def _httpx(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/message/template":
            return httpx.Response(200, headers=_JSON, content=self._zns(request.headers, request.read()))
        if path.startswith("/notify/"):
            return httpx.Response(200, headers=_JSON, content=self._notify(path, request.read()))
        return await self._others.handle_async_request(request)

    def _requests(self, request: requests.PreparedRequest) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, str(request.url)
        body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
        answer._content = self._notify(request.path_url, body)  # there is no public way to make a response
        return answer

    def _zns(self, headers: httpx.Headers, raw: bytes) -> bytes:
        now, state = self._state.clock.now(), self._state
        if not state.tokens.valid(headers.get("access_token"), now):
            return b'{"error": -124, "message": "Access token is invalid"}'
        body = json.loads(raw)
        self._sent += 1
        template = state.templates[body["template_id"]]
        told = {
            "phone": body["phone"],
            "template_id": template.id,
            "template_type": template.kind,
            "tracking_id": body["tracking_id"],
            "params": body["template_data"],
            "msg_id": f"{self._sent:020x}",
            "code": None,
        }
        entry = state.book.enter("zns", now, told)
        return (
            b'{"error": 0, "message": "Success", "data": {"msg_id": "%s", "sent_time": "%d", "sending_mode": "1", '
            b'"quota": {"dailyQuota": "1000000", "remainingQuota": "999999"}}}'
            % (entry["msg_id"].encode(), round(now.timestamp() * 1000))
        )

    def _notify(self, path: str, raw: bytes) -> bytes:
        body = json.loads(raw)
        fields = {name: str(body.get(name, "")) for name in ("title", "message", "type")}
        told = {"contact": path.rpartition("/")[2], **fields}
        self._state.book.enter("agent_notification", self._state.clock.now(), told)
        return b'{"ok": true}'
