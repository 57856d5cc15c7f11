"""The calls that are under way: each is made at once, and its answer is kept until it is asked for."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from amends.domain.breaker import in_trouble
from amends.domain.case import Case
from amends.domain.decision import Send
from amends.domain.effects import Effect, tracking_id
from amends.domain.journey import ComplaintJourney
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store.agenda import Claim
from amends.store.ledger import Intent
from connectors.fence import leaving_before
from connectors.ports import Channel, Message, Recipient


@dataclass(slots=True)
class Job:
    """One claimed item on its way through a step."""

    claim: Claim
    case: Case
    journey: ComplaintJourney
    """The version the case entered with."""
    effects: list[Effect]


@dataclass(frozen=True, slots=True)
class Call:
    """One job that has decided to send."""

    job: Job
    send: Send
    intent: Intent
    leave_before: datetime | None = None
    """When it is too late for it to leave: the lease of its case is about to end."""

    @property
    def tries(self) -> int:
        """How often this very effect was tried before."""
        earlier = (
            e for e in self.job.effects if (e.channel, e.ordinal) == (self.send.channel, self.send.ordinal)
        )
        return next((effect.attempts for effect in earlier), 0)


Answered = list[tuple[Call, Outcome]]


class OpenCalls:
    """Use as `async with`: what is still under way when it ends is broken off, and its fate stays unknown."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels
        self._under_way: dict[asyncio.Task[Outcome], Call] = {}
        self._ended: list[tuple[Call, asyncio.Task[Outcome]]] = []
        self._trouble = False
        self._waiting: tuple[int, asyncio.Future[None]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        under_way = [*self._under_way]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def __len__(self) -> int:
        """How many have been made and not been answered, or their answers not fetched."""
        return len(self._under_way) + len(self._ended)

    @property
    def claims(self) -> list[Claim]:
        """Whose calls are under way."""
        return [call.job.claim for call in self._under_way.values()]

    def make(self, calls: Iterable[Call]) -> None:
        """Start them all; what they wait for among themselves is their connectors' affair."""
        for call in calls:
            task = asyncio.create_task(_make(self._channels, call))
            self._under_way[task] = call
            task.add_done_callback(self._note)

    async def answers(self, most: int) -> Answered:
        """Wait until at most `most` are under way, and return the answers that have come since the last time.

        Once one of them speaks of a vendor in trouble, it waits for all: a breaker judges calls made together.
        """
        if not self._few_enough(most):
            self._waiting = most, asyncio.get_running_loop().create_future()
            await self._waiting[1]
            self._waiting = None
        ended, self._ended, self._trouble = self._ended, [], False
        return [(call, task.result()) for call, task in ended]

    def _note(self, task: asyncio.Task[Outcome]) -> None:
        self._ended.append((self._under_way.pop(task), task))
        broken = task.cancelled() or task.exception() is not None  # comes out of `answers`
        self._trouble = self._trouble or broken or in_trouble(task.result())
        if self._waiting is not None:
            most, enough = self._waiting
            if (broken or self._few_enough(most)) and not enough.done():
                enough.set_result(None)

    def _few_enough(self, most: int) -> bool:
        return len(self._under_way) <= (0 if self._trouble else most)


async def _make(channels: Mapping[str, Channel], call: Call) -> Outcome:
    send, customer, key = call.send, call.job.case.customer, call.intent.key
    recipient = (
        Recipient(contact=send.contact)
        if send.contact
        else Recipient(customer.phone, customer.email, send.zalo_uid)
    )
    message = Message(
        key, tracking_id(key), recipient, send.template_id, send.params, send.subject, send.body
    )
    try:
        with leaving_before(call.leave_before):
            return await channels[send.channel].send(message)
    except Exception as error:  # a bug in a connector must not hide whether the call has left
        return Outcome(
            OutcomeClass.UNCERTAIN, code=type(error).__name__, detail="the connector failed in the call"
        )
