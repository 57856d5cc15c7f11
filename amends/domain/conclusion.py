"""How a case ends: from the survey's fate to an outcome, and from an outcome to closing or reopening."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from amends.domain.case import Case
from amends.domain.decision import Postpone
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.journey.base import Severity
from amends.domain.journey.complaint import ComplaintJourney


@dataclass(frozen=True, slots=True)
class Conclusion:
    outcome: CaseOutcome
    reason: str


def conclude(case: Case, journey: ComplaintJourney, now: datetime) -> Conclusion | Postpone:
    """The outcome of the present cycle, or when to look again while the answer window is open."""
    result = case.survey
    if result is None:
        return Conclusion(CaseOutcome.SUPPRESSED, "no survey was due")
    # First of all an answer: it proves a survey that an operator thought lost.
    if result.satisfied is not None:
        outcome = CaseOutcome.SATISFIED if result.satisfied else CaseOutcome.UNSATISFIED
        return Conclusion(outcome, result.reason)
    if result.skipped is not None:
        return Conclusion(result.skipped, result.reason)
    if result.asked_at is None:
        return Conclusion(CaseOutcome.SUPPRESSED, "the survey was never asked")
    ends_at = result.asked_at + timedelta(hours=journey.survey.answer_window_hours)
    if now < ends_at:
        return Postpone(ends_at, "waiting for the answer")
    return Conclusion(
        CaseOutcome.SILENT, f"no answer within {journey.survey.answer_window_hours:g} hours of the survey"
    )


@dataclass(frozen=True, slots=True)
class Reopen:
    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class CloseCase:
    reason: str


def close_or_reopen(case: Case, journey: ComplaintJourney) -> Reopen | CloseCase:
    """An unsatisfied customer reopens the ticket, one severity up, at most `max_reopens` times."""
    if case.outcome is CaseOutcome.UNSATISFIED and case.ticket is not None:
        if case.ticket.cycle < journey.max_reopens:
            return Reopen(case.ticket.severity.one_up(), case.outcome_reason)
        return CloseCase(f"{case.outcome_reason}; reopened {case.ticket.cycle} times already")
    return CloseCase(case.outcome_reason)
