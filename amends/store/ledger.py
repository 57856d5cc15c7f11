"""The effect ledger: `sending` is committed before a call leaves, and the answer is written after it (DESIGN 4.2)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.effects import (
    Effect,
    EffectState,
    Policy,
    Step,
    effect_key,
    next_attempt_at,
    state_after,
    tracked_key,
)
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.sla import from_ordinal
from amends.store import vouchers
from amends.store.agenda import Claim
from amends.store.engine import Tx
from amends.store.for_rows import ForRows, insert_of
from amends.store.in_list import in_list
from amends.store.schema import effects
from amends.store.sql import rendered
from amends.store.tickets import clock_ordinal
from amends.store.types import UtcDateTime

PROVABLE = (EffectState.SENDING, EffectState.UNCERTAIN, EffectState.WAITING, EffectState.CANCELLED)
"""States that a proof of arrival ends: the fate is unknown, or a vendor said "busy" and did it all the same."""
NOT_SENT = "not_sent"
"""The code of an effect that an operator thinks never arrived. A proof knows better."""


STILL_OPEN = effects.c.state.in_(
    [sa.literal_column(f"'{state}'") for state in ("sending", "uncertain", "waiting")]
)
"""The condition of the index of open effects, word by word: SQLite uses the index for nothing else."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One outside action that is about to happen."""

    journey: str
    case_id: int
    customer_id: int | None
    """Whose message cap it counts against; None for messages to staff."""
    step: Step
    channel: str
    ordinal: int
    policy: Policy
    template_id: str | None = None

    @property
    def key(self) -> str:
        return effect_key(self.journey, self.case_id, self.step, self.channel, self.ordinal)


def of_cases(tx: Tx, case_ids: Sequence[int], steps: Sequence[Step]) -> dict[int, list[Effect]]:
    """Everything these steps have done or tried for these cases, oldest first."""
    asked = {"cases": case_ids, "steps": [step.value for step in steps]}
    found: dict[int, list[Effect]] = defaultdict(list)
    for row in tx.execute(rendered(tx, _OF_CASES), asked):
        case_id, step, channel, ordinal, state, attempts, outcome_class, code, template_id, sent_at = row
        found[case_id].append(
            Effect(
                case_id,
                Step(step),
                channel,
                ordinal,
                EffectState(state),
                attempts,
                OutcomeClass(outcome_class) if outcome_class else None,
                code,
                template_id,
                sent_at,
            )
        )
    return found


_OF_CASES = (
    sa.select(
        effects.c.case_id,
        effects.c.step,
        effects.c.channel,
        effects.c.ordinal,
        effects.c.state,
        effects.c.attempts,
        effects.c.outcome_class,
        effects.c.code,
        effects.c.template_id,
        effects.c.sent_at,
    )
    .where(in_list(effects.c.case_id, "cases"), in_list(effects.c.step, "steps"))
    .order_by(effects.c.id)
)


def begin(tx: Tx, intents: Sequence[Intent], *, owner: str, now: datetime, lease_until: datetime) -> set[str]:
    """Write the intents as `sending`; returns the keys that may be sent once the caller has committed.

    A row that waited for another try is taken up again under its old key. A settled row is never touched, nor one
    that is uncertain where a second call is not allowed: its key is missing from the result.
    """
    rows = []
    for intent in intents:
        key = intent.key
        rows.append(
            (
                intent.case_id,
                intent.customer_id,
                intent.journey,
                intent.step.value,
                intent.channel,
                intent.ordinal,
                key,
                intent.policy.value,
                intent.template_id,
            )
        )
    begun = _BEGIN.execute(tx, rows, b_owner=owner, b_now=now, b_lease_until=lease_until)
    return set(begun.scalars()) if begun else set()


def _take_up_again(insert: Any) -> Any:
    """What waits for another try, or is uncertain and may be repeated."""
    return insert.on_conflict_do_update(
        index_elements=["case_id", "step", "channel", "ordinal"],
        set_={
            "state": EffectState.SENDING.value,
            "attempts": effects.c.attempts + 1,
            "owner": insert.excluded.owner,
            "sent_at": insert.excluded.sent_at,
            "lease_until": insert.excluded.lease_until,
            "next_attempt_at": None,
        },
        where=sa.or_(
            effects.c.state == EffectState.WAITING.value,
            sa.and_(
                effects.c.state == EffectState.UNCERTAIN.value,
                effects.c.policy == Policy.AT_LEAST_ONCE.value,
            ),
        ),
    ).returning(effects.c.key)


_NOW = sa.bindparam("b_now", type_=UtcDateTime)
_BEGIN = insert_of(
    effects,
    "case_id",
    "customer_id",
    "journey",
    "step",
    "channel",
    "ordinal",
    "key",
    "policy",
    "template_id",
    ending=_take_up_again,
    state=sa.literal(EffectState.SENDING.value),
    attempts=sa.literal(1),
    owner=sa.bindparam("b_owner", type_=sa.String),
    created_at=_NOW,
    sent_at=_NOW,
    lease_until=sa.bindparam("b_lease_until", type_=UtcDateTime),
)


