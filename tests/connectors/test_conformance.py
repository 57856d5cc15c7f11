"""What every channel owes the ledger, over real sockets: one outcome per trouble, one request, no leaks."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from amends.domain.outcome import OutcomeClass
from connectors.mail import CustomerMail
from connectors.notify import AppriseNotifier
from connectors.ports import Channel, Recipient
from connectors.zalo import ZaloZns
from tests.connectors.rig import (
    EMAIL,
    KEY,
    NOW,
    PHONE,
    SECRETS,
    TRACKING_ID,
    Answer,
    Clock,
    Request,
    accepted,
    http,
    message,
    new_tokens,
    unused_port,
    vault_with,
    wire_server,
    zalo_settings,
)
from tests.connectors.smtp_rig import HANG_UP, MailScript, mail_host

TROUBLES = ("none", "busy", "credentials", "broken", "reset", "absent")


@dataclass
class Opened:
    """One channel before one vendor; `seen` counts the deliveries that the vendor read whole."""

    channel: Channel
    seen: Callable[[], int]
    carried: Callable[[], str]


def web_answer(trouble: str) -> Answer:
    match trouble:
        case "none":
            return accepted()
        case "busy":
            return http(429, Retry_After="120")
        case "credentials":
            return http(401)
        case "broken":
            return http(500)
        case _:
            return None


@asynccontextmanager
async def zns(trouble: str) -> AsyncIterator[Opened]:
    def answer(request: Request) -> Answer:
        return new_tokens(2) if request.path.startswith("/v4/") else web_answer(trouble)

    async with wire_server(answer) as vendor:
        url = f"http://127.0.0.1:{unused_port()}" if trouble == "absent" else vendor.url
        async with ZaloZns(zalo_settings(url), Clock(), vault_with()) as channel:

            def sends() -> list[Request]:
                return [request for request in vendor.requests if request.path == "/message/template"]

            yield Opened(channel, lambda: len(sends()), lambda: str(sends()[0].json["tracking_id"]))


@asynccontextmanager
async def notify(trouble: str) -> AsyncIterator[Opened]:
    async with wire_server(lambda _: web_answer(trouble)) as vendor:
        port = unused_port() if trouble == "absent" else vendor.port
        urls = {"lan": SecretStr(f"json://bot:hunter2-password@127.0.0.1:{port}/access-token-one")}
        async with AppriseNotifier(urls, Clock()) as channel:
            yield Opened(
                channel, lambda: len(vendor.requests), lambda: str(vendor.requests[0].json["message"])
            )


@asynccontextmanager
async def email(trouble: str) -> AsyncIterator[Opened]:
    script = MailScript(
        recipient="451 try again later" if trouble == "busy" else None,
        data={"broken": "554 no", "reset": HANG_UP}.get(trouble),
    )
    with mail_host(script, password="another" if trouble == "credentials" else "hunter2-password"):
        port = unused_port() if trouble == "absent" else script.port
        url = SecretStr(f"mailto://care:hunter2-password@127.0.0.1:{port}?from=care@shop.vn")
        async with CustomerMail(url, Clock()) as channel:
            yield Opened(channel, lambda: len(script.mails), lambda: str(script.mails[0]["Message-ID"]))


CHANNELS = {"zns": zns, "notify": notify, "email": email}
ACCEPTED, LATER, UNCERTAIN, HUMAN, REFUSED = (
    OutcomeClass.ACCEPTED,
    OutcomeClass.RETRY_LATER,
    OutcomeClass.UNCERTAIN,
    OutcomeClass.NEEDS_HUMAN,
    OutcomeClass.PAYLOAD_REFUSED,
)
# Class, and how many deliveries the vendor must have seen. "notify" cannot know better than "later" and is
# at least once by policy; a mail server's 554 at DATA is about the mail, a web server's 500 about nothing.
EXPECTED = {
    "zns": [(ACCEPTED, 1), (LATER, 1), (HUMAN, 2), (UNCERTAIN, 1), (UNCERTAIN, 1), (LATER, 0)],
    "notify": [(ACCEPTED, 1), (LATER, 1), (LATER, 1), (LATER, 1), (LATER, 1), (LATER, 0)],
    "email": [(ACCEPTED, 1), (LATER, 0), (HUMAN, 0), (REFUSED, 1), (UNCERTAIN, 1), (LATER, 0)],
}
CASES = [
    pytest.param(name, trouble, *expected, id=f"{name}-{trouble}")
    for name, row in EXPECTED.items()
    for trouble, expected in zip(TROUBLES, row, strict=True)
]


@pytest.mark.parametrize(("name", "trouble", "cls", "deliveries"), CASES)
async def test_one_outcome_per_trouble_and_nothing_leaks(
    name: str, trouble: str, cls: OutcomeClass, deliveries: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as events:
        async with CHANNELS[name](trouble) as opened:
            outcome = await opened.channel.send(message())
            assert (outcome.cls, opened.seen()) == (cls, deliveries)
            # aiosmtpd, here the vendor, logs what it likes.
            ours = [record for record in caplog.records if not record.name.startswith("mail.")]
            shown = "\n".join(
                [repr(opened.channel), repr(outcome), repr(events)]
                + [f"{record.getMessage()} {record.exc_text}" for record in ours]
            )
    for secret in (*SECRETS, PHONE, EMAIL, "Nguyễn"):
        assert secret not in shown
    assert TRACKING_ID in repr(events), "the line in the log names the effect"
    assert f".send.{cls.value}" in repr(events)


@pytest.mark.parametrize("name", CHANNELS)
async def test_name_and_reach(name: str) -> None:
    async with CHANNELS[name]("none") as opened:
        channel = opened.channel
        assert channel.name == name
        assert channel.reaches(Recipient(phone=PHONE, email=EMAIL, contact="lan"))
        assert not channel.reaches(Recipient())
        outcome = await channel.send(message(recipient=Recipient()))
        assert outcome.cls is OutcomeClass.UNREACHABLE
        assert opened.seen() == 0


@pytest.mark.parametrize(("name", "mark"), [("zns", TRACKING_ID), ("email", KEY)])
async def test_our_key_travels_with_the_message(name: str, mark: str) -> None:
    async with CHANNELS[name]("none") as opened:
        assert (await opened.channel.send(message())).accepted
        assert mark in opened.carried()


async def test_retry_after_reaches_the_ledger() -> None:
    async with zns("busy") as opened:
        outcome = await opened.channel.send(message())
    assert outcome.retry_at == NOW + timedelta(seconds=120)
