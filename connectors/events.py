"""What vendors tell us by themselves, in our words. Connectors read webhooks into these; tasks act on them."""

from dataclasses import dataclass, field
from datetime import datetime

from connectors.ports import RatingAnswer


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message of ours has reached the customer: the vendor's proof for a send whose answer we never saw."""

    msg_id: str
    tracking_id: str


@dataclass(frozen=True, slots=True)
class CustomerWrote:
    """A chat message from a customer. `text` is what they wrote, or names the kind of attachment."""

    user_id: str
    msg_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CustomerActed:
    """A customer did something that (re)opens the window for consultation messages, such as following."""

    user_id: str


@dataclass(frozen=True, slots=True)
class CustomerLeft:
    """A customer unfollowed the account: no consultation message reaches them any more."""

    user_id: str


@dataclass(frozen=True, slots=True)
class ContactShared:
    """A customer gave their phone number (E.164 without plus; None when it was no usable number) and name."""

    user_id: str
    phone: str | None = field(repr=False)
    name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TemplateChanged:
    """The vendor has approved, rejected, disabled or re-enabled a template. `usable`: it may be sent now."""

    template_id: str
    status: str
    usable: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rated:
    """A customer's answer to a rating template, the same that a poll would bring."""

    answer: RatingAnswer


Fact = Rated | Delivered | CustomerWrote | CustomerActed | CustomerLeft | ContactShared | TemplateChanged


@dataclass(frozen=True, slots=True)
class VendorEvent:
    """One webhook. `key` is the same for every delivery of the same event (1 to 200 characters).

    `occurred_at` is the vendor's own time, aware UTC. `fact` is None for events that mean nothing to a journey
    (quota news, echoes of our own messages, kinds we do not know): they are kept all the same.
    """

    key: str
    name: str
    occurred_at: datetime
    fact: Fact | None
