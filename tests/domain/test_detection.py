"""Detection: which ratings open a case, and which belong to one that is open."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.detection import Verdict, joins, judge
from amends.domain.ratings import Scale
from tests.domain.examples import HOUR, JOURNEY, NINE, changed


@pytest.mark.parametrize(
    ("scale", "mark", "verdict"),
    [
        (Scale.FIVE_STARS, 3, Verdict.CASE),
        (Scale.FIVE_STARS, 3.5, Verdict.ABOVE_THRESHOLD),
        (Scale.FIVE_STARS, 4, Verdict.ABOVE_THRESHOLD),
        (Scale.TEN_POINTS, 6, Verdict.CASE),
        (Scale.TEN_POINTS, 7, Verdict.ABOVE_THRESHOLD),
        (Scale.FIVE_EMOTIONS, 3, Verdict.CASE),
        (Scale.THREE_EMOTIONS, 1, Verdict.CASE),
        (Scale.THREE_EMOTIONS, 2, Verdict.ABOVE_THRESHOLD),
        (Scale.THREE_EMOTIONS, 3, Verdict.ABOVE_THRESHOLD),
    ],
)
def test_bad_is_stated_per_scale(scale: Scale, mark: float, verdict: Verdict) -> None:
    assert judge(mark, scale, JOURNEY).verdict is verdict


def test_the_verdict_says_why_and_carries_the_stars() -> None:
    judgement = judge(6, Scale.TEN_POINTS, JOURNEY)
    assert judgement.reason == "6 of 10 is at most 6"
    assert judgement.stars == 3


def test_a_scale_set_to_zero_is_off() -> None:
    journey = changed(bad_ratings__five_stars=0)
    assert judge(1, Scale.FIVE_STARS, journey).verdict is Verdict.ABOVE_THRESHOLD


def test_words_without_a_rating_open_no_case_and_say_so() -> None:
    judgement = judge(None, Scale.FIVE_STARS, JOURNEY)
    assert judgement.verdict is Verdict.SUPPRESSED
    assert "no rating" in judgement.reason
    assert judgement.stars is None


@given(st.sampled_from(Scale), st.integers(0, 10), st.data())
def test_a_mark_below_a_bad_one_is_bad(scale: Scale, limit: int, data: st.DataObject) -> None:
    journey = changed(**{f"bad_ratings__{scale.value}": min(limit, scale.points)})
    mark = data.draw(st.integers(1, scale.points))
    if judge(mark, scale, journey).verdict is Verdict.CASE:
        assert all(judge(worse, scale, journey).verdict is Verdict.CASE for worse in range(1, mark))


@pytest.mark.parametrize("way", [1, -1], ids=["later", "arrived late"])
def test_the_merge_window_counts_both_ways_and_includes_its_end(way: int) -> None:
    window = timedelta(hours=JOURNEY.merge_window_hours)
    assert joins(NINE, NINE + way * window, JOURNEY)
    assert not joins(NINE, NINE + way * (window + timedelta(seconds=1)), JOURNEY)


def test_without_a_window_only_the_same_instant_joins() -> None:
    journey = changed(merge_window_hours=0)
    assert joins(NINE, NINE, journey)
    assert not joins(NINE, NINE + HOUR, journey)
