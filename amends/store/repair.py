"""What an operator may do to one effect: say what became of it, put it back, call it off.

Each function works in the caller's transaction, on the state it has read: whoever was quicker wins, and the other is
told so. The agenda item is locked before the effect, as a sweep does it. Each deed is on the case's timeline and in
the operators' log.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from amends.domain.another_try import another_try
from amends.domain.contacts import mask
from amends.domain.decision import Postpone, Send
from amends.domain.effects import EffectState, Policy, Step
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.aftercare import CaseOutcome
from amends.domain.outcome import OutcomeClass
from amends.domain.sla import from_ordinal
from amends.store import (
    agenda_repair,
    cases,
    journeys,
    ledger,
    operator_log,
    surveys,
    tickets,
    timeline,
    vouchers,
)
from amends.store.engine import Tx
from amends.store.ledger import NOT_SENT
from amends.store.operator_log import Deed
from amends.store.schema import cases as cases_table
from amends.store.schema import effects

S = EffectState


class RepairProblem(ValueError):
    """Something the effect's state does not allow; the message says which and what to do instead."""


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, why, and when (aware UTC)."""

    actor: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done to an effect, and in a sentence each what follows."""

    effect_id: int
    case_id: int
    step: Step
    channel: str
    before: EffectState
    after: EffectState
    follows: tuple[str, ...]


def settle_sent(tx: Tx, effect_id: int, by: By, provider_id: str | None = None) -> Repaired:
    """It arrived: what was uncertain is accepted, as if the vendor had proved it. Raises RepairProblem."""
    effect = _read(tx, effect_id, "settled", [S.UNCERTAIN])
    item = agenda_repair.lock(tx, effect.case_id, effect.step, _agenda_ordinal(tx, effect))
    known = {"provider_id": provider_id} if provider_id else {}
    _change(
        tx,
        effect,
        S.ACCEPTED,
        outcome_class=OutcomeClass.ACCEPTED.value,
        detail=_detail("it arrived", by),
        settled_at=by.at,
        **known,
    )
    if effect.step == Step.REWARD:
        vouchers.issued(tx, [effect.case_id])
    agenda_repair.wake(tx, item, by.at)
    _note(tx, effect, by, "settled_sent")
    follows = ["it counts as sent and is never sent again"]
    if effect.step == Step.REWARD:
        follows.append("the voucher stays given")
    return _repaired(effect, S.ACCEPTED, follows)


def settle_not_sent(tx: Tx, effect_id: int, by: By) -> Repaired:
    """It surely never arrived: what was uncertain is refused, and what its step took for granted is taken back.

    A notification to staff that is still due goes back to waiting instead: they are told until it succeeds. Raises
    RepairProblem.
    """
    effect = _read(tx, effect_id, "settled", [S.UNCERTAIN])
    item = agenda_repair.lock(tx, effect.case_id, effect.step, _agenda_ordinal(tx, effect))
    told_until_it_succeeds = effect.policy == Policy.AT_LEAST_ONCE and item is not None and item.is_open
    after = S.WAITING if told_until_it_succeeds else S.REFUSED
    _change(
        tx,
        effect,
        after,
        outcome_class=(
            OutcomeClass.RETRY_LATER if told_until_it_succeeds else OutcomeClass.UNREACHABLE
        ).value,
        code=NOT_SENT,
        detail=_detail("it never arrived", by),
        settled_at=None if told_until_it_succeeds else by.at,
        next_attempt_at=by.at if told_until_it_succeeds else None,
    )
    agenda_repair.wake(tx, item, by.at)
    _note(tx, effect, by, "settled_not_sent")
    if told_until_it_succeeds:
        return _repaired(effect, after, ["the next sweep sends it again"])
    return _repaired(
        effect, after, [*_taken_back(tx, effect, by), "nothing more is sent, unless you retry it"]
    )


