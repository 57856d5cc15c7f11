"""Effects: keys that are the same for ever, and the pace of the next try."""

import re
import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.effects import (
    EffectState,
    Step,
    effect_key,
    next_attempt_at,
    state_after,
    tracked_key,
    tracking_id,
)
from amends.domain.outcome import Outcome, OutcomeClass
from tests.domain.examples import NINE

names = st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=40)
intentions = st.tuples(
    names,
    st.integers(1, 2**63 - 1),
    st.sampled_from(Step),
    st.sampled_from(["zns", "email", "notify"]),
    st.integers(0, 10_000),
)


@given(intentions, intentions)
def test_one_intention_one_key(
    one: tuple[str, int, Step, str, int], other: tuple[str, int, Step, str, int]
) -> None:
    assert (effect_key(*one) == effect_key(*other)) == (one == other)


@given(intentions)
def test_the_tracking_id_fits_the_vendor_and_keeps_the_key(
    intention: tuple[str, int, Step, str, int],
) -> None:
    key = effect_key(*intention)
    assert re.fullmatch(r"[A-Za-z0-9_]{1,48}", tracking_id(key))
    assert tracked_key(tracking_id(key)) == key


@given(st.text(max_size=40) | st.text("0123456789abcdef-", min_size=30, max_size=36))
def test_what_another_tracks_by_stands_for_no_key_of_ours(other: str) -> None:
    key = tracked_key(other)
    assert key is None or tracking_id(key) == other


def test_the_key_is_the_same_in_every_process_and_release() -> None:
    """Were it to change, every message out there would look unsent."""
    key = effect_key("complaint", 42, Step.ACKNOWLEDGE, "zns", 0)
    assert key == "aa8523d3-dbc2-587e-925b-ab890d319b63"


@pytest.mark.parametrize("cls", OutcomeClass)
def test_every_answer_leads_to_a_state(cls: OutcomeClass) -> None:
    assert state_after(Outcome(cls)) in EffectState


@pytest.mark.parametrize("cls", OutcomeClass)
def test_only_a_refusal_for_certain_is_tried_again(cls: OutcomeClass) -> None:
    surely_not_done_but_may_work_later = {
        OutcomeClass.RETRY_LATER,
        OutcomeClass.REFRESH_CREDENTIALS,
        OutcomeClass.WAIT_FOR_WINDOW,
        OutcomeClass.NEEDS_HUMAN,
    }
    assert (state_after(Outcome(cls)) is EffectState.WAITING) == (cls in surely_not_done_but_may_work_later)


def test_an_unknown_fate_is_its_own_state() -> None:
    assert state_after(Outcome(OutcomeClass.UNCERTAIN)) is EffectState.UNCERTAIN


BUSY = Outcome(OutcomeClass.RETRY_LATER)


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 360), (99, 360)])
def test_waits_double_from_two_minutes_to_six_hours(attempts: int, minutes: int) -> None:
    assert next_attempt_at(BUSY, attempts, NINE) == NINE + timedelta(minutes=minutes)


@given(st.integers(0, 10**6))
def test_the_pace_never_quickens_and_is_bounded(attempts: int) -> None:
    wait = next_attempt_at(BUSY, attempts, NINE) - NINE
    assert wait <= next_attempt_at(BUSY, attempts + 1, NINE) - NINE
    assert timedelta(minutes=2) <= wait <= timedelta(hours=6)


def test_the_vendors_word_counts_before_our_own_pace() -> None:
    told = Outcome(OutcomeClass.WAIT_FOR_WINDOW, retry_at=NINE + timedelta(hours=21))
    assert next_attempt_at(told, 1, NINE) == NINE + timedelta(hours=21)


def test_a_retry_time_in_the_past_does_not_make_us_hammer() -> None:
    told = Outcome(OutcomeClass.RETRY_LATER, retry_at=NINE - timedelta(hours=1))
    assert next_attempt_at(told, 1, NINE) == NINE + timedelta(minutes=2)


@given(st.integers(1, 100))
def test_what_only_a_person_can_repair_is_looked_at_every_half_hour(attempts: int) -> None:
    stuck = Outcome(OutcomeClass.NEEDS_HUMAN)
    assert next_attempt_at(stuck, attempts, NINE) == NINE + timedelta(minutes=30)
