"""Sending: decide late, commit `sending`, call, write the answer, decide again. The only way to a vendor.

Work goes in waves of as many cases as fill the room for open calls. One transaction writes the answers that have come
and decides the next wave, so a wave costs one commit, and a sweep killed at any moment leaves no more effects whose
calls may have left than calls may be open (DESIGN 4.3). The decision is a pure function of the case and its effects; it
is asked again after the answer, and by then knows whether the step is over, must wait, or goes on to the next channel.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from amends.domain.decision import Decision, Finish, Postpone, Send
from amends.domain.effects import (
    TO_CUSTOMERS,
    Effect,
    EffectState,
    Policy,
    Step,
    next_attempt_at,
    state_after,
)
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import agenda, cases, ledger, timeline
from amends.store.agenda import Claim
from amends.store.engine import Tx
from amends.store.ledger import Intent
from tasks.calls import Answered, Call, Job, OpenCalls
from tasks.channels import PAUSE, Admission, Channels
from tasks.sweep import Sweep, Tally

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
    async with OpenCalls(sweep.connectors.channels) as calls:
        while queue or calls:
            answered = await calls.answers(wave.may_stay_open if queue else 0)
            with sweep.store.begin() as tx:
                wave.keep_lease(tx, chain(queue, calls.claims))
                room = sweep.settings.open_calls - len(calls)
                batch = [queue.popleft() for _ in range(min(wave.cases_for(room), len(queue)))]
                leaving, later = wave.turn(tx, answered, batch, room)
            queue.extend(later)
            calls.make(leaving)


class Wave:
    """The bookkeeping around the calls of one step, a transaction at a time."""

    def __init__(self, sweep: Sweep, step: Step, decide: Decide, on_finish: OnFinish) -> None:
        self.sweep, self.step, self.decide, self.on_finish = sweep, step, decide, on_finish
        self.tally: Tally = sweep.tally(step)
        self.renew_at = sweep.now() + sweep.lease / 3
        self.channels = Channels(sweep)
        self.cases_per_call = 1.0
        """As of the wave before."""

    @property
    def may_stay_open(self) -> int:
        """How many calls need no answer before the next wave: half, so that the vendor works while we do.

        None while a breaker lets out only so many: it goes by the answers of calls made together.
        """
        return 0 if self.channels.cautious else self.sweep.settings.open_calls // 2

    def cases_for(self, room: int) -> int:
        """How many cases the next wave takes: so many that the calls they want fill the room for open calls."""
        return max(int(room * self.cases_per_call), 1)

    def keep_lease(self, tx: Tx, claims: Iterable[Claim]) -> None:
        """Renew the leases of what is still to be done once a third of them has passed: a slow vendor is no death."""
        sweep, now = self.sweep, self.sweep.now()
        if now >= self.renew_at:
            agenda.renew(tx, [*claims], sweep.owner, sweep.lease_until())
            self.renew_at = now + sweep.lease / 3

    def turn(
        self, tx: Tx, answered: Answered, batch: Sequence[Claim], room: int
    ) -> tuple[list[Call], list[Claim]]:
        """Write the answers, decide again in their light, decide the batch, and write `sending` for what is to be sent.

        Returns the calls to make once the caller has committed, at most `room`, and the claims that a later wave has
        to take up: there was no room for their calls, or their channel bears no more of them now.
        """
        # All at once, and the agenda before the ledger: two sweeps never wait for each other in a circle.
        held = agenda.still_ours(tx, [*(call.job.claim for call, _ in answered), *batch], self.sweep.owner)
        ours = {claim.id: claim for claim in held}
        self._settle(tx, answered, ours)
        return self._prepare(tx, [ours[claim.id] for claim in batch if claim.id in ours], room)

    def _prepare(self, tx: Tx, claims: Sequence[Claim], room: int) -> tuple[list[Call], list[Claim]]:
        if not claims:
            return [], []
        sweep, now = self.sweep, self.sweep.now()
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
        self.cases_per_call = len(claims) / max(len(wanted), 1)
        calls, later = self._admitted(tx, wanted, room, now)
        intents = [call.intent for call in calls]
        begun = ledger.begin(tx, intents, owner=sweep.owner, now=now, lease_until=sweep.lease_until())
        return [call for call in calls if call.intent.key in begun], later

    def _admitted(
        self, tx: Tx, calls: Sequence[Call], room: int, now: datetime
    ) -> tuple[list[Call], list[Claim]]:
        """Those of `calls` for which there is room and which their channel lets out now, and the claims of the rest."""
        self.channels.start_wave(tx)
        leaving, later, postponed = [], [call.job.claim for call in calls[room:]], []
        for call in calls[:room]:
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

    def _settle(self, tx: Tx, answered: Answered, ours: Mapping[int, Claim]) -> None:
        """Write the answers, then decide each job again in their light."""
        if not answered:
            return
        sweep, now = self.sweep, self.sweep.now()
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
            if job.claim.id not in ours:
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

    def _with_proofs(self, tx: Tx, answered: Answered) -> Answered:
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
