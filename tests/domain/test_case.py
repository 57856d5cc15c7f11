"""The frozen view of a case, and the stable hash that picks the holdout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.case import in_holdout
from amends.domain.journey.base import Severity
from tests.domain.examples import case, lan, ticket

IDS = range(1, 10_001)


def test_the_code_is_what_people_call_the_case() -> None:
    assert case(id=7).code == "AM000007"
    assert case(id=12_345_678).code == "AM12345678"


def test_the_cycle_is_the_tickets() -> None:
    assert case().cycle == 0
    assert case(ticket=ticket(cycle=2)).cycle == 2


def test_no_repr_shows_personal_data() -> None:
    shown = repr(case(customer=lan(name="Trần Thị Lan")))
    assert not [secret for secret in ("Trần", "84912345678", "lan@example.com") if secret in shown]


def test_severities_rise_to_urgent_and_stay_there() -> None:
    risen = [severity.one_up() for severity in Severity]
    assert risen == [Severity.NORMAL, Severity.HIGH, Severity.URGENT, Severity.URGENT]


@given(st.integers(1, 2**62), st.floats(0, 100), st.floats(0, 100))
def test_raising_the_holdout_only_adds_cases(case_id: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if in_holdout("complaint", "survey", case_id, low):
        assert in_holdout("complaint", "survey", case_id, high)


@given(st.integers(1, 2**62))
def test_zero_percent_is_nobody_and_a_hundred_everybody(case_id: int) -> None:
    assert not in_holdout("complaint", "reward", case_id, 0)
    assert in_holdout("complaint", "reward", case_id, 100)


@pytest.mark.parametrize("percent", [1, 10, 50])
def test_the_share_held_out_is_close_to_the_percentage(percent: float) -> None:
    held = sum(in_holdout("complaint", "survey", id_, percent) for id_ in IDS)
    assert held == pytest.approx(len(IDS) * percent / 100, rel=0.15)


def test_the_same_cases_are_held_out_in_every_process_and_release() -> None:
    held = [id_ for id_ in range(1, 60) if in_holdout("complaint", "survey", id_, 10)]
    assert held == [5, 8, 26, 42, 48]


def test_surveys_and_vouchers_are_held_out_independently() -> None:
    survey = {id_ for id_ in IDS if in_holdout("complaint", "survey", id_, 50)}
    reward = {id_ for id_ in IDS if in_holdout("complaint", "reward", id_, 50)}
    assert len(survey & reward) == pytest.approx(len(IDS) / 4, rel=0.1)
