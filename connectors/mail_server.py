"""The mail server of `AMENDS_CUSTOMER_MAIL_URL`, read once, and one SMTP delivery whose every end is known.

Apprise parses the URL (and knows the servers of the big mail hosts), but its own sending swallows every
error into False. Whether a mail to a *customer* may be repeated depends on exactly that error, so the
delivery is the standard library's `smtplib`, step by step.
"""

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import formataddr
from typing import Any

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.examination import Finding
from connectors.fence import TOO_LATE

TIMEOUT_S = 15.0
"""For each reply of the server; a mail may be checked by filters before it is taken."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where and how to hand in mail. `mode` is `insecure`, `starttls` or `ssl`."""

    host: str
    port: int
    mode: str
    sender: str
    sender_name: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    reply_to: tuple[str, ...] = ()
    verify_certificate: bool = True
    timeout_s: float = TIMEOUT_S

    @property
    def from_header(self) -> str:
        return formataddr((self.sender_name, self.sender)) if self.sender_name else self.sender

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]


def mail_server(url: str, timeout_s: float = TIMEOUT_S) -> MailServer | None:
    """Read an Apprise mail URL (`mailtos://user:password@host?from=...&name=...`); None when it is not one.

    Recipients in the URL (`to`, `cc`, `bcc`) are ignored: every mail goes to one customer.
    """
    from apprise import Apprise

    plugin: Any = Apprise.instantiate(url)
    if plugin is None or not hasattr(plugin, "secure_mode"):
        return None
    name, address = plugin.from_addr
    return MailServer(
        host=plugin.smtp_host,
        port=int(plugin.port),
        mode=plugin.secure_mode,
        sender=address,
        # Apprise puts its own name where the URL has none, and encodes the others for the wire.
        sender_name="" if not name or name == plugin.app_id else str(make_header(decode_header(name))),
        user=plugin.user,
        password=plugin.password,
        reply_to=tuple(sorted(plugin.reply_to)),
        verify_certificate=plugin.verify_certificate,
        timeout_s=timeout_s,
    )


def deliver(
    server: MailServer, mail: EmailMessage, address: str, too_late: Callable[[], bool] = lambda: False
) -> Outcome:
    """Hand one mail in; blocking. Before DATA nothing was taken, after it only the server's word counts.

    `too_late` is asked at the last moment before that.

    A 4xx reply is `RETRY_LATER`. A 5xx reply is about us (`NEEDS_HUMAN`) while we log in and name the
    sender, about the customer (`UNREACHABLE`) at RCPT, about the mail (`PAYLOAD_REFUSED`) at DATA. A
    connection lost after DATA began is `UNCERTAIN`.
    """
    stage = "connect"
    smtp: smtplib.SMTP | None = None
    try:
        smtp = _connect(server)
        stage = "login"
        _log_in(smtp, server)
        stage = "mail"
        _expect(smtp.mail(server.sender))
        stage = "rcpt"
        _expect(smtp.rcpt(address))
        if too_late():
            return TOO_LATE
        stage = "data"
        _expect(smtp.data(mail.as_bytes()))
    except _Reply as reply:
        return _judge(stage, reply.code)
    except smtplib.SMTPResponseException as error:
        # smtplib's own "line too long" comes as a bare 500; the server's replies come as subclasses.
        return _judge(stage, error.smtp_code if type(error) is not smtplib.SMTPResponseException else -1)
    except UnicodeError:
        # No `from`, no text: it would quote the address. Before RCPT everything we send is from the settings.
        return _judge(stage, _NOT_ASCII)
    except OSError as error:
        if stage in ("connect", "login") and _disagrees(error):
            detail = "the mail server does not offer the encryption or login of AMENDS_CUSTOMER_MAIL_URL"
            return Outcome(OutcomeClass.NEEDS_HUMAN, code=type(error).__name__, detail=detail)
        lost = stage == "data"
        return Outcome(
            OutcomeClass.UNCERTAIN if lost else OutcomeClass.RETRY_LATER,
            code=type(error).__name__,
            detail="the connection broke while the mail was handed in"
            if lost
            else f"no mail server at {stage}",
        )
    finally:
        if smtp is not None:
            _leave(smtp)
    return Outcome(OutcomeClass.ACCEPTED, provider_id=str(mail["Message-ID"]), code="250")


def examine(server: MailServer) -> Finding:
    """Connect, log in and leave again, without any mail; blocking."""
    what = f"mail server {server.host}:{server.port}"
    smtp: smtplib.SMTP | None = None
    try:
        smtp = _connect(server)
        _log_in(smtp, server)
    except smtplib.SMTPResponseException as error:
        fix = "correct user and password in AMENDS_CUSTOMER_MAIL_URL"
        return Finding(what, "problem", f"it refuses our login (reply {error.smtp_code})", fix)
    except OSError as error:
        disagrees = _disagrees(error)
        told = "it does not offer the encryption or login we want" if disagrees else "it does not answer"
        fix = "correct AMENDS_CUSTOMER_MAIL_URL, or see that the server is up and reachable from here"
        return Finding(what, "problem", f"{told} ({type(error).__name__})", fix)
    finally:
        if smtp is not None:
            _leave(smtp)
    login = "and takes our login" if server.user else "without a login"
    return Finding(what, "ok", f"it answers, {login}; mails come from {server.domain}")


def _log_in(smtp: smtplib.SMTP, server: MailServer) -> None:
    smtp.ehlo_or_helo_if_needed()
    if server.user and server.password:
        if not (server.user + server.password).isascii():
            # smtplib would raise an error that quotes them.
            raise smtplib.SMTPNotSupportedError("smtplib logs in with ASCII only")
        smtp.login(server.user, server.password)


class _Reply(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _disagrees(error: OSError) -> bool:
    if isinstance(error, smtplib.SMTPException):
        return not isinstance(error, smtplib.SMTPServerDisconnected)
    return isinstance(error, ssl.SSLError)


def _expect(reply: tuple[int, bytes]) -> None:
    if not 200 <= reply[0] < 300:
        raise _Reply(reply[0])


def _connect(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if not server.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if server.mode == "ssl":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
    if server.mode == "starttls":
        try:
            smtp.starttls(context=context)
        except BaseException:
            smtp.close()
            raise
    return smtp


def _leave(smtp: smtplib.SMTP) -> None:
    try:
        smtp.quit()
    except (OSError, smtplib.SMTPException):
        smtp.close()


_ABOUT = {
    "rcpt": (OutcomeClass.UNREACHABLE, "the mail server refuses this recipient"),
    "data": (OutcomeClass.PAYLOAD_REFUSED, "the mail server refuses this mail"),
}
_NOT_ASCII = 553
"""SMTP's own reply to an address that it cannot carry."""
_ABOUT_US = (
    OutcomeClass.NEEDS_HUMAN,
    "the mail server refuses our login or sender: check AMENDS_CUSTOMER_MAIL_URL",
)


def _judge(stage: str, code: int) -> Outcome:
    # The server's own words are left out: they like to quote the customer's address.
    if not 400 <= code < 600:
        # -1 is smtplib's sign of no readable reply. Nothing is handed in before DATA ends.
        cls = OutcomeClass.UNCERTAIN if stage == "data" else OutcomeClass.RETRY_LATER
        return Outcome(cls, code="no_reply", detail=f"no readable reply of the mail server at {stage}")
    if code < 500:
        return Outcome(
            OutcomeClass.RETRY_LATER, code=str(code), detail=f"the mail server is not ready at {stage}"
        )
    cls, detail = _ABOUT.get(stage, _ABOUT_US)
    return Outcome(cls, code=str(code), detail=detail)
