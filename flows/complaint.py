"""The complaint journey: win back customers who rated us badly."""

from datetime import timedelta

from prefect import flow

from amends.discretion import discreetly
from amends.domain.journey import ComplaintJourney
from flows.results import UNUSED
from tasks.acknowledge import acknowledge
from tasks.close_cases import close_cases
from tasks.detect import detect
from tasks.notify_agents import notify_agents
from tasks.open_tickets import open_tickets
from tasks.reconcile import reconcile
from tasks.report import leave_report
from tasks.reward import reward
from tasks.survey import survey
from tasks.sweep import sweep_of
from tasks.tidy_up import tidy_up
from tasks.watch_sla import warn_and_escalate_on_sla


@flow(name="complaint-journey", flow_run_name="{journey.name}", persist_result=False, result_storage=UNUSED)
@discreetly
async def complaint(journey: ComplaintJourney, read_back_days: float = 0) -> dict[str, dict[str, int]]:
    """Move every customer's complaint one step on, if it is due for one.

    One run is one sweep over all cases of the journey; run it as often as you like, also twice at once. The daily
    sweep reconciles: it reads ratings back by `read_back_days`, puts back what has fallen off the agenda, and asks
    about every doubt.
    """
    async with sweep_of(journey, timedelta(days=read_back_days)) as sweep:
        await reconcile(sweep)
        await detect(sweep)
        await acknowledge(sweep)
        await open_tickets(sweep)
        await notify_agents(sweep)
        await warn_and_escalate_on_sla(sweep)
        await survey(sweep)
        await reward(sweep)
        await close_cases(sweep)
        await tidy_up(sweep)
        return await leave_report(sweep)
