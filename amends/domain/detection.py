"""Is this feedback a complaint, and whose case is it?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from amends.domain.journey.complaint import ComplaintJourney
from amends.domain.ratings import Scale, to_five


class Verdict(StrEnum):
    """Where a feedback went; every accepted feedback has exactly one."""

    CASE = "case"
    ABOVE_THRESHOLD = "above_threshold"
    SUPPRESSED = "suppressed"
    ANSWER = "answer"
    """The answer to a survey of ours; it belongs to the case that asked."""
    MESSAGE = "message"
    """A chat message of a customer whose case is open; it belongs to that case."""


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str
    stars: int | None = None
    """The rating on five stars, when there is one."""


def judge(rating: float | None, scale: Scale, journey: ComplaintJourney) -> Judgement:
    """Decide by the journey's rule for the rating's own scale."""
    if rating is None:
        return Judgement(Verdict.SUPPRESSED, "no rating; complaints in words are not yet heard")
    limit = journey.bad_ratings.up_to(scale)
    stars = to_five(rating, scale)
    mark = f"{rating:g} of {scale.points}"
    if rating <= limit:
        return Judgement(Verdict.CASE, f"{mark} is at most {limit}", stars)
    return Judgement(Verdict.ABOVE_THRESHOLD, f"{mark} is above {limit}", stars)


def too_old(occurred_at: datetime, now: datetime, journey: ComplaintJourney) -> bool:
    """Whether an apology would come too late to be anything but odd (an old export imported today)."""
    return now - occurred_at > timedelta(days=journey.oldest_rating_days)


def joins(last_feedback_at: datetime, occurred_at: datetime, journey: ComplaintJourney) -> bool:
    """Whether a bad rating belongs to a customer's open case, by the merge window (both orders of arrival)."""
    return abs(occurred_at - last_feedback_at) <= timedelta(hours=journey.merge_window_hours)
