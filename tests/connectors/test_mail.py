"""Customer mail against a real SMTP server: the text arrives whole, every reply has its class."""

import pytest
from pydantic import SecretStr

from amends.domain.outcome import OutcomeClass
from connectors.mail import CustomerMail
from connectors.mail_server import mail_server
from connectors.ports import Recipient
from tests.connectors.rig import EMAIL, KEY, Clock, message
from tests.connectors.smtp_rig import HANG_UP, MailScript, mail_host

BODY = (
    "Kính gửi quý khách,\n\nChúng tôi rất tiếc về trải nghiệm của bạn.\n.\nTrân trọng — " + "đ" * 1200 + "\n"
)


def url(script: MailScript, extra: str = "") -> SecretStr:
    return SecretStr(f"mailto://127.0.0.1:{script.port}?from=care@shop.vn{extra}")


async def test_vietnamese_mail_arrives_intact() -> None:
    script = MailScript()
    with mail_host(script):
        extra = "&name=Cửa%20hàng%20Việt&reply=hotro@shop.vn&to=boss@shop.vn"
        async with CustomerMail(url(script, extra), Clock()) as channel:
            outcome = await channel.send(message(subject="Xin lỗi\nquý khách, tặng bạn 50.000 ₫", body=BODY))
    assert outcome.accepted
    assert outcome.provider_id == f"<{KEY}@shop.vn>"
    assert script.recipients == [EMAIL], "recipients in the URL get no customer mail"
    mail = script.mails[0]
    assert mail.get_content().replace("\r\n", "\n") == BODY
    assert mail["Subject"] == "Xin lỗi quý khách, tặng bạn 50.000 ₫"
    assert mail["To"] == EMAIL
    assert mail["From"] == "Cửa hàng Việt <care@shop.vn>"
    assert mail["Reply-To"] == "hotro@shop.vn"
    assert mail["Message-ID"] == f"<{KEY}@shop.vn>"
    assert mail["Date"] == "Mon, 23 Nov 2026 03:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert script.raw[0].isascii(), "no 8-bit bytes for servers without 8BITMIME"
    assert max(map(len, script.raw[0].splitlines())) <= 998, "RFC 5322 line limit"


@pytest.mark.parametrize(
    ("script", "cls"),
    [
        (MailScript(sender="451 greylisted"), OutcomeClass.RETRY_LATER),
        (MailScript(sender="550 sender unknown"), OutcomeClass.NEEDS_HUMAN),
        (MailScript(recipient="450 mailbox busy"), OutcomeClass.RETRY_LATER),
        (MailScript(recipient="550 no such user"), OutcomeClass.UNREACHABLE),
        (MailScript(data="421 shutting down"), OutcomeClass.RETRY_LATER),
        (MailScript(data="554 spam"), OutcomeClass.PAYLOAD_REFUSED),
        (MailScript(data=HANG_UP), OutcomeClass.UNCERTAIN),
    ],
)
async def test_replies(script: MailScript, cls: OutcomeClass) -> None:
    with mail_host(script):
        async with CustomerMail(url(script), Clock()) as channel:
            outcome = await channel.send(message())
    assert outcome.cls is cls
    assert len(script.recipients) <= 1


async def test_login() -> None:
    script = MailScript()
    with mail_host(script, password="p@ ss"):
        address = f"mailto://care:p%40%20ss@127.0.0.1:{script.port}?from=care@shop.vn"
        async with CustomerMail(SecretStr(address), Clock()) as channel:
            assert (await channel.send(message())).accepted


async def test_password_beyond_ascii_needs_a_human() -> None:
    script = MailScript()
    with mail_host(script, password="mật"):
        address = f"mailto://care:m%E1%BA%ADt@127.0.0.1:{script.port}?from=care@shop.vn"
        async with CustomerMail(SecretStr(address), Clock()) as channel:
            outcome = await channel.send(message())
    assert outcome.cls is OutcomeClass.NEEDS_HUMAN


async def test_encryption_that_the_server_lacks_needs_a_human() -> None:
    script = MailScript()
    with mail_host(script):
        secure = SecretStr(f"mailtos://127.0.0.1:{script.port}?from=care@shop.vn")
        async with CustomerMail(secure, Clock()) as channel:
            outcome = await channel.send(message())
    assert outcome.cls is OutcomeClass.NEEDS_HUMAN
    assert "AMENDS_CUSTOMER_MAIL_URL" in outcome.detail
    assert script.mails == []


@pytest.mark.parametrize("bad", ["json://127.0.0.1", "mailto://", "nonsense"])
async def test_url_that_is_no_mail_url_names_the_setting(bad: str) -> None:
    async with CustomerMail(SecretStr(bad), Clock()) as channel:
        outcome = await channel.send(message())
    assert outcome.cls is OutcomeClass.NEEDS_HUMAN
    assert "AMENDS_CUSTOMER_MAIL_URL" in outcome.detail


@pytest.mark.parametrize(
    "address", ["a@b.vn>\r\nRCPT TO:<evil@x.vn", "không@example.com", "nobody", "a b@x.vn"]
)
async def test_address_that_smtp_cannot_carry(address: str) -> None:
    script = MailScript()
    with mail_host(script):
        async with CustomerMail(url(script), Clock()) as channel:
            outcome = await channel.send(message(recipient=Recipient(email=address)))
    assert outcome.cls is OutcomeClass.UNREACHABLE
    assert script.recipients == []


def test_url_is_read_and_keeps_its_secrets() -> None:
    server = mail_server("mailtos://care:hunter2@gmail.com")
    assert server is not None
    assert (server.host, server.port, server.mode) == ("smtp.gmail.com", 587, "starttls")
    assert (server.sender, server.sender_name, server.user) == ("care@gmail.com", "", "care@gmail.com")
    assert server.password == "hunter2"
    assert "hunter2" not in repr(server)
