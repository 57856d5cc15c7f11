"""A sweep that sleeps through its lease in a call: another takes the case over; what the first knows still counts."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.domain.effects import Step
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store.engine import Store
from amends.store.schema import agenda, effects
from connectors.fence import TOO_LATE, fence
from connectors.ports import Message, Recipient
from tests.domain.examples import HOUR
from tests.store.rows import ACCEPTED, REFUSED
from tests.tasks.test_delivery_proof import Apologies, Vendor


class Sleeper(Vendor):
    """A connector in whose first call the process sleeps; it minds the fence, as all do, before or after that."""

    def __init__(self, outcome: Outcome, *, sleeps_before_leaving: bool) -> None:
        super().__init__(outcome)
        self.sleeps_before_leaving = sleeps_before_leaving
        self.sleep: Callable[[], Awaitable[object]] | None = None
        self.closed: Callable[[], bool] = lambda: False

    def reaches(self, recipient: Recipient) -> bool:
        return True

    async def send(self, message: Message) -> Outcome:
        sleep, self.sleep = self.sleep, None
        if sleep and self.sleeps_before_leaving:
            await sleep()
        if self.closed():
            return TOO_LATE
        self.sent.append(message.tracking_id)
        if sleep and not self.sleeps_before_leaving:
            await sleep()
            return self.outcome
        return ACCEPTED


def asleep(store: Store, home: Path, outcome: Outcome = ACCEPTED, *, before: bool) -> Apologies:
    """An apology whose first sweep sleeps for an hour in the call, while another sweep comes by."""
    vendor = Sleeper(outcome, sleeps_before_leaving=before)
    case = Apologies(store, home, vendor)

    async def sleep() -> None:
        case.clock.advance(HOUR)
        await case.sweep()

    vendor.sleep = sleep
    vendor.closed = lambda: fence().closed(case.clock.now())
    return case


async def test_a_sweep_that_wakes_up_after_its_lease_was_taken_over_does_not_send(
    store: Store, tmp_path: Path
) -> None:
    case = asleep(store, tmp_path, before=True)
    await case.sweep()
    assert case.vendor.sent == []
    assert case.state() == ("waiting", None)
    await case.sweep()
    assert len(case.vendor.sent) == 1
    assert case.state() == ("accepted", ACCEPTED.provider_id)
    assert case.story() == ["acknowledge.uncertain", "acknowledge.waiting", "acknowledge.sent"]
    assert case.is_over()


async def test_an_answer_that_comes_after_the_takeover_is_written_all_the_same(
    store: Store, tmp_path: Path
) -> None:
    case = asleep(store, tmp_path, before=False)
    await case.sweep()
    assert case.state() == ("accepted", ACCEPTED.provider_id)
    assert case.story() == ["acknowledge.uncertain", "acknowledge.sent"]
    await case.sweep()
    assert len(case.vendor.sent) == 1


async def test_a_refusal_that_comes_after_the_takeover_leads_to_the_next_channel(
    store: Store, tmp_path: Path
) -> None:
    case = asleep(store, tmp_path, REFUSED, before=False)
    await case.sweep()
    assert case.mail.sent == []
    await case.sweep()
    assert (len(case.vendor.sent), len(case.mail.sent)) == (1, 1)
    assert case.is_over()


async def test_a_doubt_that_comes_after_the_takeover_stays_one(store: Store, tmp_path: Path) -> None:
    lost = Outcome(OutcomeClass.UNCERTAIN, code="ReadTimeout", detail="no answer")
    case = asleep(store, tmp_path, lost, before=False)
    await case.sweep()
    await case.sweep()
    assert case.state() == ("uncertain", None)
    assert len(case.vendor.sent) == 1


async def test_a_lease_that_ended_without_anybody_taking_over_is_simply_renewed(
    store: Store, tmp_path: Path
) -> None:
    case = Apologies(store, tmp_path, Vendor(ACCEPTED))
    with store.begin() as tx:
        tx.execute(agenda.update().values(lease_owner="dead", lease_until=case.clock.now() - HOUR))
    await case.sweep()
    assert case.state()[0] == "accepted"


@pytest.mark.parametrize("began_anew", [True, False])
async def test_an_effect_that_the_other_sweep_began_anew_is_that_sweeps(
    store: Store, tmp_path: Path, began_anew: bool
) -> None:
    """Staff may be told twice: the other sweep makes the call again, and only its answer is written."""
    case = asleep(store, tmp_path, REFUSED, before=False)
    if began_anew:
        sleep = case.vendor.sleep  # type: ignore[attr-defined]

        async def taken() -> None:
            await sleep()
            with store.begin() as tx:
                tx.execute(effects.update().values(owner="other", state="uncertain"))

        case.vendor.sleep = taken  # type: ignore[attr-defined]
    await case.sweep()
    with store.read() as tx:
        [row] = tx.execute(sa.select(effects).where(effects.c.step == Step.ACKNOWLEDGE.value)).all()
    assert row.state == ("uncertain" if began_anew else "refused")
