"""Notify agents: tell the assignee about a new or reopened ticket."""

from datetime import datetime

from amends.domain import steps
from amends.domain.decision import Decision
from amends.domain.effects import Step
from amends.store.agenda import Claim
from tasks.calls import Job
from tasks.chunks import run_due
from tasks.delivery import deliver, one_by_one
from tasks.sweep import Sweep


async def notify_agents(sweep: Sweep) -> None:
    """Notify the assignee of every ticket that is due for it."""
    await run_due(sweep, Step.NOTIFY_AGENT, _notify)


async def _notify(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.NOTIFY_AGENT, claims, one_by_one(_decide))


def _decide(job: Job, now: datetime) -> Decision:
    return steps.notify_agent(job.case, job.claim.ordinal, job.effects, job.journey, now)
