"""A webhook receiver for the sandbox's tests: notes every request as it arrived and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "sandbox-oa-secret"


@dataclass(frozen=True, slots=True)
class Received:
    """One request whose body was complete."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.raw)
        return body

    @property
    def name(self) -> str:
        return str(self.body["event_name"])

    def signed_with(self, secret: str) -> bool:
        """Zalo's rule, written out anew: SHA-256 over app id, raw body, timestamp and secret."""
        text = self.body["app_id"].encode() + self.raw + self.body["timestamp"].encode() + secret.encode()
        return self.headers["X-ZEvent-Signature"] == f"mac={sha256(text).hexdigest()}"


@dataclass(slots=True)
class Receiver:
    """`status` answers every request; `cut` counts those that broke off within the body."""

    url: str
    status: int = 200
    received: list[Received] = field(default_factory=list)
    cut: int = 0
    slow: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set by every request; for tests in which the machine's clock runs."""

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.received]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = (
        256  # webhooks come 64 at once, and a connection that must be asked for again costs 1 s
    )


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            raw = self.rfile.read(length)
            if len(raw) < length:
                receiver.cut += 1
                self.close_connection = True
                return
            receiver.received.append(Received(dict(self.headers), raw))
            receiver.arrived.set()
            if receiver.slow is not None:
                receiver.slow.wait(30)
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.url = f"http://127.0.0.1:{server.server_port}/zalo?shop=1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
