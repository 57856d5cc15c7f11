"""Forgotten in whatever state the case is, a customer hears nothing more, and the case goes on without them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.effects import Step, tracking_id
from amends.domain.outcome import Outcome
from amends.store import agenda, forgetting, inbox, people, tickets
from amends.store.engine import Store
from amends.store.operator_log import Deed
from amends.store.reports import funnel
from amends.store.schema import cases, effects, surveys, vouchers
from connectors.ports import Message, Recipient
from tasks import acknowledge, close_cases, detect, notify_agents, open_tickets, reward, survey, watch_sla
from tasks.ratings import as_feedback, survey_source
from tasks.sweep import Sweep
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.privacy import PHONE, WORDS, her_feedback, plant, traces
from tests.store.rows import ACCEPTED, BUSY
from tests.tasks.rig import SURVEY, answer, sweep_over

DAY = timedelta(days=1)
STEPS: dict[Step, Callable[[Sweep, list[Any]], Awaitable[None]]] = {
    Step.ACKNOWLEDGE: acknowledge._apologise,
    Step.OPEN_TICKET: open_tickets._open,
    Step.NOTIFY_AGENT: notify_agents._notify,
    Step.WATCH_SLA: watch_sla._watch,
    Step.SURVEY: survey._ask,
    Step.REMIND: survey._remind,
    Step.CONCLUDE: survey._conclude,
    Step.REWARD: reward._give,
    Step.CLOSE: close_cases._close,
}


class Line:
    """A channel that takes everything, or is busy for whatever one asks it to be."""

    def __init__(self, name: str) -> None:
        self.name, self.sent, self.answer = name, list[Message](), ACCEPTED

    def reaches(self, recipient: Recipient) -> bool:
        return True

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        return self.answer


class Shop:
    """One customer with a bad rating, and sweeps over her case."""

    def __init__(self, store: Store, home: Path) -> None:
        self.store, self.home, self.clock = store, home, VirtualClock(NINE)
        self.zns, self.mail, self.staff = Line("zns"), Line("email"), Line("notify")
        with store.begin() as tx:
            plant(tx, her_feedback())

    def begin(self) -> Sweep:
        channels = {line.name: line for line in (self.zns, self.mail, self.staff)}
        return sweep_over(self.store, self.home, clock=self.clock, channels=channels)

    async def judge(self) -> Sweep:
        sweep = self.begin()
        await cast("Any", detect._judge_chunk).fn(sweep)
        return sweep

    async def sweep(self, after: timedelta = timedelta(0)) -> None:
        """One sweep without Prefect: every step over everything due."""
        self.clock.advance(after)
        sweep = await self.judge()
        for step, work in STEPS.items():
            while claims := self._claim(sweep, step):
                await work(sweep, claims)

    def _claim(self, sweep: Sweep, step: Step) -> list[agenda.Claim]:
        until = sweep.lease_until()
        with self.store.begin() as tx:
            return agenda.claim(
                tx, JOURNEY.name, step, now=sweep.now(), owner=sweep.owner, lease_until=until, limit=9
            )

    def solve(self) -> None:
        with self.store.begin() as tx:
            [ticket] = tickets.unsolved(tx)
            tickets.solve(tx, ticket.id, "thao", "late", self.clock.now())

    def answers(self, rate: int) -> None:
        """She answers the survey, in words that name her; a poll brings it."""
        with self.store.begin() as tx:
            row = tx.execute(sa.select(effects).where(effects.c.step == "survey")).one()
            said = answer(
                "m-answer",
                rate=rate,
                option="five_stars",
                note=f"{WORDS} {PHONE}",
                tracking_id=tracking_id(row.key),
                submitted_at=self.clock.now(),
            )
            found = cast("Any", as_feedback(said, survey_source(SURVEY)))
            inbox.receive(tx, JOURNEY.name, [found], self.clock.now())

    def forget(self) -> None:
        with self.store.begin() as tx:
            deed = Deed(self.clock.now(), "mai", "forget", "")
            forgetting.forget(tx, people.find(tx, PHONE), deed)


async def apology_due(shop: Shop) -> None:
    await shop.judge()


async def apology_waiting(shop: Shop) -> None:
    shop.zns.answer = BUSY
    await shop.sweep()


async def ticket_open(shop: Shop) -> None:
    await shop.sweep()


async def survey_due(shop: Shop) -> None:
    await shop.sweep()
    shop.solve()


async def survey_out(shop: Shop) -> None:
    await survey_due(shop)
    await shop.sweep(after=5 * HOUR)


async def answered(shop: Shop) -> None:
    await survey_out(shop)
    shop.answers(rate=5)
    await shop.judge()


async def reward_waiting(shop: Shop) -> None:
    await survey_out(shop)
    shop.answers(rate=5)
    shop.zns.answer = BUSY
    await shop.sweep(after=HOUR)


async def reopened(shop: Shop) -> None:
    await survey_out(shop)
    shop.answers(rate=1)
    await shop.sweep(after=HOUR)


async def closed(shop: Shop) -> None:
    await survey_out(shop)
    shop.answers(rate=5)
    await shop.sweep(after=HOUR)


STATES = (
    *(apology_due, apology_waiting, ticket_open, survey_due, survey_out, answered, reward_waiting),
    *(reopened, closed),
)


# PostgreSQL needs but a few: what it does otherwise than SQLite is locks, and those have tests of their own.
EVERYWHERE = [("sqlite", reach) for reach in STATES] + [
    ("postgres", reach) for reach in (apology_waiting, survey_out, reward_waiting)
]


@pytest.mark.parametrize(
    ("store", "reach"), EVERYWHERE, ids=lambda part: getattr(part, "__name__", part), indirect=["store"]
)
async def test_nothing_more_is_sent_and_the_case_comes_to_its_end(
    store: Store, tmp_path: Path, reach: Callable[[Shop], Awaitable[None]]
) -> None:
    shop = Shop(store, tmp_path)
    await reach(shop)
    with store.read() as tx:
        before = funnel(tx, JOURNEY.name, shop.clock.now())
    sent = len(shop.zns.sent), len(shop.mail.sent)
    shop.forget()
    with store.read() as tx:
        assert funnel(tx, JOURNEY.name, shop.clock.now()) == before
    assert traces(store) == []

    shop.zns.answer = ACCEPTED
    await shop.sweep(after=HOUR)
    with store.begin() as tx:
        if tickets.unsolved(tx):
            [ticket] = tickets.unsolved(tx)
            tickets.solve(tx, ticket.id, "thao", "late", shop.clock.now())
        assert inbox.receive(tx, JOURNEY.name, [her_feedback()], shop.clock.now()) == 0
    told_since = len(shop.staff.sent)
    for _ in range(3):
        await shop.sweep(after=3 * DAY)
    assert (len(shop.zns.sent), len(shop.mail.sent)) == sent
    assert not any(WORDS in message.body for message in shop.staff.sent[told_since:])
    assert traces(store) == []
    with store.read() as tx:
        assert tx.execute(sa.select(cases.c.closed_at)).scalar_one() is not None
        assert agenda.next_due_at(tx, JOURNEY.name) is None
        states = set(tx.execute(sa.select(vouchers.c.state)).scalars())
    assert states <= ({"issued"} if reach is closed else {"cancelled"})


async def test_an_answer_that_comes_afterwards_counts_without_its_words(store: Store, tmp_path: Path) -> None:
    shop = Shop(store, tmp_path)
    await survey_out(shop)
    shop.forget()
    shop.answers(rate=5)
    await shop.sweep(after=HOUR)
    assert traces(store) == []
    with store.read() as tx:
        row = tx.execute(sa.select(surveys)).one()
        assert (row.rate, row.satisfied, row.note) == (5, True, "")
        assert tx.execute(sa.select(cases.c.outcome)).scalar_one() == "satisfied"
