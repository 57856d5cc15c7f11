"""A case as decisions see it: the customer's complaint, the ticket and the survey in one frozen view."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.journey.base import Severity


class TicketState(StrEnum):
    NEW = "new"
    OPEN = "open"
    SOLVED = "solved"


@dataclass(frozen=True, slots=True)
class ZaloUser:
    """The customer as one Official Account knows them; user ids differ from account to account."""

    account: str
    uid: str = field(repr=False)
    last_interaction_at: datetime | None = None
    """When they last wrote, followed or tapped: consultation messages are allowed for some days from then."""
    left_at: datetime | None = None
    """When they unfollowed; None while they follow, or never did."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who complained and where they can be reached; personal data, so never in a repr."""

    id: int
    language: str | None = None
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    opted_out_at: datetime | None = None
    forgotten_at: datetime | None = None
    """When their personal data was removed: nothing of theirs is kept from then on."""
    recent_messages: int = 0
    """Messages of ours accepted within the journey's cap window."""
    zalo: tuple[ZaloUser, ...] = ()

    def zalo_user(self, account: str) -> ZaloUser | None:
        return next((user for user in self.zalo if user.account == account), None)


@dataclass(frozen=True, slots=True)
class Ticket:
    id: int
    state: TicketState
    severity: Severity
    assignee: str | None
    cycle: int
    """0 at first, one more for each reopening."""
    summary: str = ""
    opened_at: datetime | None = None
    first_response_at: datetime | None = None
    solved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What became of the survey of one cycle."""

    asked_at: datetime | None = None
    answered_at: datetime | None = None
    satisfied: bool | None = None
    skipped: CaseOutcome | None = None
    """SUPPRESSED or UNREACHABLE when it could not be asked."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One complaint journey instance. Times are aware UTC."""

    id: int
    journey: str
    version_id: int
    opened_at: datetime
    stars: int
    severity: Severity
    customer: Customer
    branch: str | None = None
    product: str | None = None
    outcome: CaseOutcome | None = None
    outcome_reason: str = ""
    closed_at: datetime | None = None
    ticket: Ticket | None = None
    survey: SurveyResult | None = None

    @property
    def code(self) -> str:
        """What customers and agents call the case."""
        return f"AM{self.id:06d}"

    @property
    def cycle(self) -> int:
        return self.ticket.cycle if self.ticket else 0


def in_holdout(journey: str, purpose: str, case_id: int, percent: float) -> bool:
    """Whether a stable hash puts this case into the share that gets no `purpose`, to measure what it brings."""
    digest = hashlib.blake2b(f"{journey}:{purpose}:{case_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100 < percent
