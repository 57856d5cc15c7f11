"""Requests go to the hosts of the settings and nowhere else; of those, to what the operator's list has."""

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from amends.domain.outcome import Outcome, OutcomeClass
from amends.hosts import allowed_hosts
from amends.settings import Settings
from connectors.apprise_contact import AppriseContact
from connectors.base import HttpApi, Limits
from connectors.egress import Gate, HostRefused, origin_of
from connectors.errors import NeedsHuman
from connectors.mail import CustomerMail
from connectors.notify import AppriseNotifier
from connectors.ports import Recipient
from connectors.registry import open_connectors
from connectors.requests_gate import only_to
from connectors.zalo.account import ZaloAccount
from tests.connectors.rig import (
    Clock,
    MemoryVault,
    ZaloHost,
    http,
    message,
    vault_with,
    wire_server,
    zalo_settings,
)
from tests.connectors.smtp_rig import MailScript, mail_host

BASE = "https://openapi.zalo.me"


@pytest.mark.parametrize(
    "url",
    [
        "https://openapi.zalo.me@evil.example/x",
        "https://openapi.zalo.me.evil.example/x",
        "https://openapi.zalo.me:8443/x",
        "http://openapi.zalo.me/x",
        "https://openapi.zalo.me%2eevil.example/x",
        "https://evil.example#@openapi.zalo.me/x",
        "https://evil.example?@openapi.zalo.me/x",
        "https://ｏpenapi.zalo.me.evil.example/",
        "https://[fe80::1%25eth0]/x",
        "https://0x7f.0.0.1/x",
        "wss://openapi.zalo.me/x",
        "file:///etc/passwd",
        "//evil.example/x",
    ],
)
async def test_no_spelling_of_an_address_leads_elsewhere(url: str) -> None:
    gone: list[httpx.URL] = []

    async def leave(request: httpx.Request) -> httpx.Response:
        gone.append(request.url)
        return httpx.Response(200)

    async with HttpApi("acme", Gate([BASE]), Clock(), transport=httpx.MockTransport(leave)) as api:
        written = await api.write("send", url, headers={"access_token": "t"}, json={})
        with pytest.raises(NeedsHuman):
            await api.read("list", url, headers={"access_token": "t"}, params={})
    assert gone == []
    assert isinstance(written, Outcome)
    assert (written.cls, written.code in ("host", "settings")) == (OutcomeClass.NEEDS_HUMAN, True)
    assert "/x" not in written.detail


@given(st.text(max_size=40))
@example("@evil.example/")
@example("\\\\evil.example/")
@example("/../../evil.example")
@example("?next=https://evil.example")
@settings(max_examples=60, deadline=None)
def test_whatever_is_put_behind_a_hosts_slash_stays_at_the_host(path: str) -> None:
    assert origin_of(f"{BASE}/{path}") in (origin_of(BASE), None)


async def test_zalo_reaches_its_three_hosts_and_what_the_list_lets_through() -> None:
    async with wire_server(ZaloHost()) as vendor:
        port = vendor.port
        for listed, code in (
            (None, None),
            ([f"127.0.0.1:{port}"], None),
            (["127.0.0.1"], None),
            (["127.0.0.1:1", "localhost", "openapi.zalo.me"], "host"),
            ([], "host"),
        ):
            asked = len(vendor.requests)
            opening = ZaloAccount(
                "default", zalo_settings(vendor.url), Clock(), vault_with(), allowed=allowed_hosts(listed)
            )
            async with opening as account:
                outcome = await account.zns.send(message())
            assert outcome.code == (code or "0")
            assert outcome.cls is (OutcomeClass.NEEDS_HUMAN if code else OutcomeClass.ACCEPTED)
            assert (len(vendor.requests) == asked) is (code is not None)


async def test_the_list_of_the_settings_holds_for_every_connector() -> None:
    script = MailScript()
    with mail_host(script):
        async with wire_server(ZaloHost()) as vendor:
            configured = Settings(
                _env_file=None,
                zalo=zalo_settings(vendor.url),
                customer_mail_url=SecretStr(f"mailto://127.0.0.1:{script.port}?from=care@shop.vn"),
                contacts={
                    "lan": SecretStr(f"json://127.0.0.1:{vendor.port}"),
                    "minh": SecretStr(f"mailto://127.0.0.1:{script.port}?from=a@shop.vn&to=b@shop.vn"),
                },
                allowed_hosts=["openapi.zalo.me"],
            )
            async with open_connectors(configured, Clock(), vault_with()) as connectors:
                outcomes = [await channel.send(message()) for channel in connectors.channels.values()]
                mail_to_staff = message(recipient=Recipient(contact="minh"))
                told = await connectors.channels["notify"].send(mail_to_staff)
    assert {outcome.code for outcome in (*outcomes, told)} == {"host", "no_uid"}
    assert vendor.requests == []
    assert script.mails == []


@pytest.mark.parametrize(
    ("entry", "host", "port", "has"),
    [
        ("openapi.zalo.me", "OpenAPI.Zalo.me.", 443, True),
        ("openapi.zalo.me:443", "openapi.zalo.me", 80, False),
        ("zalo.me", "openapi.zalo.me", 443, False),
        ("[fd00::5]:8080", "fd00:0::5", 8080, True),
        ("10.0.0.5:8080", "10.0.0.5", 8080, True),
    ],
)
def test_entries_of_the_list(entry: str, host: str, port: int, has: bool) -> None:
    assert allowed_hosts([entry]).has(host, port) is has


