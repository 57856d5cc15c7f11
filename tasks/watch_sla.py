"""Watch SLA: warn the agent before a target is missed, escalate up the ladder after it is."""

from datetime import datetime

from amends.domain import steps
from amends.domain.decision import Decision
from amends.domain.effects import Step
from amends.domain.sla import SlaClock
from amends.store import tickets
from amends.store.agenda import Claim
from amends.store.engine import Tx
from tasks.chunks import run_due
from tasks.delivery import Job, deliver
from tasks.sweep import Sweep


async def warn_and_escalate_on_sla(sweep: Sweep) -> None:
    """Look at every service-level clock with an event due: each warning and each level goes out once."""
    await run_due(sweep, Step.WATCH_SLA, _watch)


async def _watch(sweep: Sweep, claims: list[Claim]) -> None:
    with sweep.store.read() as tx:
        clocks = tickets.clocks(tx, [claim.case_id for claim in claims])

    def decide(_tx: Tx, job: Job, now: datetime) -> Decision:
        clock: SlaClock = clocks[job.case.id, job.claim.ordinal]
        return steps.watch_sla(job.case, clock, job.effects, job.journey, now)

    await deliver(sweep, Step.WATCH_SLA, claims, decide)
