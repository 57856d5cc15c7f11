"""Reward: reserve a voucher within the budget and send it, once per case for ever."""

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
from tasks.chunks import run_due
from tasks.delivery import Job, deliver
from tasks.sweep import Sweep


async def reward(sweep: Sweep) -> None:
    """Give every case that has earned one its voucher."""
    _fill_pool(sweep)
    await run_due(sweep, Step.REWARD, _give)


async def _give(sweep: Sweep, claims: list[Claim]) -> None:
    await deliver(sweep, Step.REWARD, claims, _decide, _after)


def _decide(tx: Tx, job: Job, now: datetime) -> Decision:
    """Reserve in the transaction that decides to send: money is never promised twice (DESIGN 4.10)."""
    case, journey = job.case, job.journey
    if (refusal := steps.earns_voucher(case, journey)) is not None:
        return refusal
    # Ask first with a blank voucher: what waits for the morning should not be reserved, nor grow old, overnight.
    rehearsal = steps.reward(case, job.effects, journey, now, _BLANK)
    if not isinstance(rehearsal, Send):
        return rehearsal
    voucher = vouchers.reserve(tx, journey.name, journey.reward, case.id, now)
    if isinstance(voucher, str):
        return Finish("suppressed", voucher)
    variables = voucher_variables(voucher.code, voucher.value_vnd, voucher.expires_at, journey)
    return steps.reward(case, job.effects, journey, now, variables)


def _after(tx: Tx, job: Job, finish: Finish, now: datetime) -> None:
    case = job.case
    if finish.result in ("sent", "uncertain"):
        vouchers.issued(tx, case.id)
    elif finish.result in ("suppressed", "skipped"):
        vouchers.cancel(tx, case.id)
    else:  # refused: also one that was in doubt, and counted as given, until its late answer came
        vouchers.take_back(tx, case.id)
    agenda.plan(tx, [Item(case.id, case.journey, Step.CLOSE, job.claim.ordinal, now)])


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
