"""The load: signed ratings at a fixed rate, in a process of its own. `python -m benchmarks.latency.load URL --rate 50`.

An open loop. Every rating has the moment at which it is due, whether or not those before it have been answered, and
latency counts from that moment: a desk that stalls delays everything that was due meanwhile, and the figures say so
(no coordinated omission).
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

SECRET = base64.b64encode(b"benchmark-secret-of-32-bytes-len").decode()
PATH = "/webhooks/in/till"
LEAD_S = 0.3
"""From the last signature to the first rating."""
GIVE_UP_S = 30.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One rating. Moments are seconds since 1970; `status` 0: no answer within 30 s, or a broken connection."""

    number: int
    due: float
    sent: float
    answered: float
    status: int


def main() -> None:
    """Read the ratings' numbers, one JSON list, from standard input, and print what became of each, another."""
    parser = argparse.ArgumentParser(description="post signed ratings at a fixed rate")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, required=True, help="ratings a second")
    arguments = parser.parse_args()
    sent = asyncio.run(_load(arguments.url, json.load(sys.stdin), arguments.rate))
    json.dump([asdict(one) for one in sent], sys.stdout)


async def _load(url: str, numbers: list[int], rate: float) -> list[Sent]:
    # Signed beforehand: whoever sends at a rate must not spend its time on anything else.
    host = urlsplit(url).netloc
    requests = [_request(host, number) for number in numbers]
    lines = _Lines(url)
    start = time.time() + LEAD_S
    sending = []
    for place, (number, request) in enumerate(zip(numbers, requests, strict=True)):
        due = start + place / rate
        await asyncio.sleep(max(0.0, due - time.time()))
        sending.append(asyncio.create_task(_send(lines, number, due, request)))
    return list(await asyncio.gather(*sending))


async def _send(lines: "_Lines", number: int, due: float, request: bytes) -> Sent:
    sent = time.time()
    try:
        async with asyncio.timeout(GIVE_UP_S):
            status = await lines.ask(request)
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        status = 0
    return Sent(number, due, sent, time.time(), status)


class _Lines:
    """Open connections, each for one request at a time; as many as there are requests without an answer."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> int:
        """The answer's status. An idle connection may have been closed at the other end: then again, on a new one."""
        reused = bool(self._idle)
        line = self._idle.pop() if reused else await asyncio.open_connection(self._host, self._port)
        try:
            status, keep = await _exchange(*line, request)
        except (OSError, asyncio.IncompleteReadError):
            line[1].close()
            if not reused:
                raise
            return await self.ask(request)
        if keep:
            self._idle.append(line)
        else:
            line[1].close()
        return status


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool]:
    """Status, and whether the connection stays open. All answers of the desk have a content-length."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12]), b"connection: close" not in head


def _request(host: str, number: int) -> bytes:
    moment = datetime.now(UTC)
    rating = {
        "id": f"w{number}",
        "rating": 1,
        "comment": f"Giao thiếu hàng, phiếu #{number}#",
        "phone": f"8491{number:07d}",
        "created_at": moment.isoformat(),
    }
    body = json.dumps(rating, ensure_ascii=False).encode()
    stamp = str(int(moment.timestamp()))
    signed = hmac.digest(base64.b64decode(SECRET), f"m{number}.{stamp}.".encode() + body, hashlib.sha256)
    lines = (
        f"POST {PATH} HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"webhook-id: m{number}",
        f"webhook-timestamp: {stamp}",
        f"webhook-signature: v1,{base64.b64encode(signed).decode()}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    main()
