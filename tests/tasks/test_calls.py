"""Calls under way: the next wave starts before the slowest has been answered, and never beyond what may be open."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.domain import steps
from amends.domain.breaker import Breaker
from amends.domain.effects import EffectState, Step
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import agenda, breakers
from amends.store.engine import Store
from amends.store.schema import effects
from connectors.ports import Message, Recipient
from tasks.delivery import deliver, one_by_one
from tasks.sweep import Sweep
from tests.domain.examples import JOURNEY, NINE
from tests.store.rows import ACCEPTED, add_case, add_customer
from tests.tasks.rig import sweep_over

CASES, OPEN_CALLS = 100, 32
BUSY = Outcome(OutcomeClass.RETRY_LATER, code="http_503", detail="busy")


class Vendor:
    """Answers when it is told to, in the order in which it was called."""

    name = "zns"

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Outcome]] = []
        self.called = self.answered = self.broken_off = 0

    def reaches(self, recipient: Recipient) -> bool:
        return True

    async def send(self, message: Message) -> Outcome:
        self.called += 1
        self.waiting.append(asyncio.get_running_loop().create_future())
        try:
            return await self.waiting[-1]
        except asyncio.CancelledError:
            self.broken_off += 1
            raise

    @property
    def open(self) -> int:
        return self.called - self.answered - self.broken_off

    def answer(self, calls: int = 1, outcome: Outcome | BaseException = ACCEPTED) -> None:
        for future in self.waiting[:calls]:
            self.answered += 1
            future.set_exception(outcome) if isinstance(outcome, BaseException) else future.set_result(
                outcome
            )
        del self.waiting[:calls]


class Delivery:
    """A hundred apologies being sent."""

    def __init__(self, store: Store, home: Path) -> None:
        self.store, self.vendor = store, Vendor()
        with store.begin() as tx:
            people = [add_case(tx, customer_id=add_customer(tx)) for _ in range(CASES)]
            agenda.plan(
                tx, [agenda.Item(case_id, JOURNEY.name, Step.ACKNOWLEDGE, 0, NINE) for case_id in people]
            )
        self.sweep: Sweep = sweep_over(store, home, channels={"zns": self.vendor})

    def start(self) -> asyncio.Task[None]:
        sweep, held = self.sweep, self.sweep.lease_until()
        with self.store.begin() as tx:
            claims = agenda.claim(
                tx,
                JOURNEY.name,
                Step.ACKNOWLEDGE,
                now=NINE,
                owner=sweep.owner,
                lease_until=held,
                limit=CASES,
            )
        decide = one_by_one(lambda job, now: steps.acknowledge(job.case, job.effects, job.journey, now))
        return asyncio.create_task(deliver(sweep, Step.ACKNOWLEDGE, claims, decide))

    def states(self) -> dict[str, int]:
        query = sa.select(effects.c.state, sa.func.count()).group_by(effects.c.state)
        with self.store.read() as tx:
            return dict(tx.execute(query).tuples().all())


@pytest.fixture
def delivery(store: Store, tmp_path: Path) -> Delivery:
    return Delivery(store, tmp_path)


async def _settled(done: Callable[[], bool] = lambda: False) -> None:
    """Let everything run that can; nothing here waits for the clock."""
    for _ in range(50):
        if done():
            return
        await asyncio.sleep(0)


async def test_the_next_wave_starts_when_half_have_been_answered(delivery: Delivery) -> None:
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    assert vendor.open == OPEN_CALLS

    vendor.answer(OPEN_CALLS // 2 - 1)
    await _settled()
    assert vendor.called == OPEN_CALLS

    vendor.answer()
    await _settled()
    assert vendor.called == OPEN_CALLS + OPEN_CALLS // 2
    assert vendor.open == OPEN_CALLS
    assert delivery.states() == {"accepted": OPEN_CALLS // 2, "sending": OPEN_CALLS}
    sending.cancel()


async def test_no_more_are_in_doubt_than_may_be_open_however_the_answers_come(delivery: Delivery) -> None:
    vendor, sending, pieces = delivery.vendor, delivery.start(), iter([3, 14, 1, 20, 7, 31, 2])
    while not sending.done():
        await _settled()
        assert delivery.states().get("sending", 0) <= OPEN_CALLS
        assert vendor.open <= OPEN_CALLS
        vendor.answer(next(pieces, OPEN_CALLS))
    await sending
    assert vendor.called == CASES
    assert delivery.states() == {"accepted": CASES}


async def test_one_slow_call_holds_up_nobody_else(delivery: Delivery) -> None:
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    slow = vendor.waiting.pop(0)
    while vendor.called < CASES:
        vendor.answer(len(vendor.waiting))
        await _settled()
    vendor.answer(len(vendor.waiting))
    await _settled()
    assert not sending.done()
    slow.set_result(ACCEPTED)
    await sending
    assert delivery.states() == {"accepted": CASES}


async def test_trouble_is_judged_when_all_calls_made_with_it_are_answered(delivery: Delivery) -> None:
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    vendor.answer(OPEN_CALLS - 1, BUSY)
    await _settled()
    assert vendor.called == OPEN_CALLS
    vendor.answer(1, BUSY)
    await sending
    assert vendor.called == OPEN_CALLS, "the breaker has opened: nobody else is called"
    with delivery.store.read() as tx:
        assert breakers.load(tx)["zns"].openings == 1


async def test_a_channel_that_comes_back_gets_no_more_calls_before_all_are_answered(
    delivery: Delivery,
) -> None:
    with delivery.store.begin() as tx:
        breakers.save(tx, "zns", Breaker(openings=1, allowance=4))
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    assert vendor.open == 4
    vendor.answer(3)
    await _settled()
    assert vendor.open == 1
    vendor.answer()
    await _settled()
    assert vendor.open == 8
    sending.cancel()


async def test_what_is_under_way_is_broken_off_with_the_sweep_and_stays_in_doubt(delivery: Delivery) -> None:
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    vendor.answer(20)
    await _settled()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert vendor.open == 0
    assert vendor.broken_off == OPEN_CALLS
    assert delivery.states() == {"accepted": 20, "sending": OPEN_CALLS}


class _Killed(BaseException):
    pass


async def test_a_call_that_takes_the_process_down_takes_it_down_at_once(delivery: Delivery) -> None:
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    vendor.answer(1, _Killed())
    with pytest.raises(_Killed):
        await sending
    assert vendor.called == OPEN_CALLS
    assert delivery.states() == {"sending": OPEN_CALLS}


async def test_a_bug_in_a_connector_is_one_doubt_and_nothing_else(delivery: Delivery) -> None:
    vendor, sending = delivery.vendor, delivery.start()
    await _settled()
    vendor.answer(1, RuntimeError("a bug"))
    while not sending.done():
        vendor.answer(len(vendor.waiting))
        await _settled(sending.done)
    await sending
    assert delivery.states() == {EffectState.UNCERTAIN: 1, EffectState.ACCEPTED: CASES - 1}
