"""Staff notifications: real HTTP, real files, the pace, and logs without URLs."""

import asyncio
import json
import logging
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from amends.domain.outcome import OutcomeClass
from connectors.apprise_contact import LONGEST_QUEUE_S, AppriseContact
from connectors.apprise_logs import keep_secrets_out_of_logs, redact
from connectors.notify import AppriseNotifier
from connectors.ports import Recipient
from tests.connectors.rig import NOW, Clock, http, message, wire_server
from tests.connectors.smtp_rig import MailScript, mail_host


def notifier(url: str, clock: Clock | None = None) -> AppriseNotifier:
    return AppriseNotifier({"lan": SecretStr(url)}, clock or Clock())


async def test_vietnamese_arrives_intact() -> None:
    async with wire_server(lambda _: http(200)) as host, notifier(f"json://127.0.0.1:{host.port}") as channel:
        assert (await channel.send(message())).accepted
    assert host.requests[0].json["title"] == "Xin lỗi quý khách"
    assert host.requests[0].json["message"] == "Chúng tôi rất tiếc về trải nghiệm của bạn."


async def test_staff_mail_through_apprise() -> None:
    script = MailScript()
    with mail_host(script):
        url = f"mailto://127.0.0.1:{script.port}?from=desk@shop.vn&to=lan@shop.vn&format=text"
        async with notifier(url) as channel:
            assert (await channel.send(message())).accepted
            assert (await channel.send(message())).accepted, "no 5.5 seconds between mails to this machine"
    assert script.recipients == ["lan@shop.vn"] * 2
    assert script.mails[0]["Subject"] == "Xin lỗi quý khách"
    assert "rất tiếc" in script.mails[0].get_content()


async def test_a_thousand_local_notifications_take_seconds() -> None:
    async with wire_server(lambda _: http(200)) as host, notifier(f"json://127.0.0.1:{host.port}") as channel:
        started = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(channel.send(message(body=str(n))) for n in range(1000)))
        took = asyncio.get_running_loop().time() - started
    assert all(outcome.accepted for outcome in outcomes)
    assert sorted(int(request.json["message"]) for request in host.requests) == list(range(1000))
    assert took < 60


@pytest.mark.parametrize(
    ("url", "pace_s"),
    [
        ("json://example.com/x", 0),
        ("json://127.0.0.1/x?amends_pace=2.5", 2.5),
        ("mailto://127.0.0.1:25?from=a@shop.vn", 0),
        ("mailto://localhost:25?from=a@shop.vn", 0),
        ("mailtos://a:b@shop.vn?smtp=10.1.2.3", 0),
        ("mailtos://a:b@gmail.com", 5.5),
        ("mailtos://a:b@gmail.com?amends_pace=0", 0),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", 1.2),
    ],
)
def test_pace_is_the_vendors_outside_and_none_at_home(url: str, pace_s: float) -> None:
    assert AppriseContact(url).pace_s == pace_s


def test_turns_queue_up_and_too_long_a_queue_is_left() -> None:
    contact = AppriseContact("json://127.0.0.1?amends_pace=6")
    assert [contact.turn(100.0) for _ in range(5)] == [0, 6, 12, 18, 18]
    assert contact.turn(110.0) == 8
    assert 12 < LONGEST_QUEUE_S < 18


async def test_queue_that_is_too_long_goes_back_to_the_ledger() -> None:
    async with (
        wire_server(lambda _: http(200)) as host,
        notifier(f"json://127.0.0.1:{host.port}?amends_pace=60") as channel,
    ):
        first = await channel.send(message())
        second = await channel.send(message())
    assert first.accepted
    assert (second.cls, second.code) == (OutcomeClass.RETRY_LATER, "paced")
    assert second.retry_at is not None
    assert 55 < (second.retry_at - NOW).total_seconds() <= 60
    assert len(host.requests) == 1


async def test_other_query_parameters_pass_through() -> None:
    async with wire_server(lambda _: http(200)) as host:
        url = f"json://127.0.0.1:{host.port}/hook?+X-Team=care%20desk&amends_pace=0&-page=1"
        async with notifier(url) as channel:
            await channel.send(message())
    assert host.requests[0].headers["x-team"] == "care desk"
    assert host.requests[0].path == "/hook?page=1"


@pytest.mark.parametrize(
    ("contact", "url", "fix"),
    [
        ("nam", "json://127.0.0.1", 'add "nam" to AMENDS_CONTACTS'),
        ("lan", "nonsense://secret-token", "correct AMENDS_CONTACTS"),
        ("lan", "not an url secret-token", "correct AMENDS_CONTACTS"),
        ("lan", "json://127.0.0.1?amends_pace=secret-token", "correct AMENDS_CONTACTS"),
        ("lan", "json://127.0.0.1?amends_pace=nan", "correct AMENDS_CONTACTS"),
    ],
)
async def test_missing_or_bad_url_names_the_setting(
    contact: str, url: str, fix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with notifier(url) as channel:
        outcome = await channel.send(message(recipient=Recipient(contact=contact)))
    assert outcome.cls is OutcomeClass.NEEDS_HUMAN
    assert fix in outcome.detail
    assert contact in outcome.detail
    assert "secret-token" not in caplog.text + repr(outcome) + repr(channel)


async def test_empty_notification_is_refused() -> None:
    async with notifier("json://127.0.0.1") as channel:
        outcome = await channel.send(message(subject="", body=""))
    assert outcome.cls is OutcomeClass.PAYLOAD_REFUSED


async def test_file_contact_gets_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "hộp thư" / "lan.jsonl"
    async with notifier(f"amends-file://{path}") as channel:
        outcomes = await asyncio.gather(*(channel.send(message(body=f"dòng {n}\nhai")) for n in range(40)))
    assert all(outcome.accepted for outcome in outcomes)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["body"] for line in lines) == sorted(f"dòng {n}\nhai" for n in range(40))
    assert lines[0] | {"body": ""} == {
        "key": message().key,
        "at": NOW.isoformat(),
        "contact": "lan",
        "subject": "Xin lỗi quý khách",
        "body": "",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_file_that_cannot_be_written_needs_a_human(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with notifier(f"amends-file://{tmp_path}/file/lan.jsonl") as channel:
        outcome = await channel.send(message())
    assert outcome.cls is OutcomeClass.NEEDS_HUMAN
    assert "lan" in outcome.detail


def test_redaction(caplog: pytest.LogCaptureFixture) -> None:
    assert redact("sent to json://bot:pw@host/tok and an@shop.vn") == "sent to json://*** and a***@shop.vn"
    keep_secrets_out_of_logs()
    keep_secrets_out_of_logs()
    logger = logging.getLogger("apprise")
    caplog.set_level(logging.DEBUG)
    logger.debug("POST https://api.example.com/botTOKEN")
    try:
        raise ConnectionError("https://api.example.com/botTOKEN")
    except ConnectionError:
        logger.warning("failed: %s", "https://api.example.com/botTOKEN", exc_info=True)
    assert [record.getMessage() for record in caplog.records] == ["failed: https://***"]
    assert "TOKEN" not in caplog.text
