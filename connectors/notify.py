"""Notifies staff, mostly through Apprise: one URL per contact, for mail, Slack, Telegram, Lark, Zulip and 100 more.

Apprise answers only yes or no, so it cannot say whether a failed notification left. Agent notifications are
`at_least_once` by policy: a no is `RETRY_LATER`, and an agent may, seldom, read one notice twice.
Library and URL forms: the Apprise project's documentation of its notification services.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from amends.domain.outcome import Outcome, OutcomeClass
from amends.hosts import EVERY_HOST, AllowedHosts
from connectors.apprise_contact import LONGEST_QUEUE_S, AppriseContact
from connectors.apprise_logs import keep_secrets_out_of_logs
from connectors.base import Clock, log_outcome
from connectors.egress import HostRefused
from connectors.examination import Finding
from connectors.fence import TOO_LATE, fence
from connectors.inbox_file import InboxFile
from connectors.ports import Message, Recipient
from connectors.staff_webhook import StaffWebhook

Contact = AppriseContact | InboxFile | StaffWebhook

VENDOR = "notify"
_THREADS = 8
_EXAMINE_S = 5.0


class AppriseNotifier:
    """Channel "notify": `recipient.contact` names an entry of `Settings.contacts`. Use as `async with`.

    An entry is an Apprise URL (see `AppriseContact` for its pace), `amends-https://host/path` for a system of one's own
    (`StaffWebhook`), or `amends-file:///folder/file.jsonl` for a file that gets one JSON line per notification.

    What a caller does with an outcome: `ACCEPTED`: settled. `RETRY_LATER`: again later, also when it may have left.
    `NEEDS_HUMAN` (`stops="target"`: no address, one that is not understood, one that is not `allowed` or redirects):
    this contact waits for the settings.
    `PAYLOAD_REFUSED`: there was nothing to say. `UNREACHABLE`: nobody was named.
    """

    name = "notify"

    def __init__(
        self, contacts: Mapping[str, SecretStr], clock: Clock, allowed: AllowedHosts = EVERY_HOST
    ) -> None:
        self._urls = contacts
        self._clock = clock
        self._allowed = allowed
        self._contacts: dict[str, Contact | None] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._opening: asyncio.Lock | None = None

    def __repr__(self) -> str:
        return f"AppriseNotifier({sorted(self._urls)})"

    async def __aenter__(self) -> Self:
        keep_secrets_out_of_logs()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="notify")
        self._opening = asyncio.Lock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._threads = None
        for contact in self._contacts.values():
            if isinstance(contact, AppriseContact):
                contact.close()
            elif isinstance(contact, StaffWebhook):
                await contact.__aexit__(kind, error, trace)
        self._contacts.clear()

    def reaches(self, recipient: Recipient) -> bool:
        """True for anyone with a contact name; a name without an URL is a mistake to report, not to skip."""
        return bool(recipient.contact)

    async def send(self, message: Message) -> Outcome:
        """Subject and body to one contact, as plain text."""
        outcome = await self._send(message)
        log_outcome(
            VENDOR, "send", outcome, tracking_id=message.tracking_id, contact=message.recipient.contact
        )
        return outcome

    async def _send(self, message: Message) -> Outcome:
        name = message.recipient.contact
        if not name:
            return Outcome(OutcomeClass.UNREACHABLE, code="no_contact", detail="no staff contact is named")
        if not message.subject and not message.body:
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="empty", detail="neither subject nor body")
        if name not in self._urls:
            return _fix(name, "no_url", f'has no URL: add "{name}" to AMENDS_CONTACTS')
        contact = await self._contact(name)
        if isinstance(contact, StaffWebhook):
            return await contact.send(message)
        if contact is None:
            return _fix(
                name, "bad_url", "has an URL that Apprise does not understand: correct AMENDS_CONTACTS"
            )
        if isinstance(contact, InboxFile):
            return await self._in_file(contact, message)
        return await self._through_apprise(contact, message)

    async def examine(self, names: Iterable[str]) -> list[Finding]:
        """Whether each of these contacts has a usable address, and whether its host answers; notifies nobody."""
        return [await self._examine(name) for name in names]

    async def _examine(self, name: str) -> Finding:
        what = f"staff contact {name}"
        if name not in self._urls:
            return Finding(
                what, "problem", "has no address", f'add "{name}" to AMENDS_CONTACTS (any Apprise URL)'
            )
        contact = await self._contact(name)
        if contact is None:
            fix = f'correct "{name}" in AMENDS_CONTACTS (any Apprise URL)'
            return Finding(what, "problem", "has an address that Apprise does not understand", fix)
        if isinstance(contact, InboxFile):
            if contact.writable():
                return Finding(what, "ok", "is a file that can be written")
            return Finding(
                what,
                "problem",
                "is a file that cannot be written",
                "make its folder, with the rights to write",
            )
        for host, port in contact.hosts:
            if not self._allowed.has(host, port):
                fix = f'add "{host}:{port}" to AMENDS_ALLOWED_HOSTS, or correct "{name}" in AMENDS_CONTACTS'
                return Finding(what, "problem", f"{host} is not in AMENDS_ALLOWED_HOSTS", fix)
            try:
                async with asyncio.timeout(_EXAMINE_S):
                    _, writer = await asyncio.open_connection(host, port)
                writer.close()
            except (OSError, TimeoutError):
                fix = f'see that {host} is up, or correct "{name}" in AMENDS_CONTACTS'
                return Finding(what, "problem", f"{host}:{port} does not answer", fix)
            return Finding(
                what,
                "ok",
                f"{host}:{port} answers ({contact.service}); whether it takes our messages only one would tell",
            )
        return Finding(
            what,
            "ok",
            f"is understood ({contact.service}); whether it takes our messages only one would tell",
        )

    async def _in_file(self, file: InboxFile, message: Message) -> Outcome:
        barrier = fence()

        def append() -> Outcome:
            now = self._clock()
            return TOO_LATE if barrier.closed(now) else file.append(message, now)

        return await self._in_thread().run_in_executor(self._threads, append)

    async def _through_apprise(self, contact: AppriseContact, message: Message) -> Outcome:
        loop = self._in_thread()
        wait = contact.turn(loop.time())
        if wait > LONGEST_QUEUE_S:
            return Outcome(
                OutcomeClass.RETRY_LATER,
                code="paced",
                detail=f"this contact takes one notification every {contact.pace_s:g} s",
                retry_at=self._clock() + timedelta(seconds=wait),
            )
        await asyncio.sleep(wait)
        barrier = fence()

        def notify() -> bool | None:
            if barrier.closed(self._clock()):
                return None
            return contact.notify(message.subject, message.body)

        async with contact.slots:
            try:
                sent = await loop.run_in_executor(self._threads, notify)
            except HostRefused as refusal:
                told = f"was not notified: {refusal}; correct AMENDS_CONTACTS"
                return _fix(message.recipient.contact, "host", told)
        if sent is None:
            return TOO_LATE
        if sent:
            return Outcome(OutcomeClass.ACCEPTED)
        return Outcome(
            OutcomeClass.RETRY_LATER,
            code="not_sent",
            detail="Apprise could not deliver it; its own warning is in the log",
        )

    async def _contact(self, name: str) -> Contact | None:
        loop = self._in_thread()
        assert self._opening is not None  # noqa: S101 - opened together with the threads
        async with self._opening:
            if name not in self._contacts:
                url = self._urls[name].get_secret_value()
                # Apprise loads its 150 plugins at the first URL: a quarter of a second, off the loop.
                contact = await loop.run_in_executor(self._threads, _parse, url, self._clock, self._allowed)
                if isinstance(contact, StaffWebhook):
                    await contact.__aenter__()
                self._contacts[name] = contact
        return self._contacts[name]

    def _in_thread(self) -> asyncio.AbstractEventLoop:
        if self._threads is None:
            raise RuntimeError(f"{self!r} is not open: use it inside `async with`")
        return asyncio.get_running_loop()


def _parse(url: str, clock: Clock, allowed: AllowedHosts) -> Contact | None:
    try:
        own = InboxFile.from_url(url) or StaffWebhook.from_url(url, clock, allowed)
        return own or AppriseContact(url, allowed)
    except ValueError:
        return None


def _fix(name: str | None, code: str, what: str) -> Outcome:
    detail = f"staff contact {name!r} {what}"
    return Outcome(OutcomeClass.NEEDS_HUMAN, code=code, detail=detail, stops="target")
