"""The ticket's summary: what an agent should know before the first word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from amends.domain.case import Case
from amends.domain.contacts import mask
from amends.domain.journey import ComplaintJourney

_LONGEST_TEXT = 400


@dataclass(frozen=True, slots=True)
class Rating:
    """A bad rating of this case, on its own scale."""

    rating: int
    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier case of the same customer."""

    case_id: int
    opened_at: datetime
    outcome: str | None


def ticket_summary(
    case: Case, ratings: Sequence[Rating], earlier: Sequence[Earlier], journey: ComplaintJourney
) -> str:
    """Plain text, dates in the brand's zone. Phone numbers and mails in the customer's words are masked."""
    about = " · ".join(part for part in (case.branch, case.product) if part)
    lines = [f"{case.code} · {case.stars}/5{f' · {about}' if about else ''}"]
    for rating in ratings:
        words = mask(" ".join(rating.text.split())) or "(no words)"
        lines.append(f"- rated {rating.rating}: {words[:_LONGEST_TEXT]}")
    if earlier:
        lines.append("Earlier cases:")
        for old in earlier:
            day = old.opened_at.astimezone(journey.zone).strftime("%d/%m/%Y")
            lines.append(f"- AM{old.case_id:06d} of {day}: {old.outcome or 'still open'}")
    else:
        lines.append("First complaint of this customer.")
    return "\n".join(lines)


def summary_without_person(case_id: int) -> str:
    """What stands in the place of a summary once the customer's data has been removed."""
    return f"AM{case_id:06d} · the customer's personal data has been removed"