def settle(
    tx: Tx, answers: Sequence[tuple[Intent, Outcome]], *, owner: str, attempts: dict[str, int], now: datetime
) -> None:
    """Write the vendor's answers. A row that another sweep took over meanwhile is left to that sweep.

    Of a row that the vendor's webhook has proved meanwhile, only an acceptance is written: it knows the cost.
    `attempts` is the number of tries per key so far, for the pace of the next one.
    """
    rows = []
    for intent, outcome in answers:
        state = state_after(outcome)
        waiting = state is EffectState.WAITING
        rows.append(
            (
                intent.key,
                owner,
                state.value,
                outcome.cls.value,
                outcome.provider_id,
                outcome.code,
                outcome.detail[:500],
                outcome.cost_vnd,
                None if waiting else now,
                next_attempt_at(outcome, attempts.get(intent.key, 1), now) if waiting else None,
            )
        )
    _SETTLE.execute(tx, rows)


def _settled(_tx: Tx, fresh: sa.FromClause) -> sa.Update:
    accepted = EffectState.ACCEPTED.value
    proved = sa.and_(effects.c.state == accepted, fresh.c.state == accepted)
    answers = {column.name: fresh.c[column.name] for column in _ANSWER}
    return (
        effects.update()
        .where(
            effects.c.key == fresh.c.key,
            # With each row and not once for all: PostgreSQL would take one owner's effects for a single row, and look
            # for it in the whole table.
            effects.c.owner == fresh.c.owner,
            sa.or_(effects.c.state == EffectState.SENDING.value, proved),
        )
        .values(**answers, lease_until=None)
    )


_ANSWER = [
    effects.c.state,
    effects.c.outcome_class,
    effects.c.provider_id,
    effects.c.code,
    effects.c.detail,
    effects.c.cost_vnd,
    effects.c.settled_at,
    effects.c.next_attempt_at,
]
_SETTLE = ForRows([effects.c.key, effects.c.owner, *_ANSWER], _settled)


def settle_late(tx: Tx, intent: Intent, outcome: Outcome, *, owner: str, now: datetime) -> bool:
    """Write an answer that came after another sweep had taken the case over and called the effect uncertain.

    It is the better knowledge, so it stands, unless that sweep has begun the effect anew. False when nothing was
    written.
    """
    state = state_after(outcome)
    waiting = state is EffectState.WAITING
    statement = (
        effects.update()
        .where(
            effects.c.key == intent.key,
            effects.c.owner == owner,
            effects.c.state == EffectState.UNCERTAIN.value,
        )
        .values(
            state=state.value,
            outcome_class=outcome.cls.value,
            provider_id=outcome.provider_id,
            code=outcome.code,
            detail=outcome.detail[:500],
            cost_vnd=outcome.cost_vnd,
            settled_at=None if waiting else now,
            next_attempt_at=now if waiting else None,
        )
    )
    return tx.execute(statement).rowcount == 1


def abandon(tx: Tx, claims: Sequence[Claim], now: datetime) -> None:
    """What still waits for another try when its step is over will not be sent any more."""
    waiting = effects.c.state == EffectState.WAITING.value
    query = sa.select(effects.c.id, effects.c.case_id, effects.c.step, effects.c.ordinal).where(
        effects.c.case_id.in_([claim.case_id for claim in claims]),
        effects.c.step.in_({claim.step.value for claim in claims}),
        waiting,
    )
    idle = [row.id for row in tx.execute(query) if any(_makes(claim, row) for claim in claims)]
    if idle:
        given_up = effects.update().where(effects.c.id.in_(idle), waiting)
        tx.execute(
            given_up.values(
                state=EffectState.CANCELLED.value,
                detail="the step was over while it waited",
                settled_at=now,
                next_attempt_at=None,
            )
        )


def mark_uncertain(tx: Tx, claims: Sequence[Claim], now: datetime) -> list[Effect]:
    """Turn what a dead sweep left in `sending` into `uncertain`: the call may have left.

    Holding the lease of these agenda items proves that whoever was sending for them is gone. What the same case's
    other items make is left alone: a live sweep may be sending it, such as a message about the other clock.
    """
    sending = effects.c.state == EffectState.SENDING.value
    query = sa.select(effects.c.id, effects.c.case_id, effects.c.step, effects.c.ordinal).where(
        effects.c.case_id.in_([claim.case_id for claim in claims]),
        effects.c.step.in_({claim.step.value for claim in claims}),
        sending,
    )
    dead = [row.id for row in tx.execute(query) if any(_makes(claim, row) for claim in claims)]
    if not dead:
        return []
    statement = (
        effects.update()
        .where(effects.c.id.in_(dead), sending)
        .values(
            state=EffectState.UNCERTAIN.value,
            outcome_class=OutcomeClass.UNCERTAIN.value,
            detail="the sweep died while this call was open",
            settled_at=now,
            lease_until=None,
        )
        .returning(
            effects.c.case_id, effects.c.step, effects.c.channel, effects.c.ordinal, effects.c.attempts
        )
    )
    return [
        Effect(row.case_id, Step(row.step), row.channel, row.ordinal, EffectState.UNCERTAIN, row.attempts)
        for row in tx.execute(statement)
    ]


