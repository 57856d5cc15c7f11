"""Mails to customers, in plain text, through the mail server of `AMENDS_CUSTOMER_MAIL_URL`.

Protocol: SMTP (RFC 5321), its reply codes by stage; LOGIN and STARTTLS as RFC 4954 and 3207 have them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from amends.domain.contacts import normalise_email
from amends.domain.outcome import Outcome, OutcomeClass
from connectors.apprise_logs import keep_secrets_out_of_logs
from connectors.base import Clock, log_outcome
from connectors.examination import Finding
from connectors.fence import fence
from connectors.mail_server import TIMEOUT_S, MailServer, deliver, examine, mail_server
from connectors.ports import Message, Recipient

VENDOR = "email"
_POLICY = SMTP.clone(cte_type="7bit")
"""Vietnamese goes out encoded, so that the server need not know 8BITMIME."""

_THREADS = 8
"""Also the most SMTP connections open at once; each mail opens its own."""


class CustomerMail:
    """Channel "email". Use as `async with`. An URL that is no mail URL makes every send `NEEDS_HUMAN`.

    What a caller does with an outcome: `ACCEPTED`: the server has taken it (delivery may still bounce).
    `RETRY_LATER` (4xx, no server): surely not handed in. `UNREACHABLE` (5xx at RCPT, no usable address): the next
    channel. `PAYLOAD_REFUSED` (5xx at DATA): this mail never goes. `NEEDS_HUMAN` (5xx at login or sender, wrong URL):
    the settings. `UNCERTAIN` (lost after DATA): never repeat.

    `Message-ID` is derived from the message's key: a mail repeated by an operator can be told as the same
    one by mail programs and in the server's log.
    """

    name = "email"

    def __init__(self, url: SecretStr, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._clock = clock
        self._timeout_s = timeout_s
        self._server: MailServer | None = None
        self._threads: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"CustomerMail({self._server.host if self._server else 'not open'!r})"

    async def __aenter__(self) -> Self:
        keep_secrets_out_of_logs()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")
        self._server = await asyncio.get_running_loop().run_in_executor(
            self._threads, mail_server, self._url.get_secret_value(), self._timeout_s
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._threads = None

    def reaches(self, recipient: Recipient) -> bool:
        return bool(recipient.email)

    async def send(self, message: Message) -> Outcome:
        """Subject and body to `recipient.email`; see `deliver` for what each answer of the server means."""
        outcome = await self._send(message)
        log_outcome(VENDOR, "send", outcome, tracking_id=message.tracking_id)
        return outcome

    async def _send(self, message: Message) -> Outcome:
        if self._threads is None:
            raise RuntimeError(f"{self!r} is not open: use it inside `async with`")
        address = message.recipient.email
        if not address:
            return Outcome(OutcomeClass.UNREACHABLE, code="no_email", detail="no email address")
        if not _is_address(address):
            return Outcome(
                OutcomeClass.UNREACHABLE, code="bad_email", detail="not an address that SMTP can carry"
            )
        if not message.body:
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="empty", detail="the mail has no text")
        if self._server is None:
            return Outcome(
                OutcomeClass.NEEDS_HUMAN,
                code="bad_url",
                detail="AMENDS_CUSTOMER_MAIL_URL is not a mail URL: write mailtos://user:password@host?from=...",
            )
        try:
            mail = self._compose(self._server, message, address)
        except UnicodeError:
            detail = "the text holds characters that UTF-8 cannot carry"
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="text", detail=detail)
        barrier = fence()
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, deliver, self._server, mail, address, lambda: barrier.closed(self._clock())
        )

    async def examine(self) -> Finding:
        """Whether the mail server is there and takes our login; sends nothing."""
        if self._threads is None:
            raise RuntimeError(f"{self!r} is not open: use it inside `async with`")
        if self._server is None:
            fix = "write it as mailtos://user:password@host?from=care@example.com"
            return Finding("mail server", "problem", "AMENDS_CUSTOMER_MAIL_URL is not a mail URL", fix)
        return await asyncio.get_running_loop().run_in_executor(self._threads, examine, self._server)

    def _compose(self, server: MailServer, message: Message, address: str) -> EmailMessage:
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = server.from_header
        mail["To"] = address
        if server.reply_to:
            mail["Reply-To"] = ", ".join(server.reply_to)
        # One line, whatever a template made of it: a header cannot hold a line break.
        mail["Subject"] = " ".join(message.subject.split())
        mail["Date"] = format_datetime(self._clock())
        mail["Message-ID"] = f"<{message.key}@{server.domain}>"
        # RFC 3834: holiday replies stay at home.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body)
        return mail


def _is_address(text: str) -> bool:
    """One plain address: a line break would be a second SMTP command, a comma a second reader."""
    try:
        # Beyond ASCII the server would need SMTPUTF8.
        return text.isascii() and normalise_email(text) == text.lower()
    except ValueError:
        return False
