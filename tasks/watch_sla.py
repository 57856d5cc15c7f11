"""Watch SLA: warn the agent before a target is missed, escalate up the ladder after it is."""

from collections.abc import Sequence
from datetime import datetime

from amends.domain import steps
from amends.domain.decision import Decision
from amends.domain.effects import Step
from amends.store import tickets
from amends.store.agenda import Claim
from amends.store.engine import Tx
from tasks.calls import Job
from tasks.chunks import run_due
from tasks.delivery import deliver
from tasks.sweep import Sweep


async def warn_and_escalate_on_sla(sweep: Sweep) -> None:
    """Look at every service-level clock with an event due: each warning and each level goes out once."""
    await run_due(sweep, Step.WATCH_SLA, _watch)


async def _watch(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.WATCH_SLA, claims, _decide)


def _decide(tx: Tx, jobs: Sequence[Job], now: datetime) -> list[Decision]:
    """The clocks are read in the deciding transaction: a ticket taken a second ago needs no warning."""
    clocks = tickets.clocks(tx, [job.case.id for job in jobs])
    return [
        steps.watch_sla(job.case, clocks[job.case.id, job.claim.ordinal], job.effects, job.journey, now)
        for job in jobs
    ]
