"""A vendor in trouble is left alone, tried with one call, and comes back gently: one incident, no stampede, no loss."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain import steps
from amends.domain.decision import Decision
from amends.domain.effects import Step
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import agenda, breakers, incidents
from amends.store.engine import Store
from amends.store.schema import effects
from connectors.ports import Message, Recipient
from tasks.calls import Job
from tasks.delivery import deliver, one_by_one
from tasks.sweep import Sweep
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import ACCEPTED, MINUTE, add_case, add_customer
from tests.tasks.rig import sweep_over

DOWN = Outcome(OutcomeClass.RETRY_LATER, code="http_503", detail="busy")
CASES = 100


class Vendor:
    """A vendor that is up or down, and counts how many calls it has open at once."""

    name = "zns"

    def __init__(self) -> None:
        self.up, self.calls, self.open, self.peaks = False, 0, 0, [0]
        self.taken: Counter[str] = Counter()

    def reaches(self, recipient: Recipient) -> bool:
        return recipient.phone is not None

    async def send(self, message: Message) -> Outcome:
        self.calls += 1
        self.open += 1
        self.peaks[-1] = max(self.peaks[-1], self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if not self.open:
            self.peaks.append(0)
        if not self.up:
            return DOWN
        self.taken[message.tracking_id] += 1
        return ACCEPTED


def _decide(job: Job, now: datetime) -> Decision:
    return steps.acknowledge(job.case, job.effects, job.journey, now)


class Brand:
    """A hundred apologies due at nine."""

    def __init__(self, store: Store, home: Path) -> None:
        self.store, self.home, self.vendor, self.clock = store, home, Vendor(), VirtualClock(NINE)
        with store.begin() as tx:
            for _ in range(CASES):
                case_id = add_case(tx, customer_id=add_customer(tx))
                agenda.plan(tx, [agenda.Item(case_id, JOURNEY.name, Step.ACKNOWLEDGE, 0, NINE)])

    def begin(self) -> tuple[Sweep, list[agenda.Claim]]:
        sweep = sweep_over(self.store, self.home, clock=self.clock, channels={"zns": self.vendor})
        with self.store.begin() as tx:
            claims = agenda.claim(
                tx,
                JOURNEY.name,
                Step.ACKNOWLEDGE,
                now=sweep.now(),
                owner=sweep.owner,
                lease_until=sweep.lease_until(),
                limit=CASES,
            )
        return sweep, claims

    async def sweep(self) -> int:
        """One sweep; how many calls it made."""
        before = self.vendor.calls
        sweep, claims = self.begin()
        await deliver(sweep, Step.ACKNOWLEDGE, claims, one_by_one(_decide))
        return self.vendor.calls - before

    def open_incidents(self) -> list[tuple[str, str, int]]:
        with self.store.read() as tx:
            return [(i.stopped, i.code, i.times) for i in incidents.still_open(tx)]

    def states(self) -> Counter[str]:
        with self.store.read() as tx:
            return Counter(tx.execute(sa.select(effects.c.state)).scalars())


@pytest.fixture
def brand(store: Store, tmp_path: Path) -> Brand:
    return Brand(store, tmp_path)


async def test_a_vendor_that_is_down_costs_one_wave_and_one_incident(brand: Brand) -> None:
    assert await brand.sweep() == 32
    assert brand.open_incidents() == [("zns", "resting", 1)]
    assert brand.states() == {"waiting": 32}
    assert await brand.sweep() == 0


async def test_it_is_tried_again_with_one_call_and_the_backlog_drains_without_a_stampede(
    brand: Brand,
) -> None:
    await brand.sweep()
    brand.clock.advance(3 * MINUTE)
    assert await brand.sweep() == 1
    brand.vendor.up, brand.vendor.peaks = True, [0]
    brand.clock.advance(30 * MINUTE)
    assert await brand.sweep() == CASES
    assert brand.vendor.peaks[:6] == [1, 2, 4, 8, 16, 32]
    assert set(brand.vendor.taken.values()) == {1}
    assert len(brand.vendor.taken) == CASES
    assert brand.open_incidents() == []
    with brand.store.read() as tx:
        assert breakers.load(tx) == {}


async def test_down_for_a_day_is_one_incident_and_a_hundred_calls_or_so(brand: Brand) -> None:
    calls = 0
    for _ in range(24 * 2):
        calls += await brand.sweep()
        brand.clock.advance(30 * MINUTE)
    assert 40 < calls < 100
    [(what, code, times)] = brand.open_incidents()
    assert (what, code) == ("zns", "resting")
    assert times < 100
    assert set(brand.states()) == {"waiting"}
    brand.vendor.up = True
    for _ in range(8):  # those that were tried in vain wait longest, six hours at most
        brand.clock.advance(HOUR)
        await brand.sweep()
    assert set(brand.vendor.taken.values()) == {1}
    assert len(brand.vendor.taken) == CASES
    assert brand.states() == {"accepted": CASES}
    assert brand.open_incidents() == []


async def test_of_two_sweeps_only_one_tries(brand: Brand) -> None:
    await brand.sweep()
    brand.clock.advance(3 * MINUTE)
    one, claims = brand.begin()
    half = len(claims) // 2
    two = sweep_over(brand.store, brand.home, clock=brand.clock, channels={"zns": brand.vendor})
    with brand.store.begin() as tx:
        agenda.release(tx, one.owner, JOURNEY.name, claims[half:])
        others = agenda.claim(
            tx,
            JOURNEY.name,
            Step.ACKNOWLEDGE,
            now=two.now(),
            owner=two.owner,
            lease_until=two.lease_until(),
            limit=CASES,
        )
    before = brand.vendor.calls
    gate = asyncio.Event()
    answer = brand.vendor.send

    async def slowly(message: Message) -> Outcome:
        await gate.wait()
        return await answer(message)

    brand.vendor.send = slowly  # type: ignore[method-assign]
    trying = asyncio.create_task(deliver(one, Step.ACKNOWLEDGE, claims[:half], one_by_one(_decide)))
    await asyncio.sleep(0)
    await deliver(two, Step.ACKNOWLEDGE, others, one_by_one(_decide))
    gate.set()
    await trying
    assert brand.vendor.calls - before == 1
    assert two.tally(Step.ACKNOWLEDGE).reasons["another sweep is trying zns again"] == len(others)


async def test_what_waits_when_its_step_is_over_is_cancelled(brand: Brand) -> None:
    await brand.sweep()
    brand.clock.advance(timedelta(hours=73))
    await brand.sweep()
    assert brand.states() == {"cancelled": 32}
    brand.clock.advance(HOUR)
    assert await brand.sweep() == 0
