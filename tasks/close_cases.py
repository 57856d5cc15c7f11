"""Close: end a case with its reason, or reopen the ticket of a customer who is still unhappy."""

from amends.domain.conclusion import Reopen, close_or_reopen
from amends.domain.effects import Step
from amends.store import agenda, cases, tickets, timeline
from amends.store.agenda import Claim
from tasks.chunks import run_due
from tasks.sweep import Sweep


async def close_cases(sweep: Sweep) -> None:
    """Close or reopen every case that has its outcome."""
    await run_due(sweep, Step.CLOSE, _close)


async def _close(sweep: Sweep, claims: list[Claim]) -> None:
    now, tally = sweep.now(), sweep.tally(Step.CLOSE)
    with sweep.store.begin() as tx:
        ours = agenda.still_ours(tx, claims, sweep.owner)
        found = cases.load_unnamed(tx, [claim.case_id for claim in ours])
        finished, closed, lines = [], [], []
        for claim in ours:
            case = found[claim.case_id]
            journey = sweep.version(tx, case.version_id)
            ending = close_or_reopen(case, journey)
            if isinstance(ending, Reopen):
                cycle = tickets.reopen(tx, journey, case.id, ending.severity, now)
                cases.set_outcomes(tx, [cases.Ending(case.id)])
                detail = f"{ending.severity} severity, {cycle}. reopening: {ending.reason}"
                lines.append(timeline.Entry(case.id, now, "ticket.reopened", detail))
                finished.append((claim, "reopened"))
            else:
                closed.append(case.id)
                lines.append(timeline.Entry(case.id, now, "case.closed", f"{case.outcome}: {ending.reason}"))
                finished.append((claim, "closed"))
        cases.close(tx, closed, now)
        agenda.finish(tx, finished)
        timeline.append(tx, lines)
    tally.results.update(result for _, result in finished)
