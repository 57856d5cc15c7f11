"""A rating has just come in by webhook: an agent hears of it now, not at the next sweep."""

from datetime import timedelta

from prefect import flow

from amends.discretion import discreetly
from amends.domain.journey import ComplaintJourney
from flows.results import UNUSED
from tasks.acknowledge import acknowledge
from tasks.arrivals import arrivals
from tasks.close_cases import close_cases
from tasks.detect import detect_news
from tasks.notify_agents import notify_agents
from tasks.open_tickets import open_tickets
from tasks.survey import conclude_surveys
from tasks.sweep import sweep_of


@flow(
    name="rating-arrived",
    flow_run_name="{journey.name}: rating arrived",
    persist_result=False,
    result_storage=UNUSED,
)
@discreetly
async def rating_arrived(journey: ComplaintJourney, linger_seconds: float = 0) -> dict[str, dict[str, int]]:
    """Bring what has just come in to an agent, and then say sorry to the customer.

    It goes on as long as more comes in, until nothing has for `linger_seconds`. These are steps of the complaint
    journey, in the order of their hurry, without a look at files and regular polls. The newest come first: whoever
    has just rated us does not wait behind the thousands of a sweep that runs meanwhile. Whatever this run leaves
    undone, the next sweep does. An unhappy survey answer reopens its ticket.
    """
    async with sweep_of(journey, timedelta(0), newest_first=True) as sweep:
        async for _ in arrivals(sweep, linger_seconds):
            await detect_news(sweep)
            await conclude_surveys(sweep)
            await close_cases(sweep)
            await open_tickets(sweep)
            await notify_agents(sweep)
            await acknowledge(sweep)
        return {step: dict(tally.results) for step, tally in sweep.tallies.items()}
