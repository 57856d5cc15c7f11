"""The count of a day's quota, step by step."""

from datetime import timedelta

import pytest

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.zalo.memory import QuotaMeter
from tests.connectors.rig import NOW

ACCEPTED = Outcome(OutcomeClass.ACCEPTED)
LATER = NOW + timedelta(minutes=5)


def meter(left: int | None) -> QuotaMeter:
    found = QuotaMeter()
    found.read(500, left, LATER)
    return found


def test_places_are_taken_before_the_call() -> None:
    two = meter(2)
    assert [two.take() for _ in range(3)] == ["taken", "taken", "wait"]


def test_answers_out_of_order_are_not_counted_twice() -> None:
    ten = meter(10)
    for _ in range(2):
        ten.take()
    ten.settle(ten.generation, ACCEPTED, 8)  # the second message's answer comes first
    ten.settle(ten.generation, ACCEPTED, 9)
    assert (ten.left, ten.in_flight) == (8, 0)


@pytest.mark.parametrize(
    ("cls", "left"),
    [
        (OutcomeClass.ACCEPTED, 9),
        (OutcomeClass.UNCERTAIN, 9),
        (OutcomeClass.UNREACHABLE, 10),
        (OutcomeClass.RETRY_LATER, 10),
        (OutcomeClass.PAYLOAD_REFUSED, 10),
        (None, 9),
    ],
)
def test_what_may_have_been_sent_counts(cls: OutcomeClass | None, left: int) -> None:
    ten = meter(10)
    ten.take()
    ten.settle(ten.generation, None if cls is None else Outcome(cls), None)
    assert ten.left == left


def test_answer_of_yesterday_does_not_empty_today() -> None:
    old = meter(1)
    old.take()
    began = old.generation
    old.read(500, 500, LATER)
    old.settle(began, ACCEPTED, 0)
    assert (old.left, old.in_flight) == (500, 0)


def test_unknown_quota_holds_nobody_until_an_answer_tells_it() -> None:
    unknown = meter(None)
    assert [unknown.take() for _ in range(99)] == ["taken"] * 99
    unknown.settle(unknown.generation, ACCEPTED, 0)
    assert unknown.take() == "empty"


def test_reading_ages() -> None:
    assert not QuotaMeter().fresh(NOW)
    assert meter(1).fresh(LATER - timedelta(seconds=1))
    assert not meter(1).fresh(LATER)
