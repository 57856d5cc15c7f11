"""A town whose people rate, answer and wait: the real steps over a real database, without Prefect and its server."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.effects import tracking_id
from amends.domain.feedback import Feedback
from amends.domain.journey import ComplaintJourney
from amends.domain.outcome import Outcome
from amends.store import inbox, tickets
from amends.store.engine import Store
from amends.store.schema import effects
from connectors.events import Delivered, VendorEvent
from connectors.ports import Message, Recipient
from tasks import detect
from tasks.acknowledge import acknowledge
from tasks.close_cases import close_cases
from tasks.notify_agents import notify_agents
from tasks.open_tickets import open_tickets
from tasks.ratings import as_feedback, survey_source
from tasks.reward import reward
from tasks.survey import survey
from tasks.sweep import Sweep
from tasks.vendor_events import act_on
from tasks.watch_sla import warn_and_escalate_on_sla
from tests.domain.examples import JOURNEY, NINE
from tests.store.rows import ACCEPTED, feedback
from tests.tasks.rig import ACCOUNT, SURVEY, answer, sweep_over

STEPS: Mapping[str, Callable[[Sweep], Awaitable[None]]] = {
    "acknowledge": acknowledge,
    "open tickets": open_tickets,
    "notify agents": notify_agents,
    "watch SLA": warn_and_escalate_on_sla,
    "survey": survey,
    "reward": reward,
    "close": close_cases,
}
LEASE = timedelta(minutes=2)

_judge = cast("Any", detect)._judge_chunk.fn


class Killed(BaseException):
    """The end of a process, which no `except Exception` survives."""


@contextmanager
def no_prefect() -> Iterator[None]:
    """Chunks as plain functions: a Prefect task wants a server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.chunks.chunk_task", lambda _name: lambda chunk: chunk)
        yield


class Vendor:
    """A channel that answers as told, in turn; then it accepts everything. `None` is the death of the caller."""

    def __init__(self, name: str, answers: Iterator[Outcome | None]) -> None:
        self.name, self.answers = name, answers
        self.book: list[str] = []
        self._numbers = itertools.count(1)

    def reaches(self, recipient: Recipient) -> bool:
        return True

    async def send(self, message: Message) -> Outcome:
        outcome = next(self.answers, ACCEPTED)
        if outcome is None:
            raise Killed
        if not outcome.accepted:
            return outcome
        self.book.append(message.key)
        number = f"{self.name}-{len(self.book)}-{message.key}"
        return Outcome(outcome.cls, provider_id=number, cost_vnd=outcome.cost_vnd)


class Town:
    """One journey with its database, its clock, its vendor and its people."""

    def __init__(self, store: Store, home: Path, journey: ComplaintJourney = JOURNEY) -> None:
        self.store, self.home, self.journey = store, home, journey
        self.clock = VirtualClock(NINE)
        self._numbers = itertools.count(1)
        self.vendors: dict[str, Vendor] = {}
        self.answers: Iterator[Outcome | None] = iter(())
        for name in ("zns", "email", "notify"):
            self.vendors[name] = Vendor(name, self._next_answers())

    def _next_answers(self) -> Iterator[Outcome | None]:
        while True:
            yield next(self.answers, ACCEPTED)

    def now(self) -> datetime:
        return self.clock.now()

    def rate(self, person: int, rating: float | None = 1.0, **more: Any) -> None:
        """A rating of that person arrives."""
        known = {"phone": f"8491234500{person}", "email": f"p{person}@example.com", "rating": rating}
        self.receive([feedback(f"r{next(self._numbers)}", occurred_at=self.now(), **(known | more))])

    def receive(self, batch: Iterable[Feedback]) -> None:
        with self.store.begin() as tx:
            inbox.receive(tx, self.journey.name, list(batch), self.now())

    def run(self, work: Callable[[Sweep], Awaitable[None]], answers: Iterable[Outcome | None] = ()) -> None:
        """One run of a step in a process of its own, which may die of an answer."""
        self.answers = iter(answers)
        sweep = sweep_over(
            self.store, self.home, journey=self.journey, clock=self.clock, channels=self.vendors
        )
        with suppress(Killed):
            asyncio.run(_finished(work(sweep)))

    def judge(self) -> None:
        self.run(_judge)

    def sweep(self, answers: Iterable[Outcome | None] = ()) -> None:
        """Every step in turn, in one process."""

        async def all_steps(sweep: Sweep) -> None:
            await _judge(sweep)
            for step in STEPS.values():
                await step(sweep)

        self.run(all_steps, answers)

    def take(self, number: int = 0) -> None:
        """An agent takes one of the tickets that nobody has solved."""
        with self.store.begin() as tx:
            if waiting := tickets.unsolved(tx):
                tickets.take(tx, waiting[number % len(waiting)].id, "lan", self.now())

    def solve(self, number: int = 0) -> None:
        with self.store.begin() as tx:
            if waiting := tickets.unsolved(tx):
                tickets.solve(tx, waiting[number % len(waiting)].id, "lan", "giao hàng", self.now())

    def answer(self, rate: int, number: int = 0) -> None:
        """A customer answers a survey that was sent, or that they have had although we do not know."""
        message = self._message(number, effects.c.step.in_(["survey", "remind"]))
        if message is not None:
            made = answer(
                f"a-{message.key}", rate=rate, tracking_id=tracking_id(message.key), submitted_at=self.now()
            )
            found = as_feedback(made, survey_source(SURVEY))
            assert isinstance(found, Feedback)
            self.receive([found])

    def delivered(self, number: int = 0) -> None:
        """The vendor's webhook: a message has arrived."""
        message = self._message(number, effects.c.channel == "zns")
        if message is not None:
            fact = Delivered(message.provider_id or f"d-{message.key}", tracking_id(message.key))
            with self.store.begin() as tx:
                act_on(tx, ACCOUNT, [VendorEvent("k", "user_received_message", self.now(), fact)], self.now())

    def _message(self, number: int, *where: sa.ColumnElement[bool]) -> Any:
        """One of the messages that a vendor may have: all but those surely not taken."""
        query = sa.select(effects).where(effects.c.state.not_in(["refused", "cancelled"]), *where)
        with self.store.read() as tx:
            found = tx.execute(query.order_by(effects.c.id)).all()
        return found[number % len(found)] if found else None


async def _finished(work: Awaitable[None]) -> None:
    await work
