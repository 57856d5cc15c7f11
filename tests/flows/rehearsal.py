"""Rehearsing trouble: sweeps under a script of faults, and the vendor's book held against our ledger afterwards."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.effects import Step, tracking_id
from amends.domain.journey import ComplaintJourney
from amends.store import reports, timeline
from amends.store.opening import open_spool
from amends.store.schema import agenda, cases, customers, effects, incidents
from amends.store.timeline import Entry
from desk.app import create_app
from desk.counts import Counts
from desk.serving import listen, serve_desk
from desk.writer import SpoolWriter
from flows.complaint import complaint
from sandbox.oauth import OA_ID, OA_SECRET
from sandbox.people import unreachable_code
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.flows.bench import drop_reviews, move, review, solve_all

REPEATED_AFTER = (timedelta(minutes=1), timedelta(minutes=1), timedelta(minutes=6))
TO_CUSTOMERS = (Step.ACKNOWLEDGE, Step.SURVEY, Step.REMIND, Step.REWARD)


def reachable(prefix: str, customers: int) -> list[str]:
    """So many phones that begin with `prefix` and whose owners are on Zalo (the sandbox's seed is 7)."""
    digits = 11 - len(prefix)
    phones = (f"{prefix}{number:0{digits}d}" for number in range(10**digits))
    found = [phone for phone in phones if unreachable_code(7, phone) is None]
    return found[:customers]


@dataclass(frozen=True)
class Message:
    """One message to a customer: what our ledger says of it, and how often the vendor has taken it."""

    case: str
    tracking_id: str
    phone: str | None
    step: str
    channel: str
    state: str
    code: str | None
    detail: str
    attempts: int
    taken: int
    over: bool
    """The step is off the agenda: nothing more will be tried."""
    story: tuple[Entry, ...]
    """The case's timeline, this step only."""

    @property
    def told(self) -> list[str]:
        return [line.event.partition(".")[2] for line in self.story]


@dataclass(frozen=True)
class Rehearsal:
    """An installation, its virtual clock and the sandbox's, moved together."""

    runtime: Runtime
    journey: ComplaintJourney
    sandbox: Sandbox
    clock: VirtualClock

    def complain(self, phones: Iterable[str], **more: object) -> None:
        """Each of these customers leaves a bad rating."""
        rows = [review(n, phone=phone, rating=1 + n % 3, **more) for n, phone in enumerate(phones)]
        drop_reviews(self.runtime, "bad", rows)

    def strike(self, *rules: Mapping[str, Any]) -> None:
        self.sandbox.set_faults([dict(rule) for rule in rules])

    async def sweep(self, *hours: float) -> None:
        """A sweep after each of these pauses, now when there is none. Raises AssertionError when one fails."""
        for pause in hours or (0,):
            await self.move(timedelta(hours=pause))
            state = await complaint(self.journey, return_state=True)
            assert state.is_completed(), state.message

    async def move(self, pause: timedelta) -> None:
        """Move both clocks, at first in small steps, so that webhooks which were refused come again in time.

        In a thread, as the sandbox answers after its webhooks, which a desk in our loop takes.
        """
        for step in (*REPEATED_AFTER, pause):
            part = min(step, pause)
            await asyncio.to_thread(move, self.clock, self.sandbox, part)
            pause -= part

    def open_cases(self) -> int:
        with self.runtime.store.read() as tx:
            return reports.funnel(tx, self.journey.name, self.clock.now()).open

    def solve_all(self) -> int:
        return solve_all(self.runtime.store, self.clock.now())

    def messages(self, step: Step | None = None) -> list[Message]:
        """Every message to a customer that our ledger knows, oldest first; those of one step when it is given."""
        taken = Counter(entry["tracking_id"] for entry in self.sandbox.book(kind="zns"))
        waiting = sa.and_(
            agenda.c.case_id == effects.c.case_id,
            agenda.c.step == effects.c.step,
            agenda.c.due_at.is_not(None),
        )
        wanted = [each.value for each in ([step] if step else TO_CUSTOMERS)]
        query = (
            sa.select(effects, customers.c.phone, sa.exists().where(waiting).label("waits"))
            .join(cases, cases.c.id == effects.c.case_id)
            .join(customers, customers.c.id == cases.c.customer_id)
            .where(effects.c.step.in_(wanted), effects.c.journey == self.journey.name)
            .order_by(effects.c.id)
        )
        with self.runtime.store.read() as tx:
            return [
                Message(
                    f"AM{row.case_id:06d}",
                    tracking_id(row.key),
                    row.phone,
                    row.step,
                    row.channel,
                    row.state,
                    row.code,
                    row.detail,
                    row.attempts,
                    taken[tracking_id(row.key)] if row.channel == "zns" else 0,
                    not row.waits,
                    tuple(
                        line
                        for line in timeline.of_case(tx, row.case_id)
                        if line.event.startswith(f"{row.step}.")
                    ),
                )
                for row in tx.execute(query).all()
            ]

    def states(self, step: Step = Step.ACKNOWLEDGE) -> Counter[str]:
        return Counter(message.state for message in self.messages(step))

    def incidents(self, *, still_open: bool = False) -> list[tuple[str, str]]:
        """What was stopped and the code, once for each incident."""
        query = sa.select(incidents).order_by(incidents.c.id)
        if still_open:
            query = query.where(incidents.c.resolved_at.is_(None))
        with self.runtime.store.read() as tx:
            return [(row.stopped, row.code) for row in tx.execute(query)]

    def uncertain(self) -> list[reports.UncertainEffect]:
        """What `amends status` lists for an operator."""
        with self.runtime.store.read() as tx:
            return reports.uncertain_effects(tx, self.journey.name)

    def problems(self) -> list[str]:
        """Every breach of the promise, a sentence each: once in the book, or uncertain or refused with the reason."""
        messages = self.messages()
        listed = {(f"AM{doubt.case_id:06d}", doubt.step) for doubt in self.uncertain() if doubt.detail}
        return [
            *self._cases_without_apology({one.case for one in messages if one.step == Step.ACKNOWLEDGE}),
            *self._in_the_book_but_not_ours(),
            *(f"{one.case} {one.step}: {wrong}" for one in messages for wrong in _wrong(one, listed)),
        ]

    def _cases_without_apology(self, apologised: set[str]) -> Iterator[str]:
        with self.runtime.store.read() as tx:
            for contact in reports.case_contacts(tx, self.journey.name):
                if (code := f"AM{contact.case_id:06d}") not in apologised:
                    yield f"{code}: no try at an apology"

    def _in_the_book_but_not_ours(self) -> Iterator[str]:
        query = (
            sa.select(effects.c.key, customers.c.phone)
            .join(cases, cases.c.id == effects.c.case_id)
            .join(customers, customers.c.id == cases.c.customer_id)
        )
        with self.runtime.store.read() as tx:
            phone_of = {tracking_id(row.key): row.phone for row in tx.execute(query)}
        book = self.sandbox.book(kind="zns")
        for entry in book:
            if phone_of.get(entry["tracking_id"]) != entry["phone"]:
                yield f"message {entry['msg_id']} went to somebody else"
        apologies = Counter(entry["phone"] for entry in book if entry["template_type"] == "custom")
        yield from (f"{number}: {times} apologies" for number, times in apologies.items() if times > 1)


def _wrong(one: Message, listed: set[tuple[str, str]]) -> Iterator[str]:
    if one.taken > 1:
        yield f"in the book {one.taken} times"
    match one.state:
        case "accepted":
            if one.channel == "zns" and one.taken != 1:
                yield "accepted, and not in the book"
            if not {"sent", "delivered", "proved"} & set(one.told):
                yield f"accepted, and the timeline says {one.told}"
        case "refused":
            if one.taken:
                yield "refused, and in the book"
            if not one.code or not any(f"code {one.code}" in line.detail for line in one.story):
                yield f"refused, and no code on the timeline: {one.story}"
        case "uncertain":
            if "uncertain" not in one.told or not all(line.detail for line in one.story):
                yield f"uncertain, and the timeline says {one.told}"
            if (one.case, one.step) not in listed:
                yield "uncertain, and not listed with a reason"
        case "cancelled" if one.over and one.step == Step.REMIND:
            if one.taken:  # a reminder that came too late, because the customer has answered
                yield "given up, and in the book"
        case _:
            yield f"still {one.state}: {one.code} {one.detail}"


def rehearsal(
    runtime: Runtime,
    journey: ComplaintJourney,
    sandbox: Sandbox,
    *,
    timeout_seconds: float,
    quiet_agents: bool = False,
    **changes: object,
) -> Rehearsal:
    """The runtime with a time-out short enough for calls that hang, in effect from now on.

    `quiet_agents` are told in a file, which is quicker. `changes` are settings.
    """
    assert runtime.settings.zalo is not None
    assert isinstance(runtime.clock, VirtualClock)
    zalo = {
        "timeout_seconds": timeout_seconds,
        "requests_per_second": 1000,
        "openapi_url": sandbox.url,
        "oa_id": OA_ID,
        "webhook_secret": SecretStr(OA_SECRET),
    }
    if quiet_agents:
        file = SecretStr(f"amends-file://{runtime.settings.home / 'agents.jsonl'}")
        changes["contacts"] = dict.fromkeys(journey.contacts(), file)
    changes["zalo"] = runtime.settings.zalo.model_copy(update=zalo)
    ready = Runtime(runtime.settings.model_copy(update=changes), runtime.store, runtime.clock)
    use_runtime(ready)
    return Rehearsal(ready, journey, sandbox, runtime.clock)


@asynccontextmanager
async def desk_of(rehearsal: Rehearsal) -> AsyncIterator[Counts]:
    """A real desk that takes the sandbox's webhooks; what it spools is taken in by the next sweep."""
    settings, sandbox, counts = rehearsal.runtime.settings, rehearsal.sandbox, Counts()
    spool = open_spool(settings)
    with SpoolWriter(spool) as writer:
        app = create_app(settings, rehearsal.clock, writer, counts, lambda _door: None, dict)
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        serving = asyncio.create_task(serve_desk(app, "127.0.0.1", port, sockets=[listener]))
        await asyncio.to_thread(sandbox.webhooks, f"http://127.0.0.1:{port}/webhooks/zalo")
        try:
            yield counts
        finally:
            await asyncio.to_thread(sandbox.webhooks, None)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    spool.close()
