"""A real SMTP server (aiosmtpd) whose handler follows a script."""

from asyncio import WriteTransport
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.connectors.rig import unused_port

HANG_UP = "hang up"


@dataclass
class MailScript:
    """Replies at the stages of one delivery; None means the usual 250. Mails that reached DATA are kept."""

    sender: str | None = None
    recipient: str | None = None
    data: str | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    port: int = 0

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.sender or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        self.recipients.append(address)
        if self.recipient is not None:
            return self.recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        self.raw.append(envelope.content)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        if self.data == HANG_UP:
            assert isinstance(server.transport, WriteTransport)
            server.transport.abort()
        return self.data or "250 OK"


@contextmanager
def mail_host(script: MailScript, *, password: str | None = None) -> Iterator[MailScript]:
    """`password`: the server insists on a login with it, without TLS."""

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == (password or "").encode(), handled=False)

    login: dict[str, Any] = (
        {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False} if password else {}
    )
    script.port = unused_port()
    controller = Controller(script, hostname="127.0.0.1", port=script.port, **login)
    controller.start()
    try:
        yield script
    finally:
        controller.stop()