@pytest.mark.parametrize(
    "entry", ["https://openapi.zalo.me", "a/b", "*.zalo.me", "a@b", "", "a:99999", "a:b", "zálo.me", "a b"]
)
def test_an_entry_that_is_no_host_is_named_with_the_fix(entry: str) -> None:
    with pytest.raises(ValidationError, match=r"is no host: write openapi\.zalo\.me"):
        Settings(_env_file=None, allowed_hosts=[entry])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("extra", ["", "&redirect=yes"])
async def test_a_notification_is_never_carried_to_another_host(status: int, extra: str) -> None:
    """Apprise by itself follows redirects: 302 with a bare GET, 307 with the whole notification and its headers."""
    async with (
        wire_server(lambda _: http(200)) as elsewhere,
        wire_server(lambda _: http(status, Location=f"{elsewhere.url}/taken")) as host,
    ):
        url = SecretStr(f"json://user:hunter2@127.0.0.1:{host.port}/hook?+X-Token=hunter2{extra}")
        async with AppriseNotifier({"lan": url}, Clock()) as channel:
            outcome = await channel.send(message())
    assert len(host.requests) == 1
    assert elsewhere.requests == []
    assert (outcome.cls, outcome.code, outcome.stops) == (OutcomeClass.NEEDS_HUMAN, "host", "target")
    assert "redirects elsewhere" in outcome.detail
    assert "AMENDS_CONTACTS" in outcome.detail
    assert "hunter2" not in outcome.detail


async def test_apprise_by_itself_would_follow_and_the_gate_concerns_our_contacts_alone() -> None:
    """What is stopped above is real, and other users of the library in this process are left alone."""
    import asyncio

    import apprise

    async with (
        wire_server(lambda _: http(200)) as elsewhere,
        wire_server(lambda _: http(307, Location=f"{elsewhere.url}/taken")) as host,
    ):
        url = f"json://127.0.0.1:{host.port}?amends_pace=0"
        contact = AppriseContact(url)
        with pytest.raises(HostRefused):
            await asyncio.to_thread(contact.notify, "s", "b")
        assert elsewhere.requests == []
        theirs = apprise.Apprise()
        theirs.add(url)
        assert await asyncio.to_thread(theirs.notify, "b", "s")
        assert [request.path for request in elsewhere.requests] == ["/taken"]


async def test_a_service_with_a_fixed_host_is_held_to_the_list_at_its_first_request() -> None:
    slack = SecretStr("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?amends_pace=0")
    async with AppriseNotifier({"lan": slack}, Clock(), allowed_hosts(["127.0.0.1"])) as channel:
        outcome = await channel.send(message())
    assert outcome.code == "host"
    assert "hooks.slack.com is not in AMENDS_ALLOWED_HOSTS" in outcome.detail


async def test_several_services_of_one_contact_are_all_held_to_it() -> None:
    async with wire_server(lambda _: http(200)) as host:
        both = f"json://127.0.0.1:{host.port}/a, json://localhost:{host.port}/b"
        contacts = {"lan": SecretStr(both)}
        async with AppriseNotifier(contacts, Clock(), allowed_hosts(["127.0.0.1"])) as channel:
            outcome = await channel.send(message())
    assert outcome.code == "host"
    assert "localhost" in outcome.detail
    assert [request for request in host.requests if request.path == "/b"] == []


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", []),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", []),
        ("tgram://123456789:alphanum_abcdefghijklm/12315544/", []),
        ("lark://abcdefab-abcdefab", []),
        ("json://127.0.0.1:9/x", [("127.0.0.1", 9)]),
        ("gotifys://push.shop.vn/token", [("push.shop.vn", 443)]),
        ("mailtos://u:p@shop.vn?smtp=mail.internal&mode=ssl", [("mail.internal", 465)]),
    ],
)
def test_a_token_is_never_taken_for_a_host(url: str, hosts: list[tuple[str, int]]) -> None:
    """`amends doctor` connects to these hosts: a look-up of a token would tell it to every name server on the way."""
    assert AppriseContact(url).hosts == hosts


def test_the_gate_is_open_again_afterwards() -> None:
    import requests

    with pytest.raises(HostRefused), only_to(allowed_hosts([])), pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:9/", timeout=1)
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("http://127.0.0.1:9/", timeout=1)
    assert "AMENDS_ALLOWED_HOSTS" not in str(caught.value)


async def test_a_mail_server_that_is_not_listed_gets_no_connection() -> None:
    script = MailScript()
    with mail_host(script):
        url = SecretStr(f"mailto://127.0.0.1:{script.port}?from=care@shop.vn")
        async with CustomerMail(url, Clock(), allowed=allowed_hosts(["smtp.shop.vn"])) as channel:
            outcome, finding = await channel.send(message()), await channel.examine()
        async with CustomerMail(url, Clock(), allowed=allowed_hosts([f"127.0.0.1:{script.port}"])) as channel:
            assert (await channel.send(message())).accepted
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "host")
    assert finding.state == "problem"
    assert "AMENDS_ALLOWED_HOSTS" in finding.fix
    assert len(script.mails) == 1


async def test_limits_do_not_turn_a_refusal_into_a_retry() -> None:
    vault = MemoryVault()
    async with ZaloAccount(
        "default",
        zalo_settings("http://127.0.0.1:1"),
        Clock(),
        vault,
        limits=Limits(),
        allowed=allowed_hosts([]),
    ) as account:
        outcome = await account.keep_alive()
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "host")
