"""Surveys: asked once per cycle, and the first answer counts."""

from typing import Any

import pytest

from amends.domain.case import SurveyResult
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.ratings import Scale
from amends.store import cases, surveys, tickets
from amends.store.engine import Store, Tx
from amends.store.surveys import Answer
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import add_ticket, at_once


def answer(case_id: int, **changes: Any) -> Answer:
    known: dict[str, Any] = {
        "cycle": 0,
        "rate": 5,
        "scale": Scale.FIVE_STARS,
        "satisfied": True,
        "note": "Tốt",
    }
    known |= {"answered_at": NINE + HOUR, "reason": "5 of 5 is above 3"}
    return Answer(case_id, **{**known, **changes})


def result_of(tx: Tx, case_id: int) -> SurveyResult | None:
    return cases.load(tx, [case_id], messages_since=NINE)[case_id].survey


def test_an_asked_survey_waits_from_then_on(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        assert result_of(tx, case_id) is None
        surveys.asked(tx, [(case_id, 0)], NINE)
        assert result_of(tx, case_id) == SurveyResult(asked_at=NINE)


@pytest.mark.parametrize("fate", [CaseOutcome.SUPPRESSED, CaseOutcome.UNREACHABLE])
def test_a_survey_that_could_not_be_asked_keeps_the_reason(store: Store, fate: CaseOutcome) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        surveys.skipped(tx, [surveys.Skipped(case_id, 0, fate, "holdout of 10 %")])
        assert result_of(tx, case_id) == SurveyResult(skipped=fate, reason="holdout of 10 %")


def test_the_answer_joins_the_question(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        surveys.asked(tx, [(case_id, 0)], NINE)
        assert surveys.answered(tx, [answer(case_id)]) == [answer(case_id)]
        assert result_of(tx, case_id) == SurveyResult(NINE, NINE + HOUR, True, None, "5 of 5 is above 3")


def test_the_first_answer_counts(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        surveys.answered(tx, [answer(case_id)])
        assert surveys.answered(tx, [answer(case_id, rate=1, satisfied=False)]) == []
        result = result_of(tx, case_id)
    assert result is not None
    assert result.satisfied


def test_two_answers_in_one_poll_are_one(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        both = [answer(case_id), answer(case_id, rate=1, satisfied=False)]
        assert surveys.answered(tx, both) == both[:1]


def test_two_polls_in_a_race_store_one_answer(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        surveys.asked(tx, [(case_id, 0)], NINE)

    def poll(rate: int) -> list[Answer]:
        with store.begin() as tx:
            return surveys.answered(tx, [answer(case_id, rate=rate)])

    assert sorted(len(first) for first in at_once([lambda: poll(5), lambda: poll(1)])) == [0, 1]


def test_an_answer_counts_even_where_the_sweep_that_asked_died(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        surveys.answered(tx, [answer(case_id)])
        surveys.asked(tx, [(case_id, 0)], NINE)
        result = result_of(tx, case_id)
    assert result == SurveyResult(NINE, NINE + HOUR, True, None, "5 of 5 is above 3")


def test_a_reopened_ticket_is_asked_about_anew(store: Store) -> None:
    with store.begin() as tx:
        case_id, ticket_id = add_ticket(tx)
        surveys.answered(tx, [answer(case_id, satisfied=False)])
        tickets.solve(tx, ticket_id, "lan", "Giao thiếu hàng", NINE)
        tickets.reopen(tx, JOURNEY, case_id, JOURNEY.tickets.severity(1), NINE)
        assert result_of(tx, case_id) is None
        surveys.answered(tx, [answer(case_id, cycle=1)])
        result = result_of(tx, case_id)
    assert result is not None
    assert result.satisfied
