"""Reward: reserve a voucher within the budget and send it, once per case for ever."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from amends.domain import steps
from amends.domain.decision import Decision, Finish, Send, voucher_variables
from amends.domain.effects import Step
from amends.domain.journey.aftercare import PooledCodes
from amends.store import agenda, cursors, vouchers
from amends.store.agenda import Claim, Item
from amends.store.engine import Tx
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
    path = Path(codes.path)
    if not path.is_file():
        sweep.tally(Step.REWARD).reasons[f"{path}: no such file of voucher codes"] += 1
        return
    stat = path.stat()
    stamp, cursor = f"{stat.st_size}:{stat.st_mtime_ns}", f"codes:{sweep.journey.name}:{path.name}"
    with sweep.store.read() as tx:
        if cursors.get(tx, cursor) == stamp:
            return
    codes_found = _codes(path.read_text(encoding="utf-8-sig").splitlines())
    found = list(dict.fromkeys(code for code in codes_found if len(code) <= LONGEST_CODE))
    if too_long := sum(len(code) > LONGEST_CODE for code in codes_found):
        problem = f"{path}: codes longer than {LONGEST_CODE} characters left out; shorten them"
        sweep.tally(Step.REWARD).reasons[problem] += too_long
    with sweep.store.begin() as tx:
        vouchers.add_to_pool(tx, sweep.journey.name, found)
        cursors.put(tx, cursor, stamp)


_BLANK = {"voucher_code": "", "voucher_value": "", "voucher_expires": ""}
LONGEST_CODE = 25
"""Characters a ZNS voucher template takes."""


def _codes(lines: Sequence[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]
