"""Whether it makes sense to put an effect back: its own step is asked what it would do with it now. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from amends.domain import steps
from amends.domain.case import Case
from amends.domain.decision import Decision, Finish, Postpone, Send
from amends.domain.effects import Effect, EffectState, Step
from amends.domain.journey import ComplaintJourney
from amends.domain.sla import SlaClock

_IN_THE_WAY = {
    EffectState.ACCEPTED: "the customer has this message already, by {channel}",
    EffectState.UNCERTAIN: "the same message may have arrived by {channel}: settle that first",
    EffectState.SENDING: "the same message is being sent by {channel}",
    EffectState.WAITING: "the same message waits to be sent by {channel}: cancel that first, or retry that",
}
_BLANK = {"voucher_code": "", "voucher_value": "", "voucher_expires": ""}


def another_try(
    wanted: Effect,
    effects: Sequence[Effect],
    case: Case,
    clock: SlaClock | None,
    journey: ComplaintJourney,
    now: datetime,
) -> Send | Postpone | str:
    """What the next sweep would do if `wanted` waited for another try; a string says why it would not be sent.

    `effects` are all of the same case and step, `wanted` among them. `clock` is that of a `watch_sla` effect.
    """
    if case.closed_at is not None and wanted.step is not Step.REWARD:
        return "the case is closed"
    others = [e for e in effects if (e.channel, e.ordinal) != (wanted.channel, wanted.ordinal)]
    for other in others:
        if other.ordinal == wanted.ordinal and other.state in _IN_THE_WAY:
            return _IN_THE_WAY[other.state].format(channel=other.channel)
    waiting = replace(wanted, state=EffectState.WAITING, outcome_class=None, code=None)
    decision = _decide(waiting, [*others, waiting], case, clock, journey, now)
    if isinstance(decision, Finish):
        return decision.reason
    if isinstance(decision, Send) and decision.channel != wanted.channel:
        return f"there is no address or no text for {wanted.channel} any more"
    if wanted.step is Step.WATCH_SLA and isinstance(decision, Postpone):
        return "this warning or escalation is not due any more"
    return decision


def _decide(
    waiting: Effect,
    effects: Sequence[Effect],
    case: Case,
    clock: SlaClock | None,
    journey: ComplaintJourney,
    now: datetime,
) -> Decision:
    match waiting.step:
        case Step.ACKNOWLEDGE:
            return steps.acknowledge(case, effects, journey, now)
        case Step.NOTIFY_AGENT:
            return steps.notify_agent(case, waiting.ordinal, effects, journey, now)
        case Step.SURVEY:
            return steps.survey(case, waiting.ordinal, effects, journey, now)
        case Step.REMIND:
            return steps.remind(case, waiting.ordinal, effects, journey, now)
        case Step.REWARD:
            refusal = steps.earns_voucher(case, journey)
            return refusal or steps.reward(case, effects, journey, now, _BLANK)
        case Step.WATCH_SLA if clock is not None:
            return steps.watch_sla(case, clock, effects, journey, now)
    return Finish("skipped", f"the step {waiting.step} sends nothing")
