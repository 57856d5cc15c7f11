"""Rating scales: each source has its own, and "bad" is stated per scale.

Zalo's service rating alone comes as `three_emotions`, `five_emotions` or `five_stars` (field `option`);
on a 3-point scale a 3 is the best mark, so a bare "1-3 is bad" would call happy customers unhappy.
"""

from enum import StrEnum


class Scale(StrEnum):
    """The points a customer could choose from; 1 is always the worst."""

    FIVE_STARS = "five_stars"
    TEN_POINTS = "ten_points"
    FIVE_EMOTIONS = "five_emotions"
    THREE_EMOTIONS = "three_emotions"

    @property
    def points(self) -> int:
        return _POINTS[self]

    @property
    def default_bad_up_to(self) -> int:
        """The highest mark that still counts as a bad rating unless the journey says otherwise."""
        return _BAD_UP_TO[self]

    def accepts(self, rating: float) -> bool:
        return 1 <= rating <= self.points


_POINTS = {Scale.FIVE_STARS: 5, Scale.TEN_POINTS: 10, Scale.FIVE_EMOTIONS: 5, Scale.THREE_EMOTIONS: 3}
_BAD_UP_TO = {Scale.FIVE_STARS: 3, Scale.TEN_POINTS: 6, Scale.FIVE_EMOTIONS: 3, Scale.THREE_EMOTIONS: 1}


def to_five(rating: float, scale: Scale) -> int:
    """Map a mark onto 1..5, order preserved and ends kept, so that severities can be set once for all scales."""
    if not scale.accepts(rating):
        raise ValueError(f"rating {rating:g} is outside 1..{scale.points} of the {scale.value} scale")
    return 1 + round((rating - 1) * 4 / (scale.points - 1))