def _taken_back(tx: Tx, effect: Any, by: By) -> list[str]:
    """Undo what the step of an uncertain effect has assumed; returns what that was."""
    if effect.step == Step.REWARD and vouchers.take_back(tx, [effect.case_id]):
        return ["the voucher is cancelled and its value is back in the budget"]
    if effect.step == Step.SURVEY:
        item = agenda_repair.lock(tx, effect.case_id, Step.CONCLUDE, effect.ordinal)
        if item is not None and item.is_open:
            reason = "the survey never arrived"
            skipped = surveys.Skipped(effect.case_id, effect.ordinal, CaseOutcome.UNREACHABLE, reason)
            surveys.skipped(tx, [skipped])
            agenda_repair.wake(tx, item, by.at)
            return ["no answer is waited for: the next sweep concludes the case"]
        return ["the case has its outcome already, which stays"]
    return []


def retry(tx: Tx, effect_id: int, by: By) -> Repaired:
    """Put an effect back that was refused or cancelled, or waits for a later try: it is due now, under its old key.

    The next sweep decides late, as ever. What it would not send anyway is refused here with the reason, as is what
    may have arrived. A voucher that was given back is reserved anew, within the budget. Raises RepairProblem, and
    then has changed nothing.
    """
    with tx.begin_nested():
        return _retry(tx, effect_id, by)


def _retry(tx: Tx, effect_id: int, by: By) -> Repaired:
    effect = _read(tx, effect_id, "retried", [S.REFUSED, S.CANCELLED, S.WAITING])
    ordinal = _agenda_ordinal(tx, effect)
    item = agenda_repair.lock(tx, effect.case_id, effect.step, ordinal)
    _change(
        tx,
        effect,
        S.WAITING,
        outcome_class=None,
        code=None,
        detail=_detail("tried again", by),
        settled_at=None,
        next_attempt_at=by.at,
    )
    journey = _journey(tx, effect)
    coming = _coming(tx, effect, journey, by.at)
    follows = [_told(coming, effect.channel, journey)]
    if effect.step == Step.SURVEY:
        _ask_anew(tx, effect)
    if effect.step == Step.REWARD:
        follows += _reserve_anew(tx, effect, journey, by)
    agenda_repair.open_again(tx, item, effect.case_id, effect.journey, Step(effect.step), ordinal, by.at)
    _note(tx, effect, by, "retried")
    return _repaired(effect, S.WAITING, follows)


def _coming(tx: Tx, effect: Any, journey: ComplaintJourney, now: datetime) -> Send | Postpone:
    since = now - timedelta(days=journey.message_cap.days)
    case = cases.load(tx, [effect.case_id], messages_since=since)[effect.case_id]
    known = ledger.of_cases(tx, [case.id], [Step(effect.step)])[case.id]
    wanted = next(e for e in known if (e.channel, e.ordinal) == (effect.channel, effect.ordinal))
    clock = tickets.clocks(tx, [case.id]).get((case.id, _agenda_ordinal(tx, effect)))
    coming = another_try(wanted, known, case, clock, journey, now)
    if isinstance(coming, str):
        raise RepairProblem(f"effect {effect.id} would not be sent: {coming}")
    return coming


def _told(coming: Send | Postpone, channel: str, journey: ComplaintJourney) -> str:
    if isinstance(coming, Send):
        return f"the next sweep sends it by {channel}"
    return (
        f"it is sent by {channel} at {coming.until.astimezone(journey.zone):%d/%m/%Y %H:%M} ({coming.reason})"
    )


def _ask_anew(tx: Tx, effect: Any) -> None:
    """Nothing waits for the answer to a survey that has yet to be asked; asking it plans the end anew."""
    agenda_repair.remove_open(tx, effect.case_id, Step.CONCLUDE, effect.ordinal)
    if agenda_repair.lock(tx, effect.case_id, Step.CONCLUDE, effect.ordinal) is not None:
        raise RepairProblem(
            f"effect {effect.id} would not be sent: the case has its outcome, and the answer could not change it"
        )
    surveys.not_asked_yet(tx, effect.case_id, effect.ordinal)


def _reserve_anew(tx: Tx, effect: Any, journey: ComplaintJourney, by: By) -> list[str]:
    held = vouchers.reinstate(tx, journey.name, journey.reward, effect.case_id, by.at)
    if isinstance(held, str):
        raise RepairProblem(f"effect {effect.id} cannot be sent again: {held}")
    return ["the voucher is reserved again, with the code it had"] if held else []


