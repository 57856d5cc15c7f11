"""Rules of what comes in: every feedback is somewhere, once, and so is what we could not accept."""

from typing import Any

import sqlalchemy as sa

from amends.store.audit.rule import A_DAY_AGO, TWO_DAYS_AGO, Rule, blank, differ, one_of
from amends.store.schema import cases, feedbacks, quarantine, surveys, webhook_events

_OF_A_CASE = ("case", "answer", "message")
_VERDICTS = (*_OF_A_CASE, "above_threshold", "suppressed")


def _feedback(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = feedbacks.c.id.label("row"), feedbacks.c.case_id, feedbacks.c.journey
    return sa.select(*columns).where(*where)


def _without_a_clear_verdict() -> sa.Select[Any]:
    verdict, reason, routed_at = feedbacks.c.verdict, feedbacks.c.reason, feedbacks.c.routed_at
    half_judged = sa.or_(reason.is_not(None), routed_at.is_not(None), feedbacks.c.case_id.is_not(None))
    unclear = sa.or_(verdict.not_in(_VERDICTS), blank(reason), routed_at.is_(None))
    return _feedback(sa.or_(sa.and_(verdict.is_(None), half_judged), sa.and_(verdict.is_not(None), unclear)))


def _never_judged() -> sa.Select[Any]:
    return _feedback(feedbacks.c.verdict.is_(None), feedbacks.c.received_at < A_DAY_AGO)


def _beside_its_case() -> sa.Select[Any]:
    needs_one = one_of(feedbacks.c.verdict, *_OF_A_CASE)
    return _feedback(feedbacks.c.verdict.is_not(None), differ(needs_one, feedbacks.c.case_id.is_not(None)))


def _in_a_strangers_case() -> sa.Select[Any]:
    stranger = sa.or_(cases.c.customer_id != feedbacks.c.customer_id, cases.c.journey != feedbacks.c.journey)
    query = _feedback(one_of(feedbacks.c.verdict, "case", "message"), stranger)
    return query.join(cases, cases.c.id == feedbacks.c.case_id)


def _answer_that_answers_nothing() -> sa.Select[Any]:
    answered = sa.exists().where(surveys.c.case_id == feedbacks.c.case_id, surveys.c.answered_at.is_not(None))
    return _feedback(feedbacks.c.verdict == "answer", sa.not_(answered))


def _case_without_a_rating() -> sa.Select[Any]:
    rated = sa.exists().where(feedbacks.c.case_id == cases.c.id, feedbacks.c.verdict == "case")
    columns = cases.c.id.label("row"), cases.c.id.label("case_id"), cases.c.journey
    return sa.select(*columns).where(sa.not_(rated))


def _half_settled_quarantine() -> sa.Select[Any]:
    row = quarantine.c
    somebody = sa.and_(row.settled_at.is_not(None), sa.not_(blank(row.settled_by)), sa.not_(blank(row.note)))
    nobody = sa.and_(row.settled_at.is_(None), blank(row.settled_by))
    columns = row.id.label("row"), sa.null().label("case_id"), row.journey
    return sa.select(*columns).where(
        sa.not_(
            sa.or_(
                sa.and_(row.state == "open", nobody),
                sa.and_(one_of(row.state, "requeued", "dropped"), somebody),
            )
        )
    )


def _event(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = webhook_events.c.id.label("row"), sa.null().label("case_id"), sa.null().label("journey")
    return sa.select(*columns).where(*where)


def _event_never_acted_on() -> sa.Select[Any]:
    return _event(webhook_events.c.state.not_in(("done", "waiting", "ignored", "unreadable")))


def _event_waiting_for_ever() -> sa.Select[Any]:
    """A day after it was announced a rating is given up; another day later that is overdue."""
    return _event(webhook_events.c.state == "waiting", webhook_events.c.received_at < TWO_DAYS_AGO)


INBOX = (
    Rule(
        "feedback.verdict",
        "Every feedback is a case, above the threshold, suppressed, an answer or a message, with reason and time; "
        "or it waits to be judged and has none of these.",
        "Look at its row in feedbacks. With verdict, reason, routed_at and case_id empty, the next sweep judges it.",
        "feedback",
        _without_a_clear_verdict,
    ),
    Rule(
        "feedback.waiting",
        "No feedback waits longer than a day to be judged.",
        "Sweep its journey: `amends serve`, or `amends run JOURNEY.yaml`.",
        "feedback",
        _never_judged,
    ),
    Rule(
        "feedback.case",
        "A feedback has a case exactly when it opened or joined one, answered its survey or is a message in it.",
        "Look at the case with `amends case ID`; rows changed by hand are put right by hand.",
        "feedback",
        _beside_its_case,
    ),
    Rule(
        "feedback.owner",
        "A rating or message is in a case of its own customer and its own journey.",
        "Compare the customers of the feedback and of the case; a message may have gone to somebody else.",
        "feedback",
        _in_a_strangers_case,
    ),
    Rule(
        "feedback.answer",
        "The answer to a survey is noted in the survey of its case.",
        "Read the answer with `amends case ID`, and let an agent act on it.",
        "feedback",
        _answer_that_answers_nothing,
    ),
    Rule(
        "case.rating",
        "Every case comes from a bad rating.",
        "Find out which rating opened it: the first line of `amends case ID` names source and mark.",
        "case",
        _case_without_a_rating,
    ),
    Rule(
        "quarantine.state",
        "A row in quarantine is open, or was requeued or dropped by somebody, at a time, for a reason.",
        "Settle it again with `amends quarantine`.",
        "quarantine",
        _half_settled_quarantine,
    ),
    Rule(
        "webhook.acted",
        "Every webhook has been acted on: done, waiting, ignored or unreadable.",
        "Restart the desk and look into its log; the vendor's event is kept whole in webhook_events.",
        "webhook event",
        _event_never_acted_on,
    ),
    Rule(
        "webhook.waiting",
        "No webhook waits longer than two days for the poll that tells whose it is.",
        "Sweep a journey of its Zalo account: `amends run JOURNEY.yaml --read-back-days 3`.",
        "webhook event",
        _event_waiting_for_ever,
    ),
)
