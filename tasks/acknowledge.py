"""Acknowledge: apologise to the customer, in their language, on the first channel that reaches them."""

from datetime import datetime

from amends.domain import steps
from amends.domain.decision import Decision
from amends.domain.effects import Step
from amends.store.agenda import Claim
from tasks.calls import Job
from tasks.chunks import run_due
from tasks.delivery import deliver, one_by_one
from tasks.sweep import Sweep


async def acknowledge(sweep: Sweep) -> None:
    """Send the apology of every case that is due for it."""
    await run_due(sweep, Step.ACKNOWLEDGE, _apologise)


async def _apologise(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.ACKNOWLEDGE, claims, one_by_one(_decide))


def _decide(job: Job, now: datetime) -> Decision:
    return steps.acknowledge(job.case, job.effects, job.journey, now)
