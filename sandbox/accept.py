"""What follows from a template message that Zalo takes: an entry, money, a delivery, perhaps an answer."""

from datetime import datetime, timedelta
from typing import Any

from sandbox import events, people
from sandbox.chance import digest
from sandbox.clock import epoch_ms
from sandbox.oauth import OA_ID
from sandbox.rules import Recipient, promotion_periods
from sandbox.state import RatingRow, Round, State, delivered_at
from sandbox.templates import SCALE_POINTS, Template


def accept(state: State, to: Recipient, facts: dict[str, Any], now: datetime) -> str:
    """Take one message that broke no rule, and return its id; `facts` is what the book says of the request."""
    template = state.templates[facts["template_id"]]
    # The same tracking id sends again, as at Zalo; only the copy's number tells the two apart.
    identity = (to.uid or to.person, template.id, facts["tracking_id"])
    state.copies[identity] += 1
    msg_id = digest(state.seed, "msg", *identity, state.copies[identity], size=10).hex()
    state.book.enter("zns", now, {**facts, "msg_id": msg_id, "code": None})
    state.use_quota(now)
    if state.switches.balance is not None:
        state.switches.balance -= template.price(by_uid=to.uid is not None)
    if template.tag == "PROMOTION":
        for period in promotion_periods(now):
            state.promotions[to.person, period] += 1
    if state.webhooks.on:
        delivered = delivered_at(now, msg_id)
        event = events.delivered(msg_id, to.address, facts["tracking_id"], delivered)
        state.webhooks.plan(event, delivered)
    if template.option:
        _ask_for_rating(state, template, to, facts, msg_id, now)
    return msg_id


def rate(
    state: State, entry: dict[str, Any], rate: int, note: str, feedbacks: list[str], now: datetime
) -> dict[str, Any]:
    """The receiver of an accepted rating message (its entry in the book) rates now, instead of what was drawn.

    Returns the row of /rating/get. Raises ValueError for what cannot be rated, or was rated before.
    """
    template = state.templates[entry["template_id"]]
    if not template.option:
        raise ValueError("this message asked for no rating")
    if not 1 <= rate <= SCALE_POINTS[template.option]:
        raise ValueError(f"rate must be 1 to {SCALE_POINTS[template.option]} on this template")
    msg_id = entry["msg_id"]
    rows = state.ratings.get(template.id, [])
    drawn = next((row for row in rows if row.msg_id == msg_id), None)
    if drawn is not None and drawn.submit_ms <= epoch_ms(now):
        raise ValueError("this message was rated before; Zalo takes one rating for each message")
    if drawn is not None:
        rows.remove(drawn)
        state.webhooks.withdraw("user_feedback", msg_id)
    person = entry["phone"] or entry.get("uid", "")
    survey = state.rounds.setdefault((person, str(entry["params"].get("case_code", ""))), Round())
    survey.answered_at = now
    answer = people.Answer(timedelta(0), rate, note, tuple(feedbacks))
    return _submit(state, template, answer, msg_id, entry["tracking_id"], now)


def _ask_for_rating(
    state: State, template: Template, to: Recipient, facts: dict[str, Any], msg_id: str, now: datetime
) -> None:
    case_code = str(facts["params"].get("case_code", ""))
    survey = state.rounds.setdefault((to.person, case_code), Round())
    if survey.answered_at is not None and survey.answered_at <= now:
        survey = state.rounds[to.person, case_code] = Round(survey.number + 1)
    survey.asks += 1
    answer = people.answer(
        state.seed, to.person, case_code, survey.number, survey.asks, SCALE_POINTS[template.option]
    )
    if answer is not None:
        survey.answered_at = now + answer.after
        _submit(state, template, answer, msg_id, facts["tracking_id"], survey.answered_at)


def _submit(
    state: State, template: Template, answer: people.Answer, msg_id: str, tracking_id: str, at: datetime
) -> dict[str, Any]:
    submit_ms = epoch_ms(at)
    row = {
        "rating_type": "csat",
        "option": template.option,
        "note": answer.note,
        "rate": answer.rate,
        "submitDate": str(submit_ms),
        "msgId": msg_id,
        "feedbacks": list(answer.feedbacks),
        "trackingId": tracking_id,
        "oaId": OA_ID,
    }
    state.add_rating(template.id, RatingRow(submit_ms, msg_id, row))
    if state.webhooks.on:
        state.webhooks.plan(events.feedback(row), at)
    return row
