"""Rating scales: one order for all, and what counts as bad on each."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from amends.domain.ratings import Scale, to_five

scales = st.sampled_from(Scale)


@st.composite
def marks(draw: st.DrawFn, count: int) -> tuple[Scale, list[float]]:
    scale = draw(scales)
    mark = st.integers(1, scale.points).map(float) | st.floats(1, scale.points)
    return scale, draw(st.lists(mark, min_size=count, max_size=count))


@given(marks(2))
def test_a_better_mark_never_gives_fewer_stars(given: tuple[Scale, list[float]]) -> None:
    scale, (one, other) = given
    worse, better = sorted((one, other))
    assert to_five(worse, scale) <= to_five(better, scale)


@given(marks(1))
def test_stars_lie_between_one_and_five(given: tuple[Scale, list[float]]) -> None:
    scale, (mark,) = given
    assert to_five(mark, scale) in range(1, 6)


@pytest.mark.parametrize("scale", Scale)
def test_the_ends_of_every_scale_are_one_and_five_stars(scale: Scale) -> None:
    assert to_five(1, scale) == 1
    assert to_five(scale.points, scale) == 5


@pytest.mark.parametrize("scale", [Scale.FIVE_STARS, Scale.FIVE_EMOTIONS])
@pytest.mark.parametrize("mark", range(1, 6))
def test_five_points_stay_as_they_are(scale: Scale, mark: int) -> None:
    assert to_five(mark, scale) == mark


def test_the_middle_of_three_faces_is_three_stars() -> None:
    assert to_five(2, Scale.THREE_EMOTIONS) == 3


@given(scales, st.floats(allow_nan=True))
def test_marks_outside_the_scale_are_refused_by_name(scale: Scale, mark: float) -> None:
    assume(not scale.accepts(mark))
    with pytest.raises(ValueError, match=rf"outside 1\.\.{scale.points} of the {scale.value} scale"):
        to_five(mark, scale)


@pytest.mark.parametrize(
    ("scale", "worst_good_mark"),
    [(Scale.FIVE_STARS, 4), (Scale.TEN_POINTS, 7), (Scale.FIVE_EMOTIONS, 4), (Scale.THREE_EMOTIONS, 2)],
)
def test_where_bad_ends_unless_the_journey_says_otherwise(scale: Scale, worst_good_mark: int) -> None:
    assert scale.default_bad_up_to == worst_good_mark - 1
