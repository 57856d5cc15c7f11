"""Rules of the ledger: nothing is sent twice, and every effect is settled, due, under way or in doubt with a reason."""

from typing import Any

import sqlalchemy as sa

from amends.store.audit.rule import NOW, Rule, blank, one_of, open_item
from amends.store.schema import agenda, cases, effects, timeline

_TO_CUSTOMERS = ("acknowledge", "survey", "remind", "reward")
_TO_STAFF = ("notify_agent", "watch_sla")
_SETTLED = ("accepted", "refused", "cancelled")
_STATES = (*_SETTLED, "sending", "waiting", "uncertain")
_PROOFS = ("sent", "proved", "delivered", "settled_sent")
"""How the timeline may tell that an effect was accepted."""


def _effect(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = effects.c.id.label("row"), effects.c.case_id, effects.c.journey
    return sa.select(*columns).where(*where)


def _odd_kind() -> sa.Select[Any]:
    row = effects.c
    to_customer = sa.and_(
        one_of(row.step, *_TO_CUSTOMERS),
        row.policy == "at_most_once",
        row.customer_id == cases.c.customer_id,
        row.channel != "notify",
    )
    to_staff = sa.and_(
        one_of(row.step, *_TO_STAFF),
        row.policy == "at_least_once",
        row.customer_id.is_(None),
        row.channel == "notify",
    )
    right = sa.and_(
        sa.func.coalesce(sa.or_(to_customer, to_staff), sa.false()),
        one_of(row.state, *_STATES),
        row.attempts >= 1,
        row.journey == cases.c.journey,
    )
    return _effect(sa.not_(right)).join(cases, cases.c.id == row.case_id)


def _half_settled() -> sa.Select[Any]:
    unfinished = sa.or_(effects.c.settled_at.is_(None), effects.c.next_attempt_at.is_not(None))
    return _effect(one_of(effects.c.state, *_SETTLED), unfinished)


def on_its_agenda() -> sa.Exists:
    """Whether the item that makes the effect is still to be done.

    Of a clock, whose effects count in tens, each item raises all levels; the reward is one for all cycles.
    """
    row = effects.c
    same = sa.or_(
        row.step == "reward",
        sa.and_(row.step == "watch_sla", agenda.c.ordinal == row.ordinal // 10),
        sa.and_(row.step.not_in(("reward", "watch_sla")), agenda.c.ordinal == row.ordinal),
    )
    return open_item(row.case_id, agenda.c.step == row.step, same)


def _waits_for_nothing() -> sa.Select[Any]:
    lost = sa.or_(effects.c.next_attempt_at.is_(None), sa.not_(on_its_agenda()))
    return _effect(effects.c.state == "waiting", lost)


def _sends_for_ever() -> sa.Select[Any]:
    """Of a step that was cancelled while the call is open, the sweep still writes the answer: give it its lease."""
    ended = sa.or_(effects.c.lease_until.is_(None), effects.c.lease_until < NOW)
    return _effect(effects.c.state == "sending", ended, sa.not_(on_its_agenda()))


def _doubt_without_reason() -> sa.Select[Any]:
    silent = sa.and_(blank(effects.c.detail), blank(effects.c.code))
    return _effect(effects.c.state == "uncertain", sa.or_(silent, effects.c.settled_at.is_(None)))


def _sent_twice() -> sa.Select[Any]:
    row, several = effects.c, sa.func.count() > 1
    first = sa.func.min(row.id).label("row")
    accepted = sa.select(
        first, sa.func.min(row.case_id).label("case_id"), sa.func.min(row.journey).label("journey")
    )
    accepted = accepted.where(row.state == "accepted")
    same_key = accepted.group_by(row.key).having(several)
    same_message = (
        accepted.where(row.customer_id.is_not(None))
        .group_by(row.case_id, row.step, row.ordinal)
        .having(several)
    )
    both = sa.union(same_key, same_message).subquery()
    return sa.select(both.c.row, both.c.case_id, both.c.journey)


def _accepted_in_silence() -> sa.Select[Any]:
    row = effects.c
    accepted = (
        sa.select(
            row.case_id,
            row.step,
            sa.func.min(row.id).label("row"),
            sa.func.min(row.journey).label("journey"),
            sa.func.count().label("all"),
        )
        .where(row.state == "accepted")
        .group_by(row.case_id, row.step)
        .subquery()
    )
    events = [accepted.c.step + f".{proof}" for proof in _PROOFS]
    lines = (
        sa.select(sa.func.count())
        .where(timeline.c.case_id == accepted.c.case_id, timeline.c.event.in_(events))
        .scalar_subquery()
    )
    return sa.select(accepted.c.row, accepted.c.case_id, accepted.c.journey).where(lines < accepted.c["all"])


EFFECTS = (
    Rule(
        "effect.kind",
        "A message to the case's customer goes at most once, a notification to staff at least once; each has been "
        "tried, in a state and of a journey that we know.",
        "Look at it with `amends case ID --json`; rows changed by hand are put right by hand.",
        "effect",
        _odd_kind,
    ),
    Rule(
        "effect.settled",
        "What is accepted, refused or cancelled is so since a time, and has no next try.",
        "Look at it with `amends case ID --json`; rows changed by hand are put right by hand.",
        "effect",
        _half_settled,
    ),
    Rule(
        "effect.waiting",
        "What waits for another try has a time for it, and its step is on the agenda.",
        "The daily sweep puts the step back, `amends run JOURNEY.yaml --read-back-days 3`; or cancel it with "
        "`amends ledger`.",
        "effect",
        _waits_for_nothing,
    ),
    Rule(
        "effect.sending",
        "What was being sent by a sweep that died has its step on the agenda, so that another one sees to it.",
        "The daily sweep puts the step back, `amends run JOURNEY.yaml --read-back-days 3`; the next one calls the "
        "effect uncertain.",
        "effect",
        _sends_for_ever,
    ),
    Rule(
        "effect.uncertain",
        "A doubt has a reason, and a time since when.",
        "Ask the vendor by its tracking id, and settle it with `amends ledger`.",
        "effect",
        _doubt_without_reason,
    ),
    Rule(
        "effect.twice",
        "No key was accepted twice, and no message reached a customer over two channels.",
        "The customer has had it twice: an agent should know. Then report it as a bug, with `amends case ID --json`.",
        "effect",
        _sent_twice,
    ),
    Rule(
        "effect.told",
        "The timeline tells of every accepted effect.",
        "Lines of the timeline are never changed or deleted: find out who did.",
        "effect",
        _accepted_in_silence,
    ),
)
