"""Every open call has a connection of its own, and the next call finds it."""

import asyncio

import httpx

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import HttpApi, Limits
from connectors.clients import ONE_CONNECTION, Clients
from connectors.egress import Gate
from tests.connectors.rig import Clock, Request, WireServer, http, wire_server


def clients(at_once: int = 8) -> Clients:
    return Clients(lambda: httpx.AsyncClient(limits=ONE_CONNECTION), at_once)


async def post(opened: Clients, url: str) -> httpx.Response:
    async with opened.one() as client:
        return await client.post(url)


async def call(opened: Clients, host: WireServer, count: int = 1) -> None:
    answers = await asyncio.gather(*(post(opened, host.url) for _ in range(count)))
    assert [answer.status_code for answer in answers] == [200] * count


async def test_calls_one_after_the_other_share_a_connection() -> None:
    opened = clients()
    async with wire_server(lambda _: http(200)) as host:
        for _ in range(5):
            await call(opened, host)
        assert (len(host.requests), host.connections) == (5, 1)
        await opened.close()


async def test_calls_that_are_open_together_have_a_connection_each_and_waves_use_them_again() -> None:
    opened = clients()
    async with wire_server(lambda _: http(200)) as host:
        for _ in range(3):
            await call(opened, host, 4)
        assert (len(host.requests), host.connections) == (12, 4)
        await opened.close()


async def test_more_calls_than_may_be_open_wait_for_their_turn() -> None:
    opened = clients(at_once=2)
    async with wire_server(lambda _: http(200)) as host:
        await call(opened, host, 9)
        assert (len(host.requests), host.connections) == (9, 2)
        await opened.close()


async def test_a_broken_or_cancelled_call_leaves_its_client_in_use() -> None:
    opened, read = clients(at_once=1), asyncio.Event()

    def answer(request: Request) -> bytes | None:
        match request.path:
            case "/broken":
                return None
            case "/silent":
                read.set()
                return b""
            case _:
                return http(200)

    async with wire_server(answer) as host:
        broken = post(opened, f"{host.url}/broken")
        assert isinstance((await asyncio.gather(broken, return_exceptions=True))[0], httpx.TransportError)
        silent = asyncio.create_task(post(opened, f"{host.url}/silent"))
        await read.wait()
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)
        # A connection that still waits for an answer is not given to anybody else.
        await call(opened, host)
        assert host.connections == 3
        await opened.close()


async def test_nothing_stays_open() -> None:
    opened = clients()
    async with wire_server(lambda _: http(200)) as host:
        await call(opened, host, 3)
        await opened.close()
        assert all(client.is_closed for client in opened._made)


async def test_who_has_waited_long_for_a_client_is_no_doubt() -> None:
    """Three calls are never answered; the fourth has waited all that time, and has sent nothing meanwhile."""

    def answer(request: Request) -> bytes:
        return b"" if request.path == "/silent" else http(200)

    async with wire_server(answer) as host:
        limits = Limits(timeout_s=0.2, connections=1, attempts=1)
        async with HttpApi("v", Gate([host.url]), Clock(), limits) as api:
            calls = ["silent", "silent", "silent", "ok"]
            *silent, waiting = await asyncio.gather(
                *(api.write("send", f"{host.url}/{path}", headers={}, json={}) for path in calls)
            )
        assert [one.cls for one in silent if isinstance(one, Outcome)] == [OutcomeClass.UNCERTAIN] * 3
        assert isinstance(waiting, httpx.Response)
