"""Notifications one after the other share a connection, and nothing else."""

import pytest
from pydantic import SecretStr

from connectors import requests_gate
from connectors.notify import AppriseNotifier
from connectors.ports import Recipient
from connectors.requests_gate import LONGEST_IDLE_S
from tests.connectors.rig import Clock, http, message, wire_server


class Watch:
    """The clock of idle connections, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(requests_gate, "time", watch)
    return watch


def notifier(**urls: str) -> AppriseNotifier:
    return AppriseNotifier({name: SecretStr(url) for name, url in urls.items()}, Clock())


async def test_the_next_notification_finds_the_connection_of_the_last(watch: Watch) -> None:
    async with (
        wire_server(lambda _: http(200)) as host,
        notifier(lan=f"json://127.0.0.1:{host.port}") as channel,
    ):
        for _ in range(5):
            assert (await channel.send(message())).accepted
            watch.now += LONGEST_IDLE_S
        assert (len(host.requests), host.connections) == (5, 1)


async def test_a_connection_that_was_idle_for_long_is_not_used_again(watch: Watch) -> None:
    async with (
        wire_server(lambda _: http(200)) as host,
        notifier(lan=f"json://127.0.0.1:{host.port}") as channel,
    ):
        assert (await channel.send(message())).accepted
        watch.now += LONGEST_IDLE_S + 0.1
        assert (await channel.send(message())).accepted
        assert (len(host.requests), host.connections) == (2, 2)


async def test_a_server_that_closes_after_each_answer_loses_none() -> None:
    def answer(_request: object) -> bytes:
        return http(200, Connection="close")

    async with wire_server(answer) as host, notifier(lan=f"json://127.0.0.1:{host.port}") as channel:
        for _ in range(3):
            assert (await channel.send(message())).accepted
        assert (len(host.requests), host.connections) == (3, 3)


async def test_each_contact_has_its_own(watch: Watch) -> None:
    async with wire_server(lambda _: http(200)) as host:
        url = f"json://127.0.0.1:{host.port}"
        async with notifier(lan=f"{url}/lan", minh=f"{url}/minh") as channel:
            for name in ("lan", "minh", "lan", "minh"):
                assert (await channel.send(message(recipient=Recipient(contact=name)))).accepted
        assert (len(host.requests), host.connections) == (4, 2)


async def test_cookies_are_not_kept() -> None:
    def answer(_request: object) -> bytes:
        return http(200, Set_Cookie="session=1; Path=/")

    async with wire_server(answer) as host, notifier(lan=f"json://127.0.0.1:{host.port}") as channel:
        for _ in range(2):
            assert (await channel.send(message())).accepted
    assert host.connections == 1
    assert ["cookie" in request.headers for request in host.requests] == [False, False]


async def test_the_proxies_of_the_environment_are_looked_up_once_and_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up = []

    def environment() -> dict[str, str]:
        looked_up.append(1)
        return {"http": f"http://127.0.0.1:{proxy.port}"}

    async with wire_server(lambda _: http(200)) as proxy:
        monkeypatch.setattr("requests.utils.getproxies", environment)
        async with notifier(lan="json://chat.example", minh="json://127.0.0.1:1") as channel:
            for _ in range(3):
                assert (await channel.send(message())).accepted
    assert [request.path for request in proxy.requests] == ["http://chat.example/"] * 3
    assert len(looked_up) == 1
