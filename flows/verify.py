"""The audit: do our own books agree with each other? It changes nothing and messages nobody."""

from prefect import flow
from prefect.client.schemas.objects import State

from amends.discretion import discreetly
from amends.store.audit import Finding
from flows.results import UNUSED
from tasks.verify import (
    add_up_every_voucher,
    auditing,
    count_every_feedback,
    follow_every_case,
    publish,
    read_every_clock,
    settle_every_effect,
)


@flow(name="verify", persist_result=False, result_storage=UNUSED)
@discreetly
async def verify() -> State[list[Finding]]:
    """Hold every row of this installation against what must be true of it, as of one moment.

    The run fails when anything is not, so an automation on failed runs hears of it; so does one on the event
    `amends.verify.violated`. What is wrong, and what to do, is in the table it leaves.
    """
    with auditing() as audit:
        await count_every_feedback(audit)
        await follow_every_case(audit)
        await read_every_clock(audit)
        await settle_every_effect(audit)
        await add_up_every_voucher(audit)
        return await publish(audit)
