"""Reward: reserve a voucher within the budget and send it, once per case for ever."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from amends.domain import steps
from amends.domain.contacts import mask
from amends.domain.decision import Decision, Finish, Send, voucher_variables
from amends.domain.effects import Step
from amends.domain.journey.aftercare import PooledCodes
from amends.store import agenda, cursors, vouchers
from amends.store.agenda import Claim, Item
from amends.store.engine import Tx
from connectors.code_pool import LONGEST_CODE, read_codes, stamp_of
from connectors.file_kinds import FileProblem
from connectors.file_roots import FileRoots
from tasks.calls import Job
from tasks.chunks import run_due
from tasks.delivery import deliver
from tasks.sweep import Sweep


async def reward(sweep: Sweep) -> None:
    """Give every case that has earned one its voucher."""
    _fill_pool(sweep)
    await run_due(sweep, Step.REWARD, _give)


async def _give(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.REWARD, claims, _decide, _after)


def _decide(tx: Tx, jobs: Sequence[Job], now: datetime) -> list[Decision]:
    """Reserve in the transaction that decides to send: money is never promised twice (DESIGN 4.10)."""
    # Ask first with a blank voucher: what waits for the morning should not be reserved, nor grow old, overnight.
    decisions = [_with_voucher(job, now, _BLANK) for job in jobs]
    earned: dict[int, list[int]] = {}
    for number, decision in enumerate(decisions):
        if isinstance(decision, Send):
            earned.setdefault(jobs[number].case.version_id, []).append(number)
    for numbers in earned.values():
        journey = jobs[numbers[0]].journey
        case_ids = [jobs[number].case.id for number in numbers]
        reserved = vouchers.reserve(tx, journey.name, journey.reward, case_ids, now)
        for number in numbers:
            voucher = reserved[jobs[number].case.id]
            if isinstance(voucher, str):
                decisions[number] = Finish("suppressed", voucher)
                continue
            variables = voucher_variables(voucher.code, voucher.value_vnd, voucher.expires_at, journey)
            decisions[number] = _with_voucher(jobs[number], now, variables)
    return decisions


def _with_voucher(job: Job, now: datetime, variables: Mapping[str, str]) -> Decision:
    refusal = steps.earns_voucher(job.case, job.journey)
    return refusal or steps.reward(job.case, job.effects, job.journey, now, variables)


def _after(tx: Tx, finished: Sequence[tuple[Job, Finish]], now: datetime) -> None:
    given, unsent, refused = [], [], []
    for job, finish in finished:
        if finish.result in ("sent", "uncertain"):
            given.append(job.case.id)
        elif finish.result in ("suppressed", "skipped"):
            unsent.append(job.case.id)
        else:  # also one that was in doubt, and counted as given, until its late answer came
            refused.append(job.case.id)
    vouchers.issued(tx, given)
    vouchers.cancel(tx, unsent)
    vouchers.take_back(tx, refused)
    agenda.plan(
        tx, [Item(job.case.id, job.case.journey, Step.CLOSE, job.claim.ordinal, now) for job, _ in finished]
    )


def _fill_pool(sweep: Sweep) -> None:
    """Take new codes from the journey's pool file, when it has changed."""
    codes = sweep.journey.reward.codes
    if not isinstance(codes, PooledCodes):
        return
    path, reasons = Path(codes.path), sweep.tally(Step.REWARD).reasons
    cursor = f"codes:{sweep.journey.name}:{path.name}"
    try:
        stamp = stamp_of(path, FileRoots(sweep.settings))
        with sweep.store.read() as tx:
            if cursors.get(tx, cursor) == stamp:
                return
        found = read_codes(path)
    except FileProblem as problem:
        reasons[mask(str(problem))] += 1
        return
    if too_long := sum(len(code) > LONGEST_CODE for code in found):
        reasons[f"{path}: codes longer than {LONGEST_CODE} characters left out; shorten them"] += too_long
    with sweep.store.begin() as tx:
        usable = dict.fromkeys(code for code in found if len(code) <= LONGEST_CODE)
        vouchers.add_to_pool(tx, sweep.journey.name, list(usable))
        cursors.put(tx, cursor, stamp)


_BLANK = {"voucher_code": "", "voucher_value": "", "voucher_expires": ""}
