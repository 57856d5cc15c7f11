"""The shared HTTP ground: what is repeated, what never is, and how long it waits."""

import asyncio
import math
from datetime import timedelta
from email.utils import format_datetime

import pytest

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import HttpApi, Limits
from connectors.egress import Gate
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.http_answers import retry_after_s
from tests.connectors.rig import NOW, Answer, Clock, Request, http, unused_port, wire_server

LIMITS = Limits(timeout_s=0.3, budget_s=3, attempts=3, per_second=1000)


async def write(url: str, limits: Limits = LIMITS) -> object:
    async with HttpApi("acme", Gate([url]), Clock(), limits) as api:
        return await api.write("send", url, headers={"access_token": "t"}, json={"a": 1})


async def read(url: str, limits: Limits = LIMITS) -> object:
    async with HttpApi("acme", Gate([url]), Clock(), limits) as api:
        return await api.read("list", url, headers={}, params={"page": 1})


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_write_is_repeated_within_seconds(status: int) -> None:
    answers = [http(status, Retry_After="0"), http(status), http(200, {"ok": True})]
    async with wire_server(lambda _: answers.pop(0)) as vendor:
        response = await write(vendor.url)
    assert not isinstance(response, Outcome)
    assert len(vendor.requests) == 3


async def test_long_retry_after_goes_to_the_ledger_at_once() -> None:
    async with wire_server(lambda _: http(429, Retry_After="120")) as vendor:
        outcome = await write(vendor.url)
    assert outcome == Outcome(
        OutcomeClass.RETRY_LATER, code="http_429", detail="busy", retry_at=NOW + timedelta(seconds=120)
    )
    assert len(vendor.requests) == 1


async def test_budget_bounds_the_attempts() -> None:
    limits = Limits(timeout_s=0.3, budget_s=0.5, attempts=99, per_second=1000)
    async with wire_server(lambda _: http(503, Retry_After="0.2")) as vendor:
        outcome = await write(vendor.url, limits)
    assert isinstance(outcome, Outcome)
    assert outcome.cls is OutcomeClass.RETRY_LATER
    assert 2 <= len(vendor.requests) <= 3


@pytest.mark.parametrize("status", [500, 502, 504, 520])
async def test_other_server_errors_leave_a_write_uncertain(status: int) -> None:
    async with wire_server(lambda _: http(status)) as vendor:
        outcome = await write(vendor.url)
    assert isinstance(outcome, Outcome)
    assert (outcome.cls, outcome.code) == (OutcomeClass.UNCERTAIN, f"http_{status}")
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n"])
async def test_broken_answer_leaves_a_write_uncertain(answer: Answer) -> None:
    async with wire_server(lambda _: answer) as vendor:
        outcome = await write(vendor.url)
    assert isinstance(outcome, Outcome)
    assert outcome.cls is OutcomeClass.UNCERTAIN
    assert len(vendor.requests) == 1


async def test_dripping_server_is_cut_off_and_uncertain() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while True:
                writer.write(b"X" if writer.get_extra_info("sockname") else b"")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    started = asyncio.get_running_loop().time()
    outcome = await write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    assert isinstance(outcome, Outcome)
    assert outcome.cls is OutcomeClass.UNCERTAIN
    assert asyncio.get_running_loop().time() - started < 20


async def test_refused_connection_surely_did_not_send() -> None:
    outcome = await write(f"http://127.0.0.1:{unused_port()}")
    assert isinstance(outcome, Outcome)
    assert (outcome.cls, outcome.code) == (OutcomeClass.RETRY_LATER, "ConnectError")


async def test_redirect_is_not_followed_and_the_token_stays_home() -> None:
    async with (
        wire_server(lambda _: http(200)) as elsewhere,
        wire_server(lambda _: http(307, Location=elsewhere.url)) as vendor,
    ):
        outcome = await write(vendor.url)
    assert isinstance(outcome, Outcome)
    assert outcome.cls is OutcomeClass.NEEDS_HUMAN
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, OutcomeClass.PAYLOAD_REFUSED),
        (422, OutcomeClass.PAYLOAD_REFUSED),
        (403, OutcomeClass.NEEDS_HUMAN),
        (404, OutcomeClass.NEEDS_HUMAN),
    ],
)
async def test_refusals_of_a_write(status: int, cls: OutcomeClass) -> None:
    async with wire_server(lambda _: http(status)) as vendor:
        outcome = await write(vendor.url)
    assert isinstance(outcome, Outcome)
    assert outcome.cls is cls


async def test_read_survives_what_a_write_must_not_repeat() -> None:
    answers: list[Answer] = [None, http(500), http(200, {"ok": True})]
    async with wire_server(lambda _: answers.pop(0)) as vendor:
        await read(vendor.url)
    assert [request.method for request in vendor.requests] == ["GET"] * 3


async def test_read_that_stays_down_says_when_to_come_back() -> None:
    async with wire_server(lambda _: http(503, Retry_After="60")) as vendor:
        with pytest.raises(
            VendorUnavailable, match=r"acme.list: busy \[http_503\], retry after 60 s"
        ) as caught:
            await read(vendor.url)
    assert caught.value.retry_after_s == 60
    assert not isinstance(caught.value, NeedsHuman)


async def test_read_that_is_forbidden_needs_a_human() -> None:
    async with wire_server(lambda _: http(403)) as vendor:
        with pytest.raises(NeedsHuman):
            await read(vendor.url)


async def test_requests_are_paced() -> None:
    def answer(_: Request) -> Answer:
        return http(200, {})

    limits = Limits(timeout_s=1, per_second=20)
    async with wire_server(answer) as vendor, HttpApi("acme", Gate([vendor.url]), Clock(), limits) as api:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(api.read("list", vendor.url, headers={}, params={}) for _ in range(30)))
    # A burst of 20, then 20 a second.
    assert 0.4 < asyncio.get_running_loop().time() - started < 20


async def test_unopened_client_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await HttpApi("acme", Gate([]), Clock()).write("send", "http://127.0.0.1", headers={})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("-3", 0),
        ("999999", 86_400),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    found = retry_after_s({"retry-after": value}, NOW)
    assert found == seconds or (found is not None and seconds is not None and math.isclose(found, seconds))


def test_errors_mask_what_they_quote_and_survive_pickling() -> None:
    import pickle

    error = NeedsHuman("acme", "list", "-1", "no right for 84912345678", retry_after_s=3)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert "84912345678" not in str(error) + repr(error)
    assert (str(copy), copy.retry_after_s) == (str(error), 3)
