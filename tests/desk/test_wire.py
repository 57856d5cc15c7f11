"""What strangers do to a server: too much, too slowly, half of it, too many of them."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from amends.store.spool import Arrived
from desk.limits import Limits
from desk.serving import listen, serve_desk
from tests.desk.rig import Desk, Signed, by_standard, by_zalo, running_desk, wrote

SHORT = replace(Limits(), head_seconds=0.2, body_seconds=0.2)
SMALL = replace(Limits(), body_bytes=1000, zalo_body_bytes=1000)


def head(signed: Signed, *lines: str, path: str = "/webhooks/zalo") -> bytes:
    """A POST up to the empty line, with these header lines besides the signature's."""
    own = [f"{name}: {value}" for name, value in signed[1].items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: desk", *own, *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


async def trickle_until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a letter every now and then; fails when the server listens for longer than 20 s."""
    started = time.monotonic()
    closed = False
    while not closed:
        assert time.monotonic() - started < 20
        writer.write(b"P")
        try:
            async with asyncio.timeout(0.02):
                closed = await reader.read() == b""
        except TimeoutError:
            pass
        except ConnectionError:
            closed = True
    writer.close()


async def test_a_body_announced_as_too_large_is_refused_unread(desk: Desk) -> None:
    answer = await desk.say(head(by_zalo(wrote()), "content-length: 65537"))
    assert status(answer) == 413
    assert b'"problem"' in answer
    assert desk.counted() == {("zalo", "oversized"): 1}


async def test_an_endless_body_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    async with running_desk(tmp_path, limits=SMALL) as desk:
        opening = head(by_zalo(wrote()), "transfer-encoding: chunked")
        assert status(await desk.say(opening, *[chunk(b"x" * 100)] * 11)) == 413
        assert desk.counted() == {("zalo", "oversized"): 1}
        assert desk.spooled() == []


async def test_a_chunked_body_of_just_the_limit_is_taken(tmp_path: Path) -> None:
    raw, headers = by_zalo(wrote())
    async with running_desk(tmp_path, limits=replace(Limits(), zalo_body_bytes=len(raw))) as desk:
        opening = head((raw, headers), "transfer-encoding: chunked", "connection: close")
        assert status(await desk.say(opening, chunk(raw[:50]), chunk(raw[50:]), b"0\r\n\r\n")) == 200
        assert len(desk.spooled()) == 1


@pytest.mark.parametrize("path", ["/webhooks/zalo", "/webhooks/in/till"])
async def test_half_a_request_is_forgotten(desk: Desk, path: str) -> None:
    raw, headers = by_zalo(wrote()) if path.endswith("zalo") else by_standard({"rating": 1})
    _, writer = await desk.connect()
    writer.write(head((raw, headers), f"content-length: {len(raw)}", path=path) + raw[:-1])
    writer.close()
    await desk.counts.until("zalo" if path.endswith("zalo") else "webhook:till", "truncated")
    assert desk.spooled() == []
    assert sum(desk.counted().values()) == 1


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async with running_desk(tmp_path, limits=SHORT) as desk:
        raw, headers = by_zalo(wrote())
        answer = await desk.say(head((raw, headers), f"content-length: {len(raw)}") + raw[:-1])
        assert status(answer) == 408
        assert desk.counted() == {("zalo", "slow"): 1}
        assert desk.spooled() == []


@pytest.mark.parametrize("said", [b"", b"POST /webhooks/zalo HTTP/1.1\r\nhost: desk\r\n"])
async def test_a_connection_that_sends_no_head_is_closed(tmp_path: Path, said: bytes) -> None:
    async with running_desk(tmp_path, limits=SHORT) as desk:
        assert await desk.say(said) == b""
        assert desk.counted() == {("connection", "slow"): 1}


@pytest.mark.parametrize("after_a_request", [False, True])
async def test_a_head_that_trickles_in_is_not_waited_for(tmp_path: Path, after_a_request: bool) -> None:
    async with running_desk(tmp_path, limits=SHORT) as desk:
        reader, writer = await desk.connect()
        if after_a_request:
            writer.write(b"HEAD /webhooks/zalo HTTP/1.1\r\nhost: desk\r\n\r\n")
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
        await trickle_until_closed(reader, writer)
        assert desk.counted() == {("connection", "slow"): 1}


async def test_a_quiet_connection_is_kept_between_requests(tmp_path: Path) -> None:
    """The time for a head starts with its first byte; until then it is uvicorn's keep-alive that counts."""
    async with running_desk(tmp_path, limits=SHORT) as desk:
        reader, writer = await desk.connect()
        for _ in range(2):
            writer.write(b"HEAD /webhooks/zalo HTTP/1.1\r\nhost: desk\r\n\r\n")
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    assert await reader.read(1) != b"", "closed"
        writer.close()
        assert desk.counted() == {}


async def test_a_head_without_end_is_refused(desk: Desk) -> None:
    answer = await desk.say(b"GET /health HTTP/1.1\r\nx: " + b"y" * 20_000)
    assert status(answer) == 400


async def test_the_rest_of_a_refused_body_is_not_listened_to(desk: Desk) -> None:
    """The connection ends with the answer, or the body could trickle in for ever."""
    reader, writer = await desk.connect()
    writer.write(b"POST /nowhere HTTP/1.1\r\nhost: desk\r\ncontent-length: 10000\r\n\r\n")
    assert status(await reader.readuntil(b"}")) == 404
    await trickle_until_closed(reader, writer)


async def test_several_requests_can_share_a_connection(desk: Desk) -> None:
    requests = b""
    for number in range(3):
        raw, headers = by_zalo(wrote(f"m{number}"))
        last = ["connection: close"] if number == 2 else []
        requests += head((raw, headers), f"content-length: {len(raw)}", *last) + raw
    assert (await desk.say(requests)).count(b"HTTP/1.1 200 OK") == 3
    assert [one.key for one in desk.spooled()] == [f"user_send_text:m{number}" for number in range(3)]


async def test_beyond_so_many_connections_the_answer_is_503(tmp_path: Path) -> None:
    async with running_desk(tmp_path, limits=replace(Limits(), connections=2)) as desk:
        idle = [await desk.connect() for _ in range(2)]
        refused = await desk.zalo(by_zalo(wrote()))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert desk.counted() == {("connection", "unavailable"): 1}
        for reader, writer in idle:
            raw, headers = by_zalo(wrote())
            writer.write(head((raw, headers), f"content-length: {len(raw)}", "connection: close") + raw)
            assert status(await reader.read()) == 200
            writer.close()
        assert len(desk.spooled()) == 1


async def test_a_crowd_at_the_door_keeps_nobody_from_being_served_who_is_inside(tmp_path: Path) -> None:
    async with running_desk(tmp_path, limits=replace(Limits(), connections=2)) as desk:
        inside = [await desk.connect() for _ in range(2)]
        outside = [await desk.connect() for _ in range(5)]
        for number, (reader, writer) in enumerate(inside):
            raw, headers = by_zalo(wrote(f"m{number}"))
            writer.write(head((raw, headers), f"content-length: {len(raw)}", "connection: close") + raw)
            assert status(await reader.read()) == 200
            writer.close()
        # Who was outside stays there; who comes now finds room.
        for reader, writer in outside:
            raw, headers = by_zalo(wrote("m9"))
            writer.write(head((raw, headers), f"content-length: {len(raw)}") + raw)
            assert status(await reader.read()) == 503
            writer.close()
        assert (await desk.zalo(by_zalo(wrote("m3")))).status_code == 200
        assert desk.counted() == {("zalo:default", "accepted"): 3, ("connection", "unavailable"): 5}


async def test_it_says_nothing_about_itself(desk: Desk) -> None:
    answer = await desk.http.get("/health")
    assert "server" not in answer.headers


async def test_an_address_in_use_is_said_plainly(desk: Desk) -> None:
    with pytest.raises(OSError, match="in use"):
        await serve_desk(desk.app, "127.0.0.1", desk.port)


async def test_it_takes_its_own_socket_when_given_none(desk: Desk) -> None:
    free = listen("127.0.0.1", 0)
    port = free.getsockname()[1]
    free.close()
    serving = asyncio.create_task(serve_desk(desk.app, "127.0.0.1", port))
    async with asyncio.timeout(60):
        while True:
            with suppress(OSError):
                await asyncio.open_connection("127.0.0.1", port)
                break
            await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_request_under_way_is_answered_before_the_desk_stops(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, go_on = asyncio.Event(), asyncio.Event()
    store = desk.writer.store

    async def store_slowly(arrived: Arrived) -> bool:
        taken.set()
        await go_on.wait()
        return await store(arrived)

    monkeypatch.setattr(desk.writer, "store", store_slowly)
    request = asyncio.create_task(desk.zalo(by_zalo(wrote())))
    await taken.wait()
    desk.serving.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await desk.serving
    assert (await request).status_code == 200
    with pytest.raises(ConnectionRefusedError):
        await desk.connect()
