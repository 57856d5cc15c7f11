"""What a vendor's answer means for us: one small taxonomy for every connector (ADR 0003).

The classes are named by what the *caller* does next, not by HTTP status or vendor code, because
vendors such as Zalo answer refusals with HTTP 200.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class OutcomeClass(StrEnum):
    """What to do with an effect after the vendor answered (or did not)."""

    ACCEPTED = "accepted"
    """The vendor took it. Settled."""
    RETRY_LATER = "retry_later"
    """Busy, rate limited or down, and surely not done: try again at `retry_at` or by our own schedule."""
    REFRESH_CREDENTIALS = "refresh_credentials"
    """The access token is stale: refresh once and repeat the call once, inside the connector."""
    WAIT_FOR_WINDOW = "wait_for_window"
    """Quota used up or a forbidden hour: wait for the next window (`retry_at` when known)."""
    UNREACHABLE = "unreachable"
    """This person cannot be reached on this channel: go on to the next one of the fallback chain."""
    PAYLOAD_REFUSED = "payload_refused"
    """The message itself is wrong; sending it again cannot help."""
    NEEDS_HUMAN = "needs_human"
    """An account, balance, template or permission problem: stop the channel, keep the cases waiting."""
    UNCERTAIN = "uncertain"
    """The call may have left and the answer is unknown: never repeat it blindly."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One vendor answer, classified.

    `stops` tells how much a `NEEDS_HUMAN` stops: the whole channel, or only its target (one template, one contact).

    `detail` is for operators and must already be free of personal data and secrets.
    `retry_at` is aware UTC. `cost_vnd` is what the vendor charges, in whole VND, 0 when unknown.
    """

    cls: OutcomeClass
    provider_id: str | None = None
    code: str | None = None
    detail: str = ""
    retry_at: datetime | None = None
    cost_vnd: int = 0
    stops: Literal["channel", "target"] = "channel"

    @property
    def accepted(self) -> bool:
        return self.cls is OutcomeClass.ACCEPTED
