"""Open tickets: severity from the stars, an assignee by the journey's rule, and all an agent should know first."""

from collections.abc import Sequence
from datetime import datetime

from amends.domain.case import Case
from amends.domain.effects import Step
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.care import Agent
from amends.domain.summary import Earlier, Rating, ticket_summary
from amends.store import agenda, cases, cursors, tickets, timeline
from amends.store.agenda import Claim
from amends.store.engine import Tx
from tasks.chunks import run_due
from tasks.sweep import Sweep


async def open_tickets(sweep: Sweep) -> None:
    """Open the ticket of every case that is due for it, in our own desk."""
    await run_due(sweep, Step.OPEN_TICKET, _open)


async def _open(sweep: Sweep, claims: list[Claim]) -> None:
    now = sweep.now()
    with sweep.store.begin() as tx:
        ours = agenda.still_ours(tx, claims, sweep.owner)
        found = cases.load_unnamed(tx, [claim.case_id for claim in ours])
        histories = cases.histories(tx, list(found.values()))
        agents = _assign(tx, sweep, [found[claim.case_id] for claim in ours])
        by_version: dict[int, list[tickets.NewTicket]] = {}
        lines = []
        for claim in ours:
            case = found[claim.case_id]
            journey = sweep.version(tx, case.version_id)
            agent = agents[case.id]
            summary = _summary(case, histories[case.id], journey)
            new = tickets.NewTicket(case.id, case.severity, agent.name, summary)
            by_version.setdefault(case.version_id, []).append(new)
            lines.append(_line(case, agent, now))
        for version_id, new_tickets in by_version.items():
            tickets.open_tickets(tx, sweep.version(tx, version_id), new_tickets, now)
        agenda.finish(tx, [(claim, "opened") for claim in ours])
        timeline.append(tx, lines)
    sweep.tally(Step.OPEN_TICKET).results["opened"] += len(ours)


def _assign(tx: Tx, sweep: Sweep, waiting: Sequence[Case]) -> dict[int, Agent]:
    """Give each case an agent, in turn. Rotas are locked in one order, so that two sweeps never wait in a circle."""
    rotas: dict[str, list[tuple[int, list[Agent]]]] = {}
    for case in waiting:
        rota, candidates = _rota(case, sweep.version(tx, case.version_id))
        rotas.setdefault(rota, []).append((case.id, candidates))
    assigned = {}
    for rota, cases_of_rota in sorted(rotas.items()):
        numbers = cursors.take_numbers(tx, rota, len(cases_of_rota))
        for number, (case_id, candidates) in zip(numbers, cases_of_rota, strict=True):
            assigned[case_id] = candidates[number % len(candidates)]
    return assigned


def _rota(case: Case, journey: ComplaintJourney) -> tuple[str, list[Agent]]:
    """Name of the rota and who takes turns in it: agents of the customer's shop; else those of any shop; else all."""
    rota = f"rota:{journey.name}"
    if journey.tickets.assign == "branch":
        local = [agent for agent in journey.agents if case.branch and case.branch in agent.branches]
        if local:
            return f"{rota}:{case.branch}"[:300], local
        anywhere = [agent for agent in journey.agents if not agent.branches]
        return rota, anywhere or list(journey.agents)
    return rota, list(journey.agents)


def _summary(case: Case, history: cases.History, journey: ComplaintJourney) -> str:
    return ticket_summary(
        case,
        [Rating(rating, text) for rating, text in history.texts],
        [Earlier(id_, opened_at, outcome) for id_, opened_at, outcome in history.earlier],
        journey,
    )


def _line(case: Case, agent: Agent, now: datetime) -> timeline.Entry:
    return timeline.Entry(
        case.id, now, "ticket.opened", f"{case.severity} severity, assigned to {agent.name}"
    )
