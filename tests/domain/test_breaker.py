"""The circuit breaker: opens on trouble, tries with one call, comes back by doubling."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.breaker import (
    CLOSED,
    FIRST_REST,
    LONGEST_REST,
    OPENS_AFTER,
    Breaker,
    after,
    in_trouble,
)
from amends.domain.outcome import Outcome, OutcomeClass
from tests.domain.examples import HOUR, NINE

OK = Outcome(OutcomeClass.ACCEPTED)
NO_SUCH = Outcome(OutcomeClass.UNREACHABLE)
DOWN = Outcome(OutcomeClass.RETRY_LATER, code="http_503")
LOST = Outcome(OutcomeClass.UNCERTAIN, code="ReadTimeout")
FENCED = Outcome(OutcomeClass.RETRY_LATER, code="fenced")
BROKE = Outcome(OutcomeClass.NEEDS_HUMAN, code="-115")
MOST = 32


def moved(breaker: Breaker, *outcomes: Outcome) -> Breaker:
    return after(breaker, outcomes, NINE, MOST)


@pytest.mark.parametrize(
    ("outcome", "trouble"),
    [(OK, False), (NO_SUCH, False), (DOWN, True), (LOST, True), (FENCED, False), (BROKE, False)],
)
def test_what_an_outcome_says_of_the_vendor(outcome: Outcome, trouble: bool) -> None:
    assert in_trouble(outcome) is trouble


def test_it_opens_after_failures_that_nothing_good_interrupts() -> None:
    breaker = moved(CLOSED, *[DOWN] * (OPENS_AFTER - 1))
    assert breaker.calls_at_once is None
    breaker = moved(breaker, LOST)
    assert breaker.retry_at == NINE + FIRST_REST
    assert breaker.resting(NINE)
    assert not breaker.resting(NINE + FIRST_REST)


def test_a_good_wave_forgives_earlier_failures() -> None:
    breaker = moved(moved(CLOSED, *[DOWN] * (OPENS_AFTER - 1)), OK, DOWN)
    assert breaker == CLOSED


def test_a_tenth_of_failures_does_not_open_it() -> None:
    breaker = CLOSED
    for _ in range(50):
        breaker = moved(breaker, *[OK] * 9, DOWN)
    assert breaker == CLOSED


def test_it_is_tried_with_one_call_and_comes_back_by_doubling() -> None:
    breaker = moved(CLOSED, *[DOWN] * MOST)
    seen = []
    while breaker != CLOSED:
        seen.append(breaker.calls_at_once)
        breaker = moved(breaker, *[OK] * (breaker.calls_at_once or 0))
    assert seen == [1, 2, 4, 8, 16]


def test_a_refusal_does_not_close_it_because_it_may_be_made_without_a_call() -> None:
    night = Outcome(OutcomeClass.WAIT_FOR_WINDOW, code="night")
    breaker = moved(CLOSED, *[DOWN] * MOST)
    assert moved(breaker, night) == moved(breaker, NO_SUCH) == moved(breaker, FENCED) == breaker


def test_a_failed_trial_opens_it_again_for_twice_as_long_up_to_a_limit() -> None:
    breaker, rests = moved(CLOSED, *[DOWN] * MOST), []
    for _ in range(7):
        assert breaker.retry_at is not None
        rests.append(breaker.retry_at - NINE)
        breaker = moved(breaker, DOWN)
    assert rests[:4] == [FIRST_REST * n for n in (1, 2, 4, 8)]
    assert set(rests[4:]) == {LONGEST_REST}


def test_a_setback_while_coming_back_opens_it_at_once() -> None:
    breaker = moved(moved(CLOSED, *[DOWN] * MOST), OK)
    assert breaker.allowance == 2
    assert moved(breaker, DOWN, DOWN).resting(NINE)


def test_the_vendors_own_wish_is_respected() -> None:
    busy = Outcome(OutcomeClass.RETRY_LATER, code="http_429", retry_at=NINE + HOUR)
    assert moved(CLOSED, *[busy] * OPENS_AFTER).retry_at == NINE + HOUR


OUTCOMES = st.lists(st.sampled_from([OK, NO_SUCH, DOWN, LOST, FENCED, BROKE]), max_size=40)


@given(st.lists(OUTCOMES, max_size=12))
def test_whatever_happens_it_can_always_be_tried_again_within_the_longest_rest(
    waves: list[list[Outcome]],
) -> None:
    breaker = CLOSED
    for wave in waves:
        breaker = moved(breaker, *wave)
        assert breaker.retry_at is None or breaker.retry_at - NINE <= max(LONGEST_REST, timedelta(0))
        assert breaker.calls_at_once is None or breaker.calls_at_once >= 1
    for _ in range(6):
        breaker = moved(breaker, OK)
    assert breaker == CLOSED
