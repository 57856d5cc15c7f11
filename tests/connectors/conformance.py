"""What every channel owes the ledger, as checks that any connector can be put through over real sockets.

A `Connector` says how to open one channel against a vendor that plays one `Trouble`, and what must come of
it. `matrix(...)` turns connectors into the parameters of one test; docs/connectors.md shows an entry.
"""

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import Any

import pytest
from structlog.testing import capture_logs

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.errors import VendorUnavailable
from connectors.fence import FENCED, leaving_before
from connectors.ports import Channel, Message, Recipient
from tests.connectors.rig import EMAIL, NOW, PHONE, SECRETS, Request, http, message, unused_port

TIMEOUT_S = 0.25
"""For connectors under test: how long they wait for a vendor that never answers."""

RETRY_AFTER_S = 120
ZALO_UID = "2512523625412515"
NAME = "Nguyễn Thị Lan"
MESSAGE = message(recipient=Recipient(phone=PHONE, email=EMAIL, zalo_uid=ZALO_UID, contact="lan"))
PERSON = f"{PHONE} +{PHONE} 0{PHONE[2:]} {EMAIL} {NAME} {MESSAGE.subject} {MESSAGE.body}"
QUOTE = f"{PERSON} {' '.join(SECRETS)}"
"""All that must never be shown; our unkind vendors put it into their error answers."""


class Trouble(StrEnum):
    """What the vendor does with a request, or what is in the way."""

    NONE = "accepts"
    BUSY = "429 with seconds"
    BUSY_UNTIL = "429 with a date"
    BUSY_ONCE = "429, then accepts"
    UNAUTHORIZED = "401"
    DENIED = "refuses our credentials in its own words"
    QUOTED = "refuses the message and quotes it"
    BROKEN = "500"
    SILENT = "takes it, never answers"
    RESET = "takes it, resets the connection"
    ABSENT = "connection refused"
    PAGE = "200 with an HTML page"
    HALF = "200 with half the JSON"
    EMPTY = "200 with nothing"
    CUT = "200, body cut off"
    SHORT = "200, length too small"
    LIST = "200 with another JSON"
    DEEP = "200 with JSON nested too deep"


ODD = frozenset(
    {Trouble.PAGE, Trouble.HALF, Trouble.EMPTY, Trouble.CUT, Trouble.SHORT, Trouble.LIST, Trouble.DEEP}
)
DOUBTFUL = ODD | {Trouble.BROKEN, Trouble.SILENT, Trouble.RESET}
"""The vendor has read the request whole and took it, or may have: one more call would be a second message."""


@dataclass(frozen=True)
class Opened:
    """One channel before one vendor, and the vendor's own book."""

    channel: Channel
    received: Callable[[], int]
    """How many sends the vendor has read whole, refused ones too."""
    marks: Callable[[], Sequence[str]]
    """The mark of each send the vendor took (or may have taken), from the field it has for one; "" without one."""
    reads: Sequence[Callable[[], Awaitable[object]]] = ()
    """The lists and pages that the connector reads from the same vendor, under the same trouble."""


@dataclass(frozen=True)
class Connector:
    """One connector under test. `open` gets the trouble its vendor is to play."""

    name: str
    open: Callable[[Trouble], AbstractAsyncContextManager[Opened]]
    mark: str = MESSAGE.key
    """What of ours must travel: the key or the tracking id; "" when the vendor has no field for either."""
    doubt: OutcomeClass = OutcomeClass.UNCERTAIN
    """What a lost or unreadable answer becomes; `RETRY_LATER` only for staff, who may be told twice."""
    gives_id: bool = True
    tells_when: bool = True
    """Whether the vendor can say when to come back (HTTP's `Retry-After`)."""
    renews: bool = False
    """Whether refused credentials are renewed and the call repeated: once, and never when they are fixed."""
    message: Message = MESSAGE
    expected: Mapping[Trouble, OutcomeClass] = field(default_factory=dict)
    """Where it differs from what `expects` says, and why must stand beside it."""

    def expects(self, trouble: Trouble) -> OutcomeClass:
        if trouble in self.expected:
            return self.expected[trouble]
        if trouble in DOUBTFUL:
            return self.doubt
        match trouble:
            case Trouble.NONE | Trouble.BUSY_ONCE:
                return OutcomeClass.ACCEPTED
            case Trouble.UNAUTHORIZED | Trouble.DENIED:
                return OutcomeClass.NEEDS_HUMAN
            case Trouble.QUOTED:
                return OutcomeClass.PAYLOAD_REFUSED
            case _:
                return OutcomeClass.RETRY_LATER


