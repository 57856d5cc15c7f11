"""What an operator settles takes its course in the next sweeps, and the vendor's book shows each message once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.effects import Step, tracking_id
from amends.domain.journey import ComplaintJourney
from amends.store import repair, reports
from amends.store.repair import By, Repaired
from amends.store.schema import agenda, cases, effects, vouchers
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.flows.bench import BEST_MARK, LOST_ANSWER, NEVER_RATES, drop_reviews, move, review, sent, solve_all

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def uncertain(runtime: Runtime, step: Step) -> int:
    """The one effect of the step, which must be uncertain."""
    with runtime.store.read() as tx:
        row = tx.execute(sa.select(effects.c.id, effects.c.state).where(effects.c.step == step.value)).one()
    assert row.state == "uncertain"
    return int(row.id)


def states(runtime: Runtime, step: Step) -> list[str]:
    with runtime.store.read() as tx:
        return list(tx.execute(sa.select(effects.c.state).where(effects.c.step == step.value)).scalars())


def do(runtime: Runtime, deed: str, effect_id: int) -> Repaired:
    by = By("hoa", "asked the vendor", runtime.clock.now())
    with runtime.store.begin() as tx:
        done: Repaired = getattr(repair, deed)(tx, effect_id, by)
    return done


async def test_lost_apologies_are_settled_and_the_one_that_never_left_arrives_once(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    """One was taken and its answer lost, the other never left: only the operator can tell, from the vendor's book."""
    sandbox.set_faults([{"on": "send", "fault": "reset_before", "phone": NEVER_RATES, "times": 1}])
    drop_reviews(runtime, "monday", [review(1, phone=LOST_ANSWER), review(2, phone=NEVER_RATES)])
    await complaint(journey)
    with runtime.store.read() as tx:
        doubts = [doubt.id for doubt in reports.uncertain_effects(tx, journey.name)]
        tracking = {row.id: tracking_id(row.key) for row in tx.execute(sa.select(effects))}
    assert len(doubts) == 2
    book = {entry["tracking_id"] for entry in sandbox.book(kind="zns")}
    for effect_id in doubts:
        if tracking[effect_id] in book:
            do(runtime, "settle_sent", effect_id)
        else:
            do(runtime, "settle_not_sent", effect_id)
            do(runtime, "retry", effect_id)
    await complaint(journey)
    move(clock, sandbox, timedelta(hours=3))
    await complaint(journey)
    assert sent(sandbox.book(kind="zns")) == {(LOST_ANSWER, "custom"): 1, (NEVER_RATES, "custom"): 1}
    assert states(runtime, Step.ACKNOWLEDGE) == ["accepted", "accepted"]


async def test_a_voucher_that_never_left_goes_out_once_though_its_case_is_closed(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK, rating=2)])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=30)))
    sandbox.set_faults([{"on": "send", "fault": "reset_before", "template_id": "330001", "times": 1}])
    for hours in (4, 2):
        move(clock, sandbox, timedelta(hours=hours))
        await complaint(journey)
    lost = uncertain(runtime, Step.REWARD)
    with runtime.store.read() as tx:
        assert tx.execute(sa.select(cases.c.closed_at)).scalar_one() is not None
        code = tx.execute(sa.select(vouchers.c.code)).scalar_one()
        assert reports.spent(tx, journey.name) == (1, 50_000)

    do(runtime, "settle_not_sent", lost)
    with runtime.store.read() as tx:
        assert reports.spent(tx, journey.name) == (0, 0)
    await complaint(journey)
    assert sandbox.book(kind="zns", template_type="voucher") == [], "nothing is sent unless it is retried"
    do(runtime, "retry", lost)
    for _ in range(2):
        await complaint(journey)
    (entry,) = sandbox.book(kind="zns", template_type="voucher")
    assert entry["params"]["voucher_code"] == code
    with runtime.store.read() as tx:
        assert tx.execute(sa.select(vouchers.c.state)).scalars().all() == ["issued"]
        assert reports.spent(tx, journey.name) == (1, 50_000)
        assert tx.execute(sa.select(agenda.c.id).where(agenda.c.due_at.is_not(None))).all() == []
    assert states(runtime, Step.REWARD) == ["accepted"]


async def test_a_survey_that_never_left_ends_the_waiting_and_a_cancelled_message_is_not_sent(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    sandbox.set_faults(
        [
            {"on": "send", "fault": "reset_before", "template_id": "320001", "times": 1},
            {"on": "send", "fault": "http_429", "template_id": "310001", "retry_after": 600, "times": 1},
        ]
    )
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK)])
    await complaint(journey)
    with runtime.store.read() as tx:
        waiting = tx.execute(sa.select(effects.c.id).where(effects.c.step == "acknowledge")).scalar_one()
    do(runtime, "cancel", waiting)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=30)))
    move(clock, sandbox, timedelta(hours=4))
    await complaint(journey)
    assert states(runtime, Step.ACKNOWLEDGE) == ["cancelled"]
    assert sandbox.book(kind="zns", template_type="custom") == []

    do(runtime, "settle_not_sent", uncertain(runtime, Step.SURVEY))
    await complaint(journey)
    with runtime.store.read() as tx:
        row = tx.execute(sa.select(cases.c.outcome, cases.c.outcome_reason, cases.c.closed_at)).one()
    assert (row.outcome, row.outcome_reason) == ("unreachable", "the survey never arrived")
    assert row.closed_at is not None
