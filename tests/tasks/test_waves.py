"""How many cases a wave takes: as many as fill the calls that may be open, however few of them want one."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.domain import steps
from amends.domain.decision import Decision, Postpone
from amends.domain.effects import Step
from amends.domain.outcome import Outcome
from amends.store import agenda
from amends.store.engine import Store
from connectors.ports import Message, Recipient
from tasks.calls import Job
from tasks.delivery import deliver, one_by_one
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import ACCEPTED, add_case, add_customer
from tests.tasks.rig import sweep_over

CASES, OPEN_CALLS = 400, 32
Wants = Callable[[int], bool]
"""Whether the n-th case wants a call."""


class Vendor:
    """Takes everything; knows how often it was called for whom, and how many calls were open at once."""

    name = "zns"

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.open = self.most = 0

    def reaches(self, recipient: Recipient) -> bool:
        return True

    async def send(self, message: Message) -> Outcome:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        self.taken[message.tracking_id] += 1
        return ACCEPTED


@pytest.mark.parametrize(
    ("wants", "most_commits"),
    [
        pytest.param(lambda n: False, 3, id="nobody"),
        pytest.param(lambda n: True, CASES // OPEN_CALLS + 2, id="everybody"),
        pytest.param(lambda n: n % 8 == 0, 6, id="one-in-eight"),
        pytest.param(lambda n: n >= OPEN_CALLS, CASES // OPEN_CALLS + 3, id="all-after-the-first-wave"),
        pytest.param(lambda n: n < OPEN_CALLS, 5, id="the-first-wave-alone"),
    ],
)
async def test_a_wave_fills_the_open_calls_and_no_more(
    store: Store, tmp_path: Path, wants: Wants, most_commits: int
) -> None:
    vendor = Vendor()
    sweep = sweep_over(store, tmp_path, channels={"zns": vendor})
    with store.begin() as tx:
        numbers = {add_case(tx, customer_id=add_customer(tx)): number for number in range(CASES)}
        items = [agenda.Item(case_id, JOURNEY.name, Step.ACKNOWLEDGE, 0, NINE) for case_id in numbers]
        agenda.plan(tx, items)
        terms = {"now": NINE, "owner": sweep.owner, "lease_until": sweep.lease_until(), "limit": CASES}
        claims = agenda.claim(tx, JOURNEY.name, Step.ACKNOWLEDGE, **terms)  # type: ignore[arg-type]

    def decide(job: Job, now: datetime) -> Decision:
        if not wants(numbers[job.case.id]):
            return Postpone(now + HOUR, "not today", routine=True)
        return steps.acknowledge(job.case, job.effects, job.journey, now)

    commits = []

    @sa.event.listens_for(store.engine, "commit")
    def count(connection: sa.Connection) -> None:
        commits.append(connection)

    await deliver(sweep, Step.ACKNOWLEDGE, claims, one_by_one(decide))
    sa.event.remove(store.engine, "commit", count)

    wanting = sum(wants(number) for number in numbers.values())
    assert len(vendor.taken) == wanting
    assert set(vendor.taken.values()) <= {1}
    assert vendor.most == min(wanting, OPEN_CALLS)
    assert len(commits) <= most_commits
    with store.read() as tx:
        assert not agenda.is_due(tx, JOURNEY.name, Step.ACKNOWLEDGE, NINE)