# -- The checks ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    name: str
    run: Callable[[Connector, pytest.LogCaptureFixture], Awaitable[None]]


def matrix(*connectors: Connector) -> list[Any]:
    """Parameters `connector, check` for one test: every check on every connector."""
    return [
        pytest.param(connector, check, id=f"{connector.name}: {check.name}")
        for connector in connectors
        for check in CHECKS
    ]


def _check_trouble(trouble: Trouble) -> Check:
    async def run(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
        """One outcome of the right class, one delivery at most, never an exception, and nothing leaks."""
        caplog.set_level(logging.DEBUG)
        expected = connector.expects(trouble)
        with capture_logs() as events:
            async with connector.open(trouble) as opened:
                outcome = await opened.channel.send(connector.message)
                received, marks = opened.received(), opened.marks()
                shown = _shown(opened.channel, outcome, events, caplog)
        assert outcome.cls is expected, f"{outcome.cls} instead of {expected}: {outcome!r}"
        assert received == _requests(connector, trouble), f"{received} requests for one send"
        taken = trouble in DOUBTFUL or outcome.accepted
        assert len(marks) == taken, f"the vendor has {len(marks)} messages, not {int(taken)}"
        _check_time(connector, trouble, outcome)
        _check_nothing_leaks(shown)
        assert connector.message.tracking_id in repr(events), "the line in the log names the effect"
        assert f".send.{outcome.cls.value}" in repr(events), "the line in the log names the class"

    return Check(trouble.value, run)


def _requests(connector: Connector, trouble: Trouble) -> int:
    """How many requests one send is: a second one only after an answer that surely did nothing."""
    match trouble:
        case Trouble.ABSENT:
            return 0
        case Trouble.BUSY_ONCE:
            return 2 if connector.expects(trouble) is OutcomeClass.ACCEPTED else 1
        case Trouble.UNAUTHORIZED | Trouble.DENIED:
            return 2 if connector.renews else 1
        case _:
            return 1


def _check_time(connector: Connector, trouble: Trouble, outcome: Outcome) -> None:
    if trouble in (Trouble.BUSY, Trouble.BUSY_UNTIL) and connector.tells_when:
        assert outcome.retry_at == NOW + timedelta(seconds=RETRY_AFTER_S), (
            f"{outcome.retry_at} is not its wish"
        )
    elif outcome.retry_at is not None:
        assert outcome.cls in (OutcomeClass.RETRY_LATER, OutcomeClass.WAIT_FOR_WINDOW)


async def _check_key(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """Our key travels, the vendor's id comes back, and the price is no guess."""
    async with connector.open(Trouble.NONE) as opened:
        outcome = await opened.channel.send(connector.message)
        assert opened.marks() == [connector.mark]
    assert bool(outcome.provider_id) is connector.gives_id, f"provider id {outcome.provider_id!r}"
    assert outcome.cost_vnd >= 0


async def _check_duplicate(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """The same message twice: the same key twice, for the vendor to see. Only the ledger decides what is sent."""
    other = replace(connector.message, key="f" * 8 + connector.message.key[8:], tracking_id="f" * 32)
    async with connector.open(Trouble.NONE) as opened:
        for each in (connector.message, connector.message, other):
            assert (await opened.channel.send(each)).accepted
        marks = opened.marks()
    assert len(marks) == 3, "a connector that remembers would hide a message from the vendor"
    assert marks[:2] == [connector.mark] * 2
    assert not connector.mark or marks[2] in (other.key, other.tracking_id)


async def _check_repeat_after_doubt(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """After a lost answer the connector takes the next message, under its key, as if nothing had been."""
    async with connector.open(Trouble.RESET) as opened:
        for _ in range(2):
            assert (await opened.channel.send(connector.message)).cls is connector.expects(Trouble.RESET)
        assert opened.marks() == [connector.mark] * 2


async def _check_odd_text(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """Text that no wire can carry (half a character of UTF-16) is the message's fault, not the channel's."""
    bad = "Lan \ud800"
    odd = replace(connector.message, subject=bad, body=bad, params={"customer_name": bad})
    async with connector.open(Trouble.NONE) as opened:
        outcome = await opened.channel.send(odd)
        assert outcome.cls in (OutcomeClass.PAYLOAD_REFUSED, OutcomeClass.ACCEPTED)
        assert len(opened.marks()) == outcome.accepted


async def _check_nobody(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """Without an address: not reached, `UNREACHABLE`, and no request."""
    async with connector.open(Trouble.NONE) as opened:
        channel = opened.channel
        assert channel.name == connector.name
        assert channel.reaches(connector.message.recipient) is True
        for nobody in (Recipient(), Recipient(phone="", email="", zalo_uid="", contact="")):
            assert channel.reaches(nobody) is False
            outcome = await channel.send(replace(connector.message, recipient=nobody))
            assert outcome.cls is OutcomeClass.UNREACHABLE
        assert opened.received() == 0


async def _check_fence(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """A message whose sweep has slept through its lease does not leave, and comes back as surely not sent."""
    async with connector.open(Trouble.NONE) as opened:
        with leaving_before(NOW):
            outcome = await opened.channel.send(connector.message)
        assert (outcome.cls, outcome.code) == (OutcomeClass.RETRY_LATER, FENCED)
        assert list(opened.marks()) == []


async def _check_reads(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """A read that fails raises `VendorUnavailable`, whose text, traceback and log lines are free of persons."""
    caplog.set_level(logging.DEBUG)
    # A read carries no message that the vendor could quote.
    for trouble in sorted(set(Trouble) - {Trouble.NONE, Trouble.BUSY_ONCE, Trouble.QUOTED}):
        with capture_logs() as events:
            async with connector.open(trouble) as opened:
                for read in opened.reads:
                    with pytest.raises(VendorUnavailable) as caught:
                        await read()
                    error = caught.value
                    shown = [str(error), repr(error), *traceback.format_exception(error), repr(events)]
                    _check_nothing_leaks("\n".join([*shown, *_lines(caplog)]))


async def _check_open_only(connector: Connector, caplog: pytest.LogCaptureFixture) -> None:
    """A closed connector says that it is a mistake of ours, and sends nothing."""
    async with connector.open(Trouble.NONE) as opened:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        await opened.channel.send(connector.message)
    assert opened.received() == 0


CHECKS = [
    *(_check_trouble(trouble) for trouble in Trouble),
    Check("our key travels", _check_key),
    Check("the same message twice", _check_duplicate),
    Check("again after a doubt", _check_repeat_after_doubt),
    Check("text that no wire carries", _check_odd_text),
    Check("nobody to reach", _check_nobody),
    Check("too late to leave", _check_fence),
    Check("reads that fail", _check_reads),
    Check("after closing", _check_open_only),
]


def _shown(
    channel: Channel, outcome: Outcome, events: Sequence[Any], caplog: pytest.LogCaptureFixture
) -> str:
    return "\n".join([repr(channel), str(channel), repr(outcome), repr(events), *_lines(caplog)])


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    # aiosmtpd, here a vendor, logs what it likes.
    ours = [record for record in caplog.records if not record.name.startswith("mail.")]
    formatter = logging.Formatter()
    return [
        f"{record.getMessage()} {record.exc_text} {formatter.format(record)} {record.args!r}"
        for record in ours
    ]


def _check_nothing_leaks(shown: str) -> None:
    private = [
        *SECRETS, PHONE, PHONE[2:], EMAIL, ZALO_UID, NAME, NAME.split()[0], MESSAGE.subject, MESSAGE.body
    ]  # fmt: skip
    # As it is, as `\u...` in JSON, and as bytes in a repr.
    for text in private:
        for form in (text, json.dumps(text)[1:-1], repr(text.encode())[2:-1]):
            assert form not in shown, f"{form!r} is shown"


# -- A vendor with an HTTP API -----------------------------------------------------------------------------


@dataclass
class WebVendor:
    """An HTTP server that plays one trouble on every send; `received` and `taken` are its book."""

    trouble: Trouble
    accepted: bytes
    denied: bytes
    refused: bytes
    sends: Callable[[Request], bool]
    others: Callable[[Request], bytes]
    url: str = ""
    port: int = 0
    received: list[Request] = field(default_factory=list)
    taken: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _request(reader):
                answer = self.others(request)
                if self.sends(request):
                    self.received.append(request)
                    answer = self._answer(request)
                elif request.method == "GET" and self.trouble not in (Trouble.NONE, Trouble.BUSY_ONCE):
                    answer = self._answer(request)
                if self.trouble is Trouble.RESET and answer == b"":
                    writer.transport.abort()
                    return
                writer.write(answer)
                await writer.drain()
                if self.trouble is Trouble.CUT and answer.startswith(_CUT):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, request: Request) -> bytes:
        trouble = self.trouble
        busy_over = trouble is Trouble.BUSY_ONCE and len(self.received) > 1
        if self.sends(request) and (trouble in DOUBTFUL | {Trouble.NONE} or busy_over):
            self.taken.append(request)
        body = self.accepted.partition(b"\r\n\r\n")[2]
        quoted = {"message": QUOTE, "error_description": QUOTE, "detail": QUOTE}
        match trouble:
            case Trouble.BUSY:
                return http(429, quoted, Retry_After=str(RETRY_AFTER_S))
            case Trouble.BUSY_UNTIL:
                return http(429, quoted, Retry_After=http_date(NOW + timedelta(seconds=RETRY_AFTER_S)))
            case Trouble.BUSY_ONCE if not busy_over:
                return http(429, quoted, Retry_After="0")
            case Trouble.UNAUTHORIZED:
                return http(401, quoted)
            case Trouble.DENIED:
                return self.denied
            case Trouble.QUOTED:
                return self.refused
            case Trouble.BROKEN:
                return http(500, quoted)
            case Trouble.SILENT | Trouble.RESET:
                return b""
            case Trouble.PAGE:
                return raw(f"<html><body>Bad luck, {QUOTE}</body></html>".encode(), "text/html")
            case Trouble.HALF:
                return raw(body[: len(body) // 2])
            case Trouble.EMPTY:
                return raw(b"")
            case Trouble.CUT:
                return _CUT + body[:5]
            case Trouble.SHORT:
                return raw(body, length=len(body) // 2)
            case Trouble.LIST:
                return http(200, [QUOTE])
            case Trouble.DEEP:
                return raw(b"[" * 200_000)
            case _:
                return self.accepted


@asynccontextmanager
async def web_vendor(
    trouble: Trouble,
    *,
    accepted: bytes,
    denied: bytes | None = None,
    refused: bytes | None = None,
    sends: Callable[[Request], bool] = lambda request: request.method == "POST",
    others: Callable[[Request], bytes] = lambda request: http(404),
) -> AsyncIterator[WebVendor]:
    """A server that plays `trouble` on every request that `sends` (and on reads), and answers the rest from `others`.

    `accepted`, `denied` and `refused` are whole answers in the vendor's own words; a vendor that says the last
    two with a status leaves them out. `url` and `port` lead nowhere when the trouble is `ABSENT`.
    """
    vendor = WebVendor(
        trouble,
        accepted,
        denied or http(401, {"message": QUOTE}),
        refused or http(400, {"message": QUOTE}),
        sends,
        others,
    )
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0)
    vendor.port = server.sockets[0].getsockname()[1]
    if trouble is Trouble.ABSENT:
        server.close()
        vendor.port = unused_port()
    vendor.url = f"http://127.0.0.1:{vendor.port}"
    try:
        yield vendor
    finally:
        server.close()


def raw(body: bytes, kind: str = "application/json", length: int | None = None) -> bytes:
    """A 200 with exactly these bytes, and possibly a lie about how many they are."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + body


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


_CUT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"


async def _request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)
