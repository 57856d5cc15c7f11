"""Staff contacts that are a system of the brand's own: what is posted, and what each answer means."""

import asyncio
import traceback
from base64 import b64encode
from datetime import timedelta

import pytest
from pydantic import SecretStr

from amends.domain.outcome import Outcome, OutcomeClass
from amends.hosts import EVERY_HOST, AllowedHosts, allowed_hosts
from amends.settings import Settings
from connectors.base import Limits
from connectors.fence import TOO_LATE, leaving_before
from connectors.notify import AppriseNotifier
from connectors.outward import unlisted
from connectors.staff_webhook import StaffWebhook
from tests.connectors.rig import KEY, NOW, Answer, Clock, http, message, unused_port, wire_server

FAST = Limits(timeout_s=0.3, budget_s=1, attempts=2, per_second=1_000)


def notifier(url: str, allowed: AllowedHosts = EVERY_HOST) -> AppriseNotifier:
    return AppriseNotifier({"lan": SecretStr(url)}, Clock(), allowed)


async def told(answer: Answer) -> Outcome:
    """What a single notification to a receiver with that answer comes back with."""
    async with (
        wire_server(lambda _: answer) as host,
        StaffWebhook(host.url, Clock(), EVERY_HOST, FAST) as webhook,
    ):
        return await webhook.send(message())


async def test_the_receiver_gets_the_notification_its_key_and_who_we_are() -> None:
    async with (
        wire_server(lambda _: http(204)) as host,
        notifier(f"amends-http://care:s3%40cret@127.0.0.1:{host.port}/hooks/lan?team=2") as channel,
    ):
        assert (await channel.send(message())).accepted
    [request] = host.requests
    assert request.path == "/hooks/lan?team=2"
    assert request.json == {
        "key": KEY,
        "contact": "lan",
        "title": "Xin lỗi quý khách",
        "message": "Chúng tôi rất tiếc về trải nghiệm của bạn.",
        "type": "info",
    }
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["authorization"] == f"Basic {b64encode(b'care:s3@cret').decode()}"


async def test_calls_share_connections_and_none_waits_for_a_pace() -> None:
    async with (
        wire_server(lambda _: http(200)) as host,
        notifier(f"amends-http://127.0.0.1:{host.port}") as channel,
    ):
        for _ in range(3):
            outcomes = await asyncio.gather(*(channel.send(message()) for _ in range(8)))
            assert all(outcome.accepted for outcome in outcomes)
    assert (len(host.requests), host.connections) == (24, 8)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 422])
async def test_what_is_refused_waits_for_a_human_at_this_contact_alone(status: int) -> None:
    outcome = await told(http(status))
    assert (outcome.cls, outcome.stops) == (OutcomeClass.NEEDS_HUMAN, "target")
    assert outcome.code == f"http_{status}"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_receiver_is_asked_again_when_it_says(status: int) -> None:
    outcome = await told(http(status, Retry_After="120"))
    assert (outcome.cls, outcome.retry_at) == (OutcomeClass.RETRY_LATER, NOW + timedelta(seconds=120))


@pytest.mark.parametrize("answer", [None, b"", b"nonsense\r\n\r\n", http(500), http(502)])
async def test_what_may_have_arrived_is_told_as_that(answer: Answer) -> None:
    assert (await told(answer)).cls is OutcomeClass.UNCERTAIN


async def test_nobody_there() -> None:
    async with StaffWebhook(f"http://127.0.0.1:{unused_port()}", Clock(), EVERY_HOST, FAST) as webhook:
        outcome = await webhook.send(message())
    assert (outcome.cls, outcome.code) == (OutcomeClass.RETRY_LATER, "ConnectError")


async def test_nothing_leaves_for_a_host_that_is_not_listed() -> None:
    async with wire_server(lambda _: http(200)) as host:
        url = f"amends-http://127.0.0.1:{host.port}/x"
        async with notifier(url, allowed_hosts(["intranet.shop.vn"])) as channel:
            outcome, [finding] = await channel.send(message()), await channel.examine(["lan"])
    assert (outcome.cls, outcome.code, outcome.stops) == (OutcomeClass.NEEDS_HUMAN, "host", "target")
    assert finding.state == "problem"
    assert host.connections == 0
    settings = Settings(contacts={"lan": SecretStr(url)}, allowed_hosts=["intranet.shop.vn"])
    assert ('"lan" in AMENDS_CONTACTS', "127.0.0.1", host.port) in unlisted(settings)


async def test_nothing_leaves_behind_the_fence() -> None:
    async with (
        wire_server(lambda _: http(200)) as host,
        notifier(f"amends-http://127.0.0.1:{host.port}") as channel,
    ):
        with leaving_before(NOW):
            assert await channel.send(message()) == TOO_LATE
    assert host.requests == []


async def test_doctor_connects_and_posts_nothing() -> None:
    async with (
        wire_server(lambda _: http(200)) as host,
        notifier(f"amends-http://127.0.0.1:{host.port}") as channel,
    ):
        [finding] = await channel.examine(["lan"])
    assert finding.state == "ok"
    assert host.requests == []


@pytest.mark.parametrize(
    "url",
    ["amends-https://", "amends-https:///path", "amends-http://shop.vn:hunter2", "amends-http://[::1/x"],
)
async def test_an_address_that_is_none_waits_for_the_settings_unquoted(url: str) -> None:
    async with notifier(url) as channel:
        outcome, [finding] = await channel.send(message()), await channel.examine(["lan"])
    assert (outcome.cls, outcome.code, outcome.stops) == (OutcomeClass.NEEDS_HUMAN, "bad_url", "target")
    assert finding.state == "problem"
    with pytest.raises(ValueError, match="needs a host") as caught:
        StaffWebhook.from_url(url, Clock(), EVERY_HOST)
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))


async def test_the_secrets_of_the_address_are_in_no_text() -> None:
    async with wire_server(lambda _: http(401)) as host:
        webhook = StaffWebhook(f"http://care:hunter2@{host.url[7:]}/token-9", Clock(), EVERY_HOST, FAST)
        async with webhook:
            outcome = await webhook.send(message())
    assert "hunter2" not in repr(webhook) + repr(outcome)
    assert "token-9" not in repr(webhook) + repr(outcome)
