"""Answers to rating templates as feedback: the same answer is one feedback, whether a poll or a webhook brought it."""

from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.intake import storable
from amends.domain.ratings import Scale
from connectors.ports import RatingAnswer

VENDOR_ROW = "zns_rating"
"""Under this key a rating keeps the vendor's row; a file's own columns can never be taken for it."""


def survey_source(template_id: str | None) -> str:
    """The source of answers to a survey template of ours."""
    return f"survey-{template_id}"


def as_feedback(answer: RatingAnswer, source: str) -> Feedback | Rejected:
    """The answer as feedback; one on a scale we do not know, or outside it, is kept in quarantine."""
    known = answer.option in _SCALES
    if not known or not Scale(answer.option).accepts(answer.rate):
        wrong = ("rate", f"{answer.rate} is no mark of the scale {answer.option}", "ask Zalo what it means")
        if not known:
            wrong = ("option", f"{answer.option!r} is no scale we know", "add the scale to Amends")
        return Rejected(
            source=source,
            location=f"rating of message {answer.msg_id}",
            fingerprint=f"rating:{answer.msg_id}"[:64],
            problems=(FieldProblem(*wrong),),
            raw=storable(_row(answer)),
        )
    return Feedback(
        source=source,
        external_id=answer.msg_id,
        occurred_at=answer.submitted_at,
        scale=Scale(answer.option),
        rating=float(answer.rate),
        text=storable(answer.note),
        raw=storable({VENDOR_ROW: _row(answer)}),
    )


_SCALES = frozenset(scale.value for scale in Scale)


def _row(answer: RatingAnswer) -> dict[str, object]:
    return {
        "msg_id": answer.msg_id,
        "tracking_id": answer.tracking_id,
        "rate": answer.rate,
        "option": answer.option,
        "submitted_at": answer.submitted_at.isoformat(),
        "note": answer.note,
        "feedbacks": answer.feedbacks,
    }
