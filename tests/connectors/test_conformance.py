"""Every channel of the product, put through the one conformance test. What it checks is in `conformance`."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import HttpApi, Limits
from connectors.egress import Gate
from connectors.errors import NeedsHuman
from connectors.mail import CustomerMail
from connectors.notify import AppriseNotifier
from connectors.ports import Recipient
from connectors.zalo.account import ZaloAccount
from connectors.zalo.memory import TemplateMemory
from tests.connectors.conformance import (
    MESSAGE,
    ODD,
    PERSON,
    QUOTE,
    TIMEOUT_S,
    Check,
    Connector,
    Opened,
    Trouble,
    WebVendor,
    matrix,
    web_vendor,
)
from tests.connectors.rig import (
    NOW,
    Clock,
    accepted,
    http,
    new_tokens,
    unused_port,
    vault_with,
    wire_server,
    zalo_settings,
)
from tests.connectors.smtp_rig import HANG_UP, MailScript, mail_host


@asynccontextmanager
async def official_account(trouble: Trouble) -> AsyncIterator[tuple[ZaloAccount, WebVendor]]:
    async with web_vendor(
        trouble,
        accepted=accepted(),
        denied=http(200, {"error": -124, "message": QUOTE}),
        refused=http(200, {"error": -1121, "message": PERSON}),
        sends=lambda request: "/message/" in request.path and request.method == "POST",
        others=lambda _: new_tokens(2),
    ) as vendor:
        settings = zalo_settings(vendor.url, openapi_url=vendor.url)
        memory = TemplateMemory()
        attempts = 2 if trouble is Trouble.BUSY_ONCE else 1
        limits = Limits(timeout_s=TIMEOUT_S, budget_s=1, attempts=attempts)
        opening = ZaloAccount(DEFAULT_ACCOUNT, settings, Clock(), vault_with(), memory=memory, limits=limits)
        async with opening as account:
            # As if template and quota had been asked for and could not be read: sends go out unchecked.
            memory.keep_template(account.tokens.account, str(MESSAGE.template_id), None, NOW)
            memory.meter(account.tokens.account).read(None, None, NOW + timedelta(hours=1))
            yield account, vendor


@asynccontextmanager
async def zns(trouble: Trouble) -> AsyncIterator[Opened]:
    async with official_account(trouble) as (account, vendor):
        yield Opened(
            account.zns,
            lambda: len(vendor.received),
            lambda: [str(request.json["tracking_id"]) for request in vendor.taken],
            (
                lambda: account.ratings("310001", NOW - timedelta(days=1), NOW),
                lambda: account.delivery("a4d0243feee163bd3af2"),
            ),
        )


@asynccontextmanager
async def zalo_chat(trouble: Trouble) -> AsyncIterator[Opened]:
    async with official_account(trouble) as (account, vendor):
        yield Opened(account.chat, lambda: len(vendor.received), lambda: [""] * len(vendor.taken))


@asynccontextmanager
async def notify(trouble: Trouble) -> AsyncIterator[Opened]:
    async with web_vendor(trouble, accepted=http(200, {"ok": True})) as vendor:
        # rto is Apprise's own parameter for how long to wait for an answer.
        url = f"json://bot:hunter2-password@127.0.0.1:{vendor.port}/access-token-one?rto={TIMEOUT_S}"
        async with AppriseNotifier({"lan": SecretStr(url)}, Clock()) as channel:
            yield Opened(channel, lambda: len(vendor.received), lambda: [""] * len(vendor.taken))


class MailVendor(MailScript):
    """Plays a trouble the way a mail server can, which has replies where the web has statuses and bodies."""

    def __init__(self, trouble: Trouble) -> None:
        answers: dict[Trouble, str] = {
            Trouble.BROKEN: f"554 {QUOTE}",
            Trouble.RESET: HANG_UP,
            Trouble.PAGE: "<html>Bad luck</html>",
            Trouble.HALF: "25",
            Trouble.EMPTY: " ",
            Trouble.SHORT: "2",
            Trouble.LIST: "999 what",
            Trouble.DEEP: "250 " + "[" * 20_000,
        }
        recipient = {
            Trouble.BUSY: f"451 {QUOTE}",
            Trouble.BUSY_UNTIL: f"421 {QUOTE}",
            Trouble.BUSY_ONCE: f"450 {QUOTE}",
            Trouble.QUOTED: f"550 {QUOTE}",
        }.get(trouble)
        reply = None if recipient is None else recipient.encode("ascii", "replace").decode()
        super().__init__(
            recipient=reply, data=answers.get(trouble, "").encode("ascii", "replace").decode() or None
        )
        self.trouble = trouble
        self.sessions = 0

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.sessions += 1
        return responses

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        reply = await super().handle_DATA(server, session, envelope)
        if self.trouble is Trouble.SILENT:
            await asyncio.Event().wait()
        if self.trouble is Trouble.CUT:
            server.transport.write(b"250-half a re")
            server.transport.close()
        return reply


@asynccontextmanager
async def email(trouble: Trouble) -> AsyncIterator[Opened]:
    script = MailVendor(trouble)
    refuses_login = trouble in (Trouble.UNAUTHORIZED, Trouble.DENIED)
    with mail_host(script, password="another" if refuses_login else "hunter2-password"):
        port = unused_port() if trouble is Trouble.ABSENT else script.port
        url = SecretStr(f"mailto://care:hunter2-password@127.0.0.1:{port}?from=care@shop.vn")
        async with CustomerMail(url, Clock(), timeout_s=TIMEOUT_S) as channel:
            yield Opened(
                channel,
                lambda: script.sessions,
                lambda: [mail["Message-ID"].strip("<>").partition("@")[0] for mail in script.mails],
            )


LATER = OutcomeClass.RETRY_LATER
CONNECTORS = (
    Connector("zns", zns, mark=MESSAGE.tracking_id, renews=True),
    # The API of consultation messages has no field for a key or a tracking id.
    Connector("zalo_chat", zalo_chat, mark="", renews=True),
    Connector(
        "notify",
        notify,
        # Apprise has no field for a key and says only yes or no; its json:// takes any 2xx for a yes.
        mark="",
        gives_id=False,
        tells_when=False,
        doubt=LATER,
        expected=dict.fromkeys(ODD - {Trouble.CUT}, OutcomeClass.ACCEPTED)
        | dict.fromkeys((Trouble.BUSY_ONCE, Trouble.UNAUTHORIZED, Trouble.DENIED, Trouble.QUOTED), LATER),
    ),
    Connector(
        "email",
        email,
        tells_when=False,
        expected={
            # A mail server's 5xx at DATA is about the mail and final, a web server's 500 about nothing.
            Trouble.BROKEN: OutcomeClass.PAYLOAD_REFUSED,
            # No wish of the server's to wait out: the ledger does.
            Trouble.BUSY_ONCE: LATER,
            Trouble.QUOTED: OutcomeClass.UNREACHABLE,
        },
    ),
)


@pytest.mark.parametrize(("connector", "check"), matrix(*CONNECTORS))
async def test_conformance(connector: Connector, check: Check, caplog: pytest.LogCaptureFixture) -> None:
    await check.run(connector, caplog)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("no-url", "t"),
        ("http://[::1", "t"),
        ("ftp://127.0.0.1/", "t"),
        ("", "hunter2-password\n"),
        ("", "hunter2-password…"),
    ],
)
async def test_settings_that_make_no_request_need_a_person(url: str, token: str) -> None:
    headers = {"access_token": token}
    async with (
        wire_server(lambda _: http(200)) as vendor,
        HttpApi("acme", Gate([url or vendor.url]), Clock()) as api,
    ):
        outcome = await api.write("send", url or vendor.url, headers=headers, json={})
        with pytest.raises(NeedsHuman) as caught:
            await api.read("list", url or vendor.url, headers=headers, params={})
    assert vendor.requests == []
    assert isinstance(outcome, Outcome)
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "settings")
    told = repr(outcome) + "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in told


@pytest.mark.parametrize("location", ["http://xn--/", "http://[::1", "//", "x:99999999"])
async def test_redirect_to_nowhere_is_an_outcome(location: str) -> None:
    async with (
        wire_server(lambda _: http(302, Location=location)) as vendor,
        HttpApi("acme", Gate([vendor.url]), Clock()) as api,
    ):
        outcome = await api.write("send", vendor.url, headers={}, json={})
    assert isinstance(outcome, Outcome)
    assert outcome.cls in (OutcomeClass.NEEDS_HUMAN, OutcomeClass.UNCERTAIN)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    "address",
    [
        "a@x.vn,b@y.vn",
        "a@x.vn>,<b@y.vn",
        "a@x.vn\r\nRCPT TO:<b@y.vn>",
        "a@[",
        "a@",
        " a@x.vn",
        "ă@x.vn",
        "a@x.vn ",
    ],
)
async def test_a_mail_has_one_reader(address: str) -> None:
    async with email(Trouble.NONE) as opened:
        outcome = await opened.channel.send(replace(MESSAGE, recipient=Recipient(email=address)))
        assert (outcome.cls, outcome.code) == (OutcomeClass.UNREACHABLE, "bad_email")
        assert opened.received() == 0


async def test_mail_host_that_is_no_name_needs_a_person() -> None:
    url = SecretStr(f"mailto://127.0.0.1:{unused_port()}?from=care@shop.vn&smtp={'a' * 70}.vn")
    async with CustomerMail(url, Clock(), timeout_s=TIMEOUT_S) as channel:
        assert (await channel.send(MESSAGE)).cls is OutcomeClass.NEEDS_HUMAN
