"""What the journey needs from the outside world, in the fewest verbs. Connectors implement these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from amends.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where one person can be reached. `phone` is E.164 without plus. Never log it.

    `zalo_uid` is the person's id at the one Official Account that the message goes through.
    """

    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    zalo_uid: str | None = field(default=None, repr=False)
    contact: str | None = None
    """The name of a staff contact in the settings (agents and escalation ladder)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One outgoing message, fully rendered; a connector only translates it.

    `key` is the effect's idempotency key (36 characters), `tracking_id` the vendor-safe form of it
    (`[A-Za-z0-9_]{1,48}`). Template channels use `template_id` and `params`; text channels `subject` and `body`.
    """

    key: str
    tracking_id: str
    recipient: Recipient
    template_id: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    body: str = ""


class Channel(Protocol):
    """Delivers one message. Never raises for an answer of the vendor: every answer is an `Outcome`.

    A time-out or a broken connection after the request may have left is `UNCERTAIN`, not an exception.
    """

    name: str

    def reaches(self, recipient: Recipient) -> bool:
        """True when this channel has an address for the recipient (it does not ask the vendor)."""
        ...

    async def send(self, message: Message) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class RatingAnswer:
    """One answer to a rating template, as polled. `rate` counts from 1 (worst); `option` names the scale."""

    msg_id: str
    tracking_id: str
    rate: int
    option: str
    submitted_at: datetime
    note: str = ""
    feedbacks: tuple[str, ...] = ()


class RatingSource(Protocol):
    """A vendor's list of rating answers for one template in a window of time."""

    async def ratings(self, template_id: str, since: datetime, until: datetime) -> list[RatingAnswer]:
        """All answers submitted in [since, until], any order, every page.

        Raises `connectors.errors.VendorUnavailable` when the list could not be read; reading again is always safe.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """One pair of OAuth tokens; `expires_at` (aware UTC) is the access token's end. Never shown in a repr."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


class VaultProblem(Exception):
    """The vault cannot open what it holds; the message says what a person has to do, and shows no secret."""


class TokenVault(Protocol):
    """Keeps an account's tokens for all processes. Synchronous: connectors call it in a worker thread.

    `account` names the vendor and app, e.g. `zalo:1234`. The lock is a lease, so that a killed refresher
    does not block the others for ever.
    """

    def load(self, account: str) -> Tokens | None:
        """The stored pair. Raises `VaultProblem` when it cannot be opened."""
        ...

    def save(self, account: str, tokens: Tokens) -> None:
        """Store the pair in place of the old one; committed when this returns."""
        ...

    def acquire(self, account: str, holder: str, until: datetime, now: datetime) -> bool:
        """Take the account's refresh lock until `until`; False while another holder's lease is unexpired."""
        ...

    def release(self, account: str, holder: str) -> None:
        """Give the lock back; does nothing when `holder` no longer has it."""
        ...
