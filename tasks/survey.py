"""Survey: ask after the ticket is solved, remind once, and conclude from the answer or the silence."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from amends.domain import steps
from amends.domain.conclusion import conclude
from amends.domain.decision import Decision, Finish, Postpone
from amends.domain.effects import Step
from amends.domain.journey.aftercare import CaseOutcome
from amends.store import agenda, cases, restored, surveys, timeline
from amends.store.agenda import Claim, Item
from amends.store.engine import Tx
from tasks.calls import Job
from tasks.chunks import run_due
from tasks.delivery import deliver, one_by_one
from tasks.sweep import Sweep


async def survey(sweep: Sweep) -> None:
    """Ask, remind, and conclude for every case that is due for it. Answers come in with `detect`."""
    await run_due(sweep, Step.SURVEY, _ask)
    await run_due(sweep, Step.REMIND, _remind)
    await conclude_surveys(sweep)


async def conclude_surveys(sweep: Sweep) -> None:
    """Give every case its outcome whose survey has been answered, or has waited long enough."""
    await run_due(sweep, Step.CONCLUDE, _conclude)


async def _ask(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.SURVEY, claims, one_by_one(_decide_to_ask), _after_asking)


def _decide_to_ask(job: Job, now: datetime) -> Decision:
    return steps.survey(job.case, job.claim.ordinal, job.effects, job.journey, now)


def _after_asking(tx: Tx, finished: Sequence[tuple[Job, Finish]], now: datetime) -> None:
    asked: list[tuple[int, int]] = []
    skipped: list[surveys.Skipped] = []
    items: list[Item] = []
    for job, finish in finished:
        case, cycle, settings = job.case, job.claim.ordinal, job.journey.survey
        conclude_at = now
        match finish.result:
            case "sent" | "uncertain":
                # An uncertain survey may well have arrived: wait for the answer like for any other.
                asked.append((case.id, cycle))
                # A dead sweep's survey may be answered already.
                if case.survey is None or case.survey.answered_at is None:
                    conclude_at = now + timedelta(hours=settings.answer_window_hours)
                if settings.reminder_after_hours and finish.result == "sent":
                    remind_at = now + timedelta(hours=settings.reminder_after_hours)
                    items.append(Item(case.id, case.journey, Step.REMIND, cycle, remind_at))
            case "skipped":
                continue
            case "unreachable":
                skipped.append(surveys.Skipped(case.id, cycle, CaseOutcome.UNREACHABLE, finish.reason))
            case _:
                skipped.append(surveys.Skipped(case.id, cycle, CaseOutcome.SUPPRESSED, finish.reason))
        items.append(Item(case.id, case.journey, Step.CONCLUDE, cycle, conclude_at))
    surveys.asked(tx, asked, now)
    surveys.skipped(tx, skipped)
    agenda.plan(tx, items)


async def _remind(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.REMIND, claims, one_by_one(_decide_to_remind))


def _decide_to_remind(job: Job, now: datetime) -> Decision:
    return steps.remind(job.case, job.claim.ordinal, job.effects, job.journey, now)


async def _conclude(sweep: Sweep, claims: list[Claim]) -> None:
    """Give each case its outcome; a reward or the closing comes next."""
    now, tally = sweep.now(), sweep.tally(Step.CONCLUDE)
    with sweep.store.begin() as tx:
        ours = agenda.still_ours(tx, claims, sweep.owner)
        found = cases.load_unnamed(tx, [claim.case_id for claim in ours])
        postponed, finished, endings, earning, items, lines = [], [], [], [], [], []
        for claim in ours:
            case = found[claim.case_id]
            journey = sweep.version(tx, case.version_id)
            conclusion = conclude(case, journey, now)
            if isinstance(conclusion, Postpone):
                postponed.append((claim, conclusion.until))
                continue
            outcome, reason = conclusion.outcome, conclusion.reason
            endings.append(cases.Ending(case.id, outcome, reason))
            earns = journey.reward.enabled and outcome in journey.reward.outcomes
            items.append(
                Item(case.id, case.journey, Step.REWARD if earns else Step.CLOSE, claim.ordinal, now)
            )
            if earns:
                earning.append(case.id)
            finished.append((claim, outcome.value))
            lines.append(timeline.Entry(case.id, now, f"case.{outcome}", reason))
            tally.results[outcome] += 1
        cases.set_outcomes(tx, endings)
        agenda.plan(tx, items)
        restored.doubt_if_lost(tx, earning, Step.REWARD, 0, now)
        agenda.postpone(tx, postponed)
        agenda.finish(tx, finished)
        timeline.append(tx, lines)
