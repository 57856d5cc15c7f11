"""Sending: decide late, commit `sending`, call, write the answer, decide again. The only way to a vendor.

Work goes in waves of as many cases as there may be open calls. One transaction settles the wave before and decides
the next one, so a wave costs one commit, and a sweep killed at any moment leaves at most one wave of effects whose
calls may have left (DESIGN 4.3). The decision is a pure function of the case and its effects; it is asked again
after the answer, and by then knows whether the step is over, must wait, or goes on to the next channel.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amends.domain.case import Case
from amends.domain.decision import Decision, Finish, Postpone, Send
from amends.domain.effects import (
    TO_CUSTOMERS,
    Effect,
    EffectState,
    Policy,
    Step,
    next_attempt_at,
    state_after,
    tracking_id,
)
from amends.domain.journey import ComplaintJourney
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import agenda, cases, ledger, timeline
from amends.store.agenda import Claim
from amends.store.engine import Tx
from amends.store.ledger import Intent
from connectors.fence import leaving_before
from connectors.ports import Message, Recipient
from tasks.channels import PAUSE, Admission, Channels
from tasks.sweep import Sweep, Tally


@dataclass(slots=True)
class Job:
    """One claimed item on its way through a wave."""

    claim: Claim
    case: Case
    journey: ComplaintJourney
    """The version the case entered with."""
    effects: list[Effect]


@dataclass(frozen=True, slots=True)
class Call:
    """One job that has decided to send."""

    job: Job
    send: Send
    intent: Intent
    leave_before: datetime | None = None
    """When it is too late for it to leave: the lease of its case is about to end."""

    @property
    def tries(self) -> int:
        """How often this very effect was tried before."""
        earlier = (
            e for e in self.job.effects if (e.channel, e.ordinal) == (self.send.channel, self.send.ordinal)
        )
        return next((effect.attempts for effect in earlier), 0)


Decide = Callable[[Tx, Sequence[Job], datetime], list[Decision]]
"""Says what to do with each of these jobs, in their order; a wave is asked about at once."""
OnFinish = Callable[[Tx, Sequence[tuple[Job, Finish]], datetime], None]


def one_by_one(decide: Callable[[Job, datetime], Decision]) -> Decide:
    """For decisions that need no more than the job."""
    return lambda _tx, jobs, now: [decide(job, now) for job in jobs]


def nothing_more(_tx: Tx, _finished: Sequence[tuple[Job, Finish]], _now: datetime) -> None:
    """For steps that nothing follows."""


async def deliver(
    sweep: Sweep, step: Step, claims: Sequence[Claim], decide: Decide, on_finish: OnFinish = nothing_more
) -> None:
    """Work through `claims`: `decide` says what to do with each, `on_finish` plans what follows finished steps."""
    wave = Wave(sweep, step, decide, on_finish)
    queue = deque(claims)
    answered: list[tuple[Call, Outcome]] = []
    while queue:
        with sweep.store.begin() as tx:
            wave.settle(tx, answered)
            wave.keep_lease(tx, queue)
            batch = [queue.popleft() for _ in range(min(wave.size, len(queue)))]
            calls, later = wave.prepare(tx, batch)
        queue.extend(later)
        outcomes = await asyncio.gather(*(_make(sweep, call) for call in calls))
        answered = list(zip(calls, outcomes, strict=True))
    with sweep.store.begin() as tx:
        wave.settle(tx, answered)


async def _make(sweep: Sweep, call: Call) -> Outcome:
    send, customer, key = call.send, call.job.case.customer, call.intent.key
    recipient = (
        Recipient(contact=send.contact)
        if send.contact
        else Recipient(customer.phone, customer.email, send.zalo_uid)
    )
    message = Message(
        key, tracking_id(key), recipient, send.template_id, send.params, send.subject, send.body
    )
    try:
        with leaving_before(call.leave_before):
            return await sweep.connectors.channels[send.channel].send(message)
    except Exception as error:  # a bug in a connector must not hide whether the call has left
        return Outcome(
            OutcomeClass.UNCERTAIN, code=type(error).__name__, detail="the connector failed in the call"
        )


class Wave:
    """The bookkeeping around the calls of one step, a transaction at a time."""

    def __init__(self, sweep: Sweep, step: Step, decide: Decide, on_finish: OnFinish) -> None:
        self.sweep, self.step, self.decide, self.on_finish = sweep, step, decide, on_finish
        self.tally: Tally = sweep.tally(step)
        self.renew_at = sweep.now() + sweep.lease / 3
        self.channels = Channels(sweep)
        self.size = sweep.settings.open_calls
        """How many cases the next wave takes: so many that the calls they want fill what may be open."""

    def keep_lease(self, tx: Tx, rest: Collection[Claim]) -> None:
        """Renew the lease of what is still to be done once a third of it has passed: a slow vendor is no death."""
        sweep, now = self.sweep, self.sweep.now()
        if now >= self.renew_at:
            agenda.renew(tx, [*rest], sweep.owner, sweep.lease_until())
            self.renew_at = now + sweep.lease / 3

    def prepare(self, tx: Tx, batch: Sequence[Claim]) -> tuple[list[Call], list[Claim]]:
        """Decide the batch and write `sending` for what is to be sent; the commit follows at once.

        Also returns the claims that a later wave has to take up, because their channel bears no more calls now.
        """
        sweep, now = self.sweep, self.sweep.now()
        claims = agenda.still_ours(tx, batch, sweep.owner)
        if not claims:
            return [], []
        ids = [claim.case_id for claim in claims]
        if self.step in TO_CUSTOMERS:
            found = cases.load(tx, ids, messages_since=sweep.messages_since())
        else:
            found = cases.load_unnamed(tx, ids)
        effects = ledger.of_cases(tx, ids, [self.step])
        if any(effect.state is EffectState.SENDING for made in effects.values() for effect in made):
            dead = ledger.mark_uncertain(tx, claims, now)
            timeline.append(tx, [self._line(effect.case_id, "uncertain", _CRASH, now) for effect in dead])
            effects = ledger.of_cases(tx, ids, [self.step])
        jobs = []
        for claim in claims:
            case = found[claim.case_id]
            jobs.append(Job(claim, case, sweep.version(tx, case.version_id), effects[case.id]))
        wanted = self._carry_out(tx, jobs, now)
        self.size = sweep.settings.open_calls * len(batch) // max(len(wanted), 1)
        calls, later = self._admitted(tx, wanted, now)
        intents = [call.intent for call in calls]
        ours = ledger.begin(tx, intents, owner=sweep.owner, now=now, lease_until=sweep.lease_until())
        return [call for call in calls if call.intent.key in ours], later

    def _admitted(self, tx: Tx, calls: Sequence[Call], now: datetime) -> tuple[list[Call], list[Claim]]:
        """Those of `calls` that may be open at once and their channel lets out now, and the claims for a later wave."""
        self.channels.start_wave(tx)
        most = self.sweep.settings.open_calls
        leaving, later, postponed = [], [call.job.claim for call in calls[most:]], []
        for call in calls[:most]:
            match self.channels.admit(tx, call.send, now):
                case Admission.NOW:
                    leaving.append(call)
                case Admission.NEXT_WAVE:
                    later.append(call.job.claim)
                case Postpone(until, reason):
                    postponed.append((call.job.claim, until))
                    self.tally.reasons[reason] += 1
        agenda.postpone(tx, postponed)
        return leaving, later

    def settle(self, tx: Tx, answered: Sequence[tuple[Call, Outcome]]) -> None:
        """Write the answers, then decide each job again in their light."""
        if not answered:
            return
        sweep, now = self.sweep, self.sweep.now()
        # The agenda is locked before the ledger, as in `prepare`: two sweeps never wait for each other in a circle.
        ours = set(agenda.still_ours(tx, [call.job.claim for call, _ in answered], sweep.owner))
        attempts = {call.intent.key: call.tries + 1 for call, _ in answered}
        answers = [(call.intent, outcome) for call, outcome in answered]
        ledger.settle(tx, answers, owner=sweep.owner, attempts=attempts, now=now)
        answered = self._with_proofs(tx, answered)
        self.channels.learn(tx, [(call.send, outcome) for call, outcome in answered], now)
        lines, again, waiting = [], [], []
        for call, outcome in answered:
            job, state = call.job, state_after(outcome)
            self.tally.results[_RESULT_OF[state]] += 1
            if state is not EffectState.WAITING or call.tries == 0:
                lines.append(self._line(job.case.id, _RESULT_OF[state], _describe(call.send, outcome), now))
            repeat = state is EffectState.UNCERTAIN and call.send.policy is Policy.AT_LEAST_ONCE
            if job.claim not in ours:
                self._settle_late(tx, call, outcome, now)
                continue
            if state is EffectState.WAITING or repeat:
                waiting.append((job.claim, next_attempt_at(outcome, call.tries + 1, now)))
            else:
                job.effects = _with_answer(call, outcome, state, now)
                again.append(job)
        timeline.append(tx, lines)
        agenda.postpone(tx, waiting)
        # A job that wants to send again (next channel, next rung) goes back on the agenda, due at once.
        agenda.postpone(tx, [(call.job.claim, now) for call in self._carry_out(tx, again, now)])

    def _settle_late(self, tx: Tx, call: Call, outcome: Outcome, now: datetime) -> None:
        """The lease ended in the call, and another sweep has the case now; what we know still counts.

        A call that surely was not taken is the other sweep's to make: its item goes back on the agenda.
        """
        known = ledger.settle_late(tx, call.intent, outcome, owner=self.sweep.owner, now=now)
        if known and state_after(outcome) in (EffectState.WAITING, EffectState.REFUSED):
            agenda.reopen(tx, call.job.claim, now)

    def _with_proofs(self, tx: Tx, answered: Sequence[tuple[Call, Outcome]]) -> list[tuple[Call, Outcome]]:
        """What a delivery webhook has proved while the call was still open has arrived, whatever the answer says."""
        doubts = [call.intent.key for call, outcome in answered if not outcome.accepted]
        proved = ledger.accepted_among(tx, doubts) if doubts else {}
        return [
            (
                call,
                replace(
                    outcome, cls=OutcomeClass.ACCEPTED, provider_id=proved[key], detail="proved by the vendor"
                ),
            )
            if (key := call.intent.key) in proved
            else (call, outcome)
            for call, outcome in answered
        ]

    def _carry_out(self, tx: Tx, jobs: Sequence[Job], now: datetime) -> list[Call]:
        """Decide each job and carry out every decision but `Send`; returns the calls to make."""
        calls, postponed, finished, lines = [], [], [], []
        for job, decided in zip(jobs, self.decide(tx, jobs, now), strict=True):
            decision = self._held_back(decided, now)
            match decision:
                case Send():
                    calls.append(Call(job, decision, _intent(job, decision), self._leave_before(job)))
                case Postpone(until, reason, routine):
                    postponed.append((job.claim, max(until, now + timedelta(seconds=1))))
                    self.tally.reasons[reason] += 1
                    if not routine:
                        lines.append(self._line(job.case.id, "postponed", reason, now))
                case Finish(result, reason):
                    finished.append((job, decision))
                    if result not in _TOLD_ALREADY:
                        self.tally.results[result] += 1
                        self.tally.reasons[reason] += 1
                        lines.append(self._line(job.case.id, result, reason, now))
        if finished:
            self.on_finish(tx, finished, now)
        agenda.postpone(tx, postponed)
        agenda.finish(tx, [(job.claim, finish.result) for job, finish in finished])
        left_over = [
            job.claim for job, _ in finished if any(e.state is EffectState.WAITING for e in job.effects)
        ]
        if left_over:
            ledger.abandon(tx, left_over, now)
        timeline.append(tx, lines)
        return calls

    def _leave_before(self, job: Job) -> datetime | None:
        held_until = job.claim.held_until
        return held_until - self.sweep.margin if held_until is not None else None

    def _held_back(self, decision: Decision, now: datetime) -> Decision:
        if not isinstance(decision, Send):
            return decision
        if self.sweep.journey.paused:
            return Postpone(now + PAUSE, "the journey is paused", routine=True)
        return self.channels.hold_back(decision, now) or decision

    def _line(self, case_id: int, result: str, detail: str, now: datetime) -> timeline.Entry:
        return timeline.Entry(case_id, now, f"{self.step}.{result}", detail)


_CRASH = "the sweep that was sending this died in the call; it may have arrived"
_RESULT_OF = {
    EffectState.ACCEPTED: "sent",
    EffectState.REFUSED: "refused",
    EffectState.WAITING: "waiting",
    EffectState.UNCERTAIN: "uncertain",
}
_TOLD_ALREADY = ("sent", "watched", "uncertain", "cancelled", "answered")
"""Results whose line was written when the answer came, or that are no news."""


def _intent(job: Job, send: Send) -> Intent:
    customer = None if send.contact else job.case.customer.id
    return Intent(
        job.case.journey,
        job.case.id,
        customer,
        job.claim.step,
        send.channel,
        send.ordinal,
        send.policy,
        send.template_id,
    )


def _with_answer(call: Call, outcome: Outcome, state: EffectState, now: datetime) -> list[Effect]:
    """The job's effects as they are now, without asking the database again."""
    send, job = call.send, call.job
    others = [e for e in job.effects if (e.channel, e.ordinal) != (send.channel, send.ordinal)]
    made = Effect(
        job.case.id,
        job.claim.step,
        send.channel,
        send.ordinal,
        state,
        call.tries + 1,
        outcome.cls,
        outcome.code,
        send.template_id,
        now,
    )
    return [*others, made]


def _describe(send: Send, outcome: Outcome) -> str:
    via = f"{send.channel} to {send.contact}" if send.contact else send.channel
    parts = [
        via,
        send.subject if send.contact else f"template {send.template_id}" if send.template_id else "",
    ]
    parts += [f"code {outcome.code}" if outcome.code and not outcome.accepted else "", outcome.detail]
    if outcome.accepted and outcome.provider_id:
        parts.append(f"message {outcome.provider_id}")
    return "; ".join(part for part in parts if part)