def _makes(claim: Claim, effect: Any) -> bool:
    """Whether the effect is one of those that working on this agenda item makes."""
    if (claim.case_id, claim.step) != (effect.case_id, effect.step):
        return False
    match claim.step:
        case Step.REWARD:  # one voucher per case, whichever cycle earns it
            return True
        case Step.WATCH_SLA:
            kind, cycle, _level = from_ordinal(effect.ordinal)
            return claim.ordinal == clock_ordinal(kind, cycle)
        case _:
            return claim.ordinal == int(effect.ordinal)


@dataclass(frozen=True, slots=True)
class Proof:
    """Where an effect was found by one of its ids."""

    case_id: int
    journey: str
    step: Step
    ordinal: int
    state: EffectState
    key: str
    template_id: str | None


def find(tx: Tx, *, provider_ids: Sequence[str], tracking_ids: Sequence[str]) -> dict[str, Proof]:
    """Effects by the vendor's message id or by our tracking id; the result is keyed by whichever id matched."""
    of_key = {key: tracking for tracking in tracking_ids if (key := tracked_key(tracking)) is not None}
    by_key = {of_key[proof.key]: proof for _, proof in _proofs(tx, effects.c.key, of_key)}
    return by_key | dict(_proofs(tx, effects.c.provider_id, filter(None, provider_ids)))


def _proofs(tx: Tx, column: sa.Column[Any], values: Iterable[str]) -> Iterator[tuple[str, Proof]]:
    """Each value of `column` that an effect has, and that effect."""
    if wanted := sorted(set(values)):
        for row in tx.execute(sa.select(effects).where(column.in_(wanted))):
            state = EffectState(row.state)
            proof = Proof(
                row.case_id, row.journey, Step(row.step), row.ordinal, state, row.key, row.template_id
            )
            yield str(row._mapping[column]), proof


@dataclass(frozen=True, slots=True)
class Doubt:
    """An effect of unknown fate that the vendor can be asked about."""

    case_id: int
    step: Step
    key: str
    provider_id: str
    id: int = field(default=0, compare=False)


def doubts(tx: Tx, journey: str, channel: str, limit: int, after: int = 0) -> list[Doubt]:
    """Uncertain effects of a channel whose vendor id we have, oldest first, from the one after that id on."""
    query = (
        sa.select(effects.c.id, effects.c.case_id, effects.c.step, effects.c.key, effects.c.provider_id)
        .where(
            STILL_OPEN,
            effects.c.state == EffectState.UNCERTAIN.value,
            effects.c.id > after,
            effects.c.journey == journey,
            effects.c.channel == channel,
            effects.c.provider_id.is_not(None),
        )
        .order_by(effects.c.id)
        .limit(limit)
    )
    return [Doubt(row.case_id, Step(row.step), row.key, row.provider_id, row.id) for row in tx.execute(query)]


def accepted_among(tx: Tx, keys: Sequence[str]) -> dict[str, str | None]:
    """Those of `keys` whose effect is accepted, with the vendor's id of it."""
    query = sa.select(effects.c.key, effects.c.provider_id).where(
        effects.c.key.in_(keys), effects.c.state == EffectState.ACCEPTED.value
    )
    return {row.key: row.provider_id for row in tx.execute(query)}


def prove(tx: Tx, key: str, provider_id: str, now: datetime, detail: str) -> bool:
    """Settle an effect by the vendor's own proof that it arrived. False when it was settled before.

    What an operator has called unsent or cancelled arrived all the same, and a voucher taken back is given then.
    """
    statement = (
        effects.update()
        .where(
            effects.c.key == key,
            sa.or_(
                effects.c.state.in_([state.value for state in PROVABLE]),
                sa.and_(effects.c.state == EffectState.REFUSED.value, effects.c.code == NOT_SENT),
            ),
        )
        .values(
            state=EffectState.ACCEPTED.value,
            outcome_class=OutcomeClass.ACCEPTED.value,
            provider_id=provider_id,
            detail=detail,
            settled_at=now,
            next_attempt_at=None,
        )
        .returning(effects.c.case_id, effects.c.step)
    )
    proved = tx.execute(statement).one_or_none()
    if proved is not None and proved.step == Step.REWARD:
        vouchers.given_after_all(tx, proved.case_id)
    return proved is not None
