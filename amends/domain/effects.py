"""Effects: the words of the ledger. One effect is one intended outside action, done at most once per key."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from amends.domain.outcome import Outcome, OutcomeClass

_NAMESPACE = uuid.UUID("6b1d5c1e-6f0a-5d0e-9a53-3d1f8f0a7c21")


class Step(StrEnum):
    """The stages of a case. Each waits in the agenda until it is due."""

    ACKNOWLEDGE = "acknowledge"
    OPEN_TICKET = "open_ticket"
    NOTIFY_AGENT = "notify_agent"
    WATCH_SLA = "watch_sla"
    SURVEY = "survey"
    REMIND = "remind"
    CONCLUDE = "conclude"
    REWARD = "reward"
    CLOSE = "close"


TO_CUSTOMERS = (Step.ACKNOWLEDGE, Step.SURVEY, Step.REMIND, Step.REWARD)
"""Steps that write to the customer; all others write to staff, or to nobody."""


class EffectState(StrEnum):
    """`sending` is committed before the call leaves; a crash there leaves `uncertain`, never a second call."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WAITING = "waiting"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    """It will not be sent any more: an operator said so, or its step was over while it waited."""


class Policy(StrEnum):
    """What an uncertain effect means where the vendor offers no proof (DESIGN 4.3)."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


@dataclass(frozen=True, slots=True)
class Effect:
    """A ledger row as decisions see it. Times are aware UTC."""

    case_id: int
    step: Step
    channel: str
    ordinal: int
    state: EffectState
    attempts: int = 0
    outcome_class: OutcomeClass | None = None
    code: str | None = None
    template_id: str | None = None
    sent_at: datetime | None = None


@lru_cache(maxsize=4096)
def effect_key(journey: str, case_id: int, step: Step, channel: str, ordinal: int) -> str:
    """The idempotency key: derived, so that the same intention has the same key in every process for ever."""
    return str(uuid.uuid5(_NAMESPACE, f"{journey}:{case_id}:{step}:{channel}:{ordinal}"))


def tracking_id(key: str) -> str:
    """The key in the form vendors take: `[A-Za-z0-9_]{1,48}` (Zalo advises <= 48 characters, no specials)."""
    return key.replace("-", "")


def tracked_key(tracking: str) -> str | None:
    """The key that a tracking id stands for; None when it is none of ours."""
    if re.fullmatch("[0-9a-f]{32}", tracking) is None:
        return None
    return f"{tracking[:8]}-{tracking[8:12]}-{tracking[12:16]}-{tracking[16:20]}-{tracking[20:]}"


_STATE_AFTER: Mapping[OutcomeClass, EffectState] = {
    OutcomeClass.ACCEPTED: EffectState.ACCEPTED,
    OutcomeClass.RETRY_LATER: EffectState.WAITING,
    OutcomeClass.REFRESH_CREDENTIALS: EffectState.WAITING,
    OutcomeClass.WAIT_FOR_WINDOW: EffectState.WAITING,
    OutcomeClass.NEEDS_HUMAN: EffectState.WAITING,
    OutcomeClass.UNREACHABLE: EffectState.REFUSED,
    OutcomeClass.PAYLOAD_REFUSED: EffectState.REFUSED,
    OutcomeClass.UNCERTAIN: EffectState.UNCERTAIN,
}

_FIRST_RETRY = timedelta(minutes=2)
_LONGEST_RETRY = timedelta(hours=6)
_HUMAN_CHECK = timedelta(minutes=30)


def state_after(outcome: Outcome) -> EffectState:
    return _STATE_AFTER[outcome.cls]


def next_attempt_at(outcome: Outcome, attempts: int, now: datetime) -> datetime:
    """When a waiting effect is tried again: the vendor's word if it gave one, else doubling from 2 minutes to 6 hours.

    A problem only a person can solve is looked at every 30 minutes, so that repairing it needs no button.
    """
    if outcome.retry_at is not None and outcome.retry_at > now:
        return outcome.retry_at
    if outcome.cls is OutcomeClass.NEEDS_HUMAN:
        return now + _HUMAN_CHECK
    doublings = min(max(attempts - 1, 0), 12)
    return now + min(_FIRST_RETRY * float(2**doublings), _LONGEST_RETRY)
