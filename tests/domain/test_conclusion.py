"""From the survey's fate to an outcome, and from an outcome to closing or reopening."""

import pytest

from amends.domain.case import SurveyResult
from amends.domain.conclusion import CloseCase, Conclusion, Reopen, close_or_reopen, conclude
from amends.domain.decision import Postpone
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.journey.base import Severity
from tests.domain.examples import HOUR, JOURNEY, NINE, asked, case, changed, solved

WINDOW_ENDS = NINE + 96 * HOUR


def test_a_case_without_a_survey_ends_suppressed() -> None:
    assert conclude(case(), JOURNEY, NINE) == Conclusion(CaseOutcome.SUPPRESSED, "no survey was due")


@pytest.mark.parametrize("fate", [CaseOutcome.SUPPRESSED, CaseOutcome.UNREACHABLE])
def test_a_survey_that_could_not_be_asked_is_the_outcome(fate: CaseOutcome) -> None:
    skipped = SurveyResult(skipped=fate, reason="holdout of 10 %")
    assert conclude(case(survey=skipped), JOURNEY, NINE) == Conclusion(fate, "holdout of 10 %")


@pytest.mark.parametrize(
    ("satisfied", "outcome"), [(True, CaseOutcome.SATISFIED), (False, CaseOutcome.UNSATISFIED)]
)
def test_the_answer_is_the_outcome(satisfied: bool, outcome: CaseOutcome) -> None:
    answered = asked(answered_at=NINE, satisfied=satisfied, reason="2 of 5 is at most 3")
    assert conclude(case(survey=answered), JOURNEY, NINE) == Conclusion(outcome, "2 of 5 is at most 3")


def test_an_answer_counts_even_where_the_sweep_that_asked_died() -> None:
    answered = SurveyResult(answered_at=NINE, satisfied=True)
    assert conclude(case(survey=answered), JOURNEY, NINE) == Conclusion(CaseOutcome.SATISFIED, "")


def test_an_answer_counts_even_to_a_survey_that_was_thought_lost() -> None:
    answered = asked(
        answered_at=NINE, satisfied=True, skipped=CaseOutcome.UNREACHABLE, reason="5 of 5 is above 3"
    )
    assert conclude(case(survey=answered), JOURNEY, NINE) == Conclusion(
        CaseOutcome.SATISFIED, "5 of 5 is above 3"
    )


def test_a_survey_never_asked_ends_suppressed() -> None:
    never = Conclusion(CaseOutcome.SUPPRESSED, "the survey was never asked")
    assert conclude(case(survey=SurveyResult()), JOURNEY, NINE) == never


def test_while_the_answer_window_is_open_we_wait_for_its_end() -> None:
    assert conclude(case(survey=asked()), JOURNEY, NINE) == Postpone(WINDOW_ENDS, "waiting for the answer")


def test_silence_to_the_end_of_the_window_is_the_answer() -> None:
    silent = Conclusion(CaseOutcome.SILENT, "no answer within 96 hours of the survey")
    assert conclude(case(survey=asked()), JOURNEY, WINDOW_ENDS) == silent


@pytest.mark.parametrize(
    ("severity", "next_severity"), [(Severity.NORMAL, Severity.HIGH), (Severity.URGENT, Severity.URGENT)]
)
def test_an_unsatisfied_customer_reopens_the_ticket_one_severity_up(
    severity: Severity, next_severity: Severity
) -> None:
    unhappy = case(outcome=CaseOutcome.UNSATISFIED, outcome_reason="1 of 5", ticket=solved(severity=severity))
    assert close_or_reopen(unhappy, JOURNEY) == Reopen(next_severity, "1 of 5")


def test_a_ticket_is_reopened_no_more_often_than_the_journey_allows() -> None:
    unhappy = case(outcome=CaseOutcome.UNSATISFIED, outcome_reason="1 of 5", ticket=solved(cycle=1))
    assert close_or_reopen(unhappy, JOURNEY) == CloseCase("1 of 5; reopened 1 times already")
    assert isinstance(close_or_reopen(unhappy, changed(max_reopens=2)), Reopen)


def test_a_case_without_a_ticket_has_nothing_to_reopen() -> None:
    unhappy = case(outcome=CaseOutcome.UNSATISFIED, outcome_reason="1 of 5")
    assert close_or_reopen(unhappy, JOURNEY) == CloseCase("1 of 5")


@pytest.mark.parametrize("outcome", [o for o in CaseOutcome if o is not CaseOutcome.UNSATISFIED])
def test_every_other_outcome_closes_the_case(outcome: CaseOutcome) -> None:
    done = case(outcome=outcome, outcome_reason="why", ticket=solved())
    assert close_or_reopen(done, JOURNEY) == CloseCase("why")
