"""Cases, effects and the shipped journey, as short as a test wants to write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from amends.domain.case import Case, Customer, SurveyResult, Ticket, TicketState
from amends.domain.effects import Effect, EffectState, Step
from amends.domain.journey import ComplaintJourney, load_journey
from amends.domain.journey.base import Severity
from amends.domain.outcome import OutcomeClass
from tests.conftest import ROOT

SHIPPED = ROOT / "deployments" / "journeys" / "complaint.yaml"
JOURNEY = load_journey(SHIPPED)
NINE = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""Monday, 09:00 in Viet Nam."""
HOUR = timedelta(hours=1)


def changed(**changes: Any) -> ComplaintJourney:
    """The shipped journey with some fields replaced: `survey__enabled=False` reaches into a part."""
    data = JOURNEY.model_dump(mode="json")
    for path, value in changes.items():
        *parts, last = path.split("__")
        target = data
        for part in parts:
            target = target[part]
        target[last] = value
    return ComplaintJourney.model_validate(data)


def lan(**changes: Any) -> Customer:
    known = {"id": 5, "language": "vi", "name": "Lan", "phone": "84912345678", "email": "lan@example.com"}
    return Customer(**{**known, **changes})


def ticket(**changes: Any) -> Ticket:
    known: dict[str, Any] = {
        "id": 3,
        "state": TicketState.NEW,
        "severity": Severity.URGENT,
        "assignee": "lan",
    }
    return Ticket(**{**known, "cycle": 0, "summary": "Giao thiếu hàng.", "opened_at": NINE, **changes})


def solved(**changes: Any) -> Ticket:
    return ticket(**{"state": TicketState.SOLVED, "solved_at": NINE, **changes})


def case(**changes: Any) -> Case:
    known: dict[str, Any] = {"id": 7, "journey": "complaint", "version_id": 1, "opened_at": NINE, "stars": 1}
    return Case(**{**known, "severity": Severity.URGENT, "customer": lan(), **changes})


def asked(**changes: Any) -> SurveyResult:
    return SurveyResult(**{"asked_at": NINE, **changes})


def effect(channel: str, state: EffectState, **changes: Any) -> Effect:
    known: dict[str, Any] = {"case_id": 7, "step": Step.ACKNOWLEDGE, "ordinal": 0, "attempts": 1}
    return Effect(**{**known, "channel": channel, "state": state, **changes})


def unreachable(channel: str, ordinal: int = 0) -> Effect:
    return effect(
        channel,
        EffectState.REFUSED,
        ordinal=ordinal,
        outcome_class=OutcomeClass.UNREACHABLE,
        code="-118",
    )