def cancel(tx: Tx, effect_id: int, by: By) -> Repaired:
    """Call off what waits for another try: its step ends without it, and no other channel is tried.

    Raises RepairProblem.
    """
    effect = _read(tx, effect_id, "cancelled", [S.WAITING])
    item = agenda_repair.lock(tx, effect.case_id, effect.step, _agenda_ordinal(tx, effect))
    _change(tx, effect, S.CANCELLED, detail=_detail("cancelled", by), settled_at=by.at, next_attempt_at=None)
    follows = ["it is not sent, nor is another channel tried"]
    if effect.step == Step.REWARD and vouchers.take_back(tx, [effect.case_id]):
        follows.append("the voucher is cancelled and its value is back in the budget")
    follows.append(
        "the next sweep ends its step" if agenda_repair.wake(tx, item, by.at) else "its step was over already"
    )
    _note(tx, effect, by, "cancelled")
    return _repaired(effect, S.CANCELLED, follows)


_INSTEAD = {
    S.SENDING: "a sweep is in this call now, or died in it; the next sweep tells which",
    S.UNCERTAIN: "settle it first: amends ledger settle {id} --sent or --not-sent",
    S.ACCEPTED: "the vendor has it",
    S.REFUSED: "it was surely not sent; amends ledger retry {id} sends it again",
    S.WAITING: "it is sent again by itself; amends ledger retry {id} sends it now, cancel {id} calls it off",
    S.CANCELLED: "it is not sent any more; amends ledger retry {id} puts it back",
}


def _read(tx: Tx, effect_id: int, deed: str, allowed: Collection[EffectState]) -> Any:
    effect = tx.execute(sa.select(effects).where(effects.c.id == effect_id)).one_or_none()
    if effect is None:
        raise RepairProblem(f"there is no effect {effect_id}; `amends ledger list` shows them")
    if effect.state not in allowed:
        instead = _INSTEAD[EffectState(effect.state)].format(id=effect_id)
        raise RepairProblem(f"effect {effect_id} is {effect.state} and cannot be {deed}: {instead}")
    return effect


def _change(tx: Tx, effect: Any, after: EffectState, **values: Any) -> None:
    """Write the new state where the old one still stands; a sweep or a webhook may have been quicker."""
    as_read = sa.and_(effects.c.id == effect.id, effects.c.state == effect.state)
    changed = tx.execute(
        effects.update().where(as_read).values(state=after.value, lease_until=None, **values)
    )
    if changed.rowcount != 1:
        state = tx.execute(sa.select(effects.c.state).where(effects.c.id == effect.id)).scalar()
        raise RepairProblem(f"effect {effect.id} has changed meanwhile: it is {state} now; nothing was done")


def _agenda_ordinal(tx: Tx, effect: Any) -> int:
    """The ordinal of the agenda item that makes this effect."""
    match Step(effect.step):
        case Step.REWARD:  # one voucher per case: the cycle that earned it last
            return agenda_repair.newest_ordinal(tx, effect.case_id, Step.REWARD)
        case Step.WATCH_SLA:
            kind, cycle, _level = from_ordinal(effect.ordinal)
            return tickets.clock_ordinal(kind, cycle)
        case _:
            return int(effect.ordinal)


def _journey(tx: Tx, effect: Any) -> ComplaintJourney:
    version = sa.select(cases_table.c.version_id).where(cases_table.c.id == effect.case_id)
    return journeys.load(tx, tx.execute(version).scalar_one())


def _detail(fate: str, by: By) -> str:
    return mask(f"{fate}, says {by.actor}: {by.why}")[:500]


def _note(tx: Tx, effect: Any, by: By, deed: str) -> None:
    told = mask(f"{effect.channel}: {by.why}")
    line = timeline.Entry(effect.case_id, by.at, f"{effect.step}.{deed}", told, mask(by.actor)[:60])
    timeline.append(tx, [line])
    operator_log.record(
        tx, Deed(by.at, by.actor, deed, f"effect {effect.id}", f"was {effect.state}: {by.why}")
    )


def _repaired(effect: Any, after: EffectState, follows: Collection[str]) -> Repaired:
    step, before = Step(effect.step), EffectState(effect.state)
    return Repaired(effect.id, effect.case_id, step, effect.channel, before, after, tuple(follows))
