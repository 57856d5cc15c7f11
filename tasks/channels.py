"""How the channels of one step fare: incidents that stop them, circuit breakers that spare them, lessons of answers.

A message is filed under its channel (`zns`) and its target, one template or staff contact (`zns:310001`,
`notify:lan`). A breaker belongs to a channel; for staff to a contact, since each may be at another vendor.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto

from amends.domain.breaker import CLOSED, Breaker, after, in_trouble
from amends.domain.decision import Postpone, Send
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import breakers, incidents
from amends.store.engine import Tx
from tasks.sweep import Sweep, at_account

PAUSE = timedelta(minutes=15)
"""How long a channel that needs a person, or is not set up, waits before it is looked at again."""
ANOTHER_TRIES = timedelta(minutes=1)
RESTING = "resting"
"""Code of the incident of a channel whose breaker is open: one, however many messages wait."""

Answered = Sequence[tuple[Send, Outcome]]


class Admission(Enum):
    NOW = auto()
    NEXT_WAVE = auto()
    """As many calls as the channel bears are under way already."""


class Channels:
    """The channels as one step of one sweep meets them; breakers and incidents are shared through the database."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._breakers: dict[str, Breaker] = {}
        self._under_way: Counter[str] = Counter()
        self.cautious = False
        """Whether this wave has met a breaker that lets out only so many calls."""

    def hold_back(self, send: Send, now: datetime) -> Postpone | None:
        """Why nothing may be sent there now, if so."""
        if send.channel not in self._sweep.connectors.channels:
            told = f"{send.channel} is not set up; fill in its settings"
            return Postpone(now + PAUSE, told, routine=True)
        for what in self._filed_under(send):
            if (until := self._sweep.stopped.get(what)) and until > now:
                return Postpone(until, f"{what} is stopped until its incident is solved", routine=True)
        return None

    def start_wave(self, tx: Tx) -> None:
        """Read the breakers anew: other sweeps learn too."""
        self._breakers = breakers.load(tx)
        self._under_way.clear()
        self.cautious = False

    def admit(self, tx: Tx, send: Send, now: datetime) -> Admission | Postpone:
        """Whether the breaker lets one more call out in this wave."""
        name, sweep = self._breaker_of(send), self._sweep
        breaker = self._breakers.get(name, CLOSED)
        if breaker.resting(now):
            return Postpone(breaker.retry_at or now, f"{name} rests after trouble", routine=True)
        if (most := breaker.calls_at_once) is None:
            return Admission.NOW
        self.cautious = True
        if self._under_way[name] >= most:
            return Admission.NEXT_WAVE
        if breaker.retry_at is not None and not breakers.try_it(
            tx, name, sweep.owner, now, sweep.lease_until()
        ):
            return Postpone(now + ANOTHER_TRIES, f"another sweep is trying {name} again", routine=True)
        self._under_way[name] += 1
        return Admission.NOW

    def learn(self, tx: Tx, answered: Answered, now: datetime) -> None:
        """Raise, renew and end incidents, and move the breakers."""
        self._move_breakers(tx, answered, now)
        self._report_incidents(tx, answered, now)

    def _move_breakers(self, tx: Tx, answered: Answered, now: datetime) -> None:
        told: dict[str, list[Outcome]] = {}
        for send, outcome in answered:
            told.setdefault(self._breaker_of(send), []).append(outcome)
        for name, outcomes in sorted(told.items()):
            if name not in self._breakers and not any(in_trouble(outcome) for outcome in outcomes):
                continue
            before = breakers.load_locked(tx, name)
            breaker = after(before, outcomes, now, self._sweep.settings.open_calls)
            if breaker == before:
                continue
            breakers.save(tx, name, breaker)
            if breaker.retry_at is not None:
                trouble = next(outcome for outcome in reversed(outcomes) if in_trouble(outcome))
                detail = (
                    f"call after call fails ({trouble.code}: {trouble.detail}); it is tried again by itself"
                )
                resting = Outcome(OutcomeClass.RETRY_LATER, code=RESTING, detail=detail)
                incidents.report(tx, name, {RESTING: (resting, 1)}, now)
            elif before.retry_at is not None:
                incidents.resolve(tx, name, now, code=RESTING)

    def _report_incidents(self, tx: Tx, answered: Answered, now: datetime) -> None:
        sweep = self._sweep
        found: dict[str, dict[str, tuple[Outcome, int]]] = {}
        for send, outcome in answered:
            if outcome.cls is OutcomeClass.NEEDS_HUMAN:
                channel, target = self._filed_under(send)
                codes = found.setdefault(channel if outcome.stops == "channel" else target, {})
                code = outcome.code or "unknown"
                codes[code] = (outcome, codes.get(code, (outcome, 0))[1] + 1)
            elif outcome.accepted:
                for works in {*self._filed_under(send)} & sweep.troubled:
                    incidents.resolve(tx, works, now)
                    sweep.troubled.discard(works)
        for stopped, codes in found.items():
            sweep.stopped[stopped] = now + PAUSE
            sweep.troubled.add(stopped)
            incidents.report(tx, stopped, codes, now)

    def _filed_under(self, send: Send) -> tuple[str, str]:
        """What an incident of this send is filed under: its channel, or its one template or staff contact."""
        account = self._sweep.journey.zalo_account
        target = f"{send.channel}:{send.contact or send.template_id or 'text'}"
        return at_account(send.channel, account), at_account(target, account)

    def _breaker_of(self, send: Send) -> str:
        channel, target = self._filed_under(send)
        return target if send.contact else channel
