"""Zalo's webhooks: what is due when, at-least-once delivery with a ladder of retries, and the faults of a script.

Due times are on the sandbox's clock. While the clock stands still, nothing leaves until a control moves it or makes
an event happen, and that control answers after each due event was attempted once. While the clock runs with the
machine's, a background task delivers.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Protocol

import httpx

from sandbox import events
from sandbox.book import Book
from sandbox.clock import Clock
from sandbox.events import Body, Event
from sandbox.post import Endpoint, Outcome, client, post

LADDER = tuple(timedelta(seconds=seconds) for seconds in (30, 300, 900, 1800, 3600))
"""Zalo's pauses after an attempt that was not answered with 200; after the last one it gives up."""

_AT_ONCE = 64
_REORDER_WITHIN = timedelta(hours=2)


class Fault(Protocol):
    """What befalls one event; `seconds` is how late a late one is."""

    @property
    def name(self) -> str: ...

    @property
    def seconds(self) -> float: ...


@dataclass(slots=True)
class _Delivery:
    """One event on its way. `attempts` made so far; `body` is complete from the first attempt on."""

    event: Event
    attempts: int = 0
    body: Body | None = None
    fault: str | None = None
    judged: bool = False
    """The fault script was asked; it is asked once for each event."""
    gone: bool = False
    """Sent by another way, or withdrawn: an entry still in the queue counts no more."""


@dataclass(slots=True)
class Webhooks:
    """The queue of one sandbox. Only its event loop touches it."""

    clock: Clock
    book: Book
    judge: Callable[[str, datetime], Fault | None]
    """Asks the fault script about an event (name, now)."""
    endpoint: Endpoint | None = None
    _queue: list[tuple[datetime, int, _Delivery]] = field(default_factory=list)
    _held: dict[str, list[_Delivery]] = field(default_factory=dict)
    _queued: int = 0
    _open: set["asyncio.Task[None]"] = field(default_factory=set)
    _courier: "asyncio.Task[None] | None" = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _http: httpx.AsyncClient | None = None

    @property
    def on(self) -> bool:
        return self.endpoint is not None

    @property
    def waiting(self) -> int:
        """Events that are not yet delivered and not given up, however far in the future they are due."""
        return sum(not delivery.gone for _, _, delivery in self._queue) + len(self._open)

    def point_at(self, endpoint: Endpoint | None) -> None:
        """Deliver there from now on. None turns webhooks off and forgets what was on its way."""
        self.endpoint = endpoint
        if endpoint is None:
            self._queue.clear()
            self._held.clear()

    def plan(self, event: Event, due: datetime) -> None:
        """Deliver `event` at `due`. Does nothing while webhooks are off: what happens then is never told."""
        if self.endpoint is not None:
            self._put(_Delivery(event), due)

    def withdraw(self, name: str, msg_id: str) -> None:
        """Forget the event of this name about this message, if it has not left yet."""
        for _, _, delivery in self._queue:
            if delivery.event.name == name and delivery.event.about.get("msg_id") == msg_id:
                delivery.gone = True

    async def settle(self) -> None:
        """Attempt whatever is due now, once; returns when every attempt has its outcome."""
        self._start_due()
        if self._open:
            await asyncio.wait(set(self._open))
        self._wake()

    async def send_now(self, body: Body) -> Outcome:
        """One attempt to deliver any payload, past queue, retries and faults. Raises LookupError while off."""
        if self.endpoint is None:
            raise LookupError("no webhook url is set")
        body = events.complete(body, self.clock.now())
        name = str(body.get("event_name", ""))
        message = body.get("message")
        about = (
            {"msg_id": str(message["msg_id"])} if isinstance(message, dict) and "msg_id" in message else {}
        )
        return await self._attempt(Event(name, body, "", about), body, 0, None, self.endpoint)

    async def close(self) -> None:
        """Stop everything; used before the sandbox forgets this queue."""
        self.point_at(None)
        tasks = [*self._open, *([self._courier] if self._courier else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    def _put(self, delivery: _Delivery, due: datetime) -> None:
        self._queued += 1
        heappush(self._queue, (due, self._queued, delivery))
        # The courier sleeps until the first due time it knew; only an earlier one has to wake it.
        if self._queue[0][2] is delivery:
            self._wake()

    def _wake(self) -> None:
        if self.clock.fixed is not None or self.endpoint is None:
            return
        if self._courier is None:
            self._courier = asyncio.create_task(self._carry())
        self._woken.set()

    async def _carry(self) -> None:
        """Deliver at due times for as long as the clock runs; then wait until it runs again."""
        while True:
            self._woken.clear()
            if self.clock.fixed is not None:
                await self._woken.wait()
                continue
            self._start_due()
            pause = (self._queue[0][0] - self.clock.now()).total_seconds() if self._queue else None
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _start_due(self) -> None:
        now, lanes = self.clock.now(), dict[str, list[_Delivery]]()
        while self._queue and self._queue[0][0] <= now:
            delivery = heappop(self._queue)[2]
            if delivery.gone:
                continue
            lane = delivery.event.lane
            if not delivery.judged and self._diverted(delivery, now):
                continue
            ready = lanes.setdefault(lane, [])
            ready.append(delivery)
            # Whoever was held back for this event leaves right after it.
            ready += self._released(lane, but=delivery)
        for ready in lanes.values():
            task = asyncio.create_task(self._deliver(ready))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    def _released(self, lane: str, but: _Delivery) -> list[_Delivery]:
        held = [each for each in self._held.pop(lane, ()) if each is not but and not each.gone]
        # They are still in the queue for the case that nothing had followed; there they count no more.
        for each in held:
            each.gone = True
        return [_Delivery(each.event, judged=True, fault=each.fault) for each in held]

    def _diverted(self, delivery: _Delivery, now: datetime) -> bool:
        """Ask the fault script, once; True when the event does not leave now."""
        delivery.judged = True
        event, fault = delivery.event, self.judge(delivery.event.name, now)
        if fault is None:
            return False
        delivery.fault = fault.name
        if fault.name == "dropped":
            self.book.enter("webhook_lost", now, {"event": event.name, **event.about, "reason": "dropped"})
        elif fault.name == "late":
            self._put(delivery, now + timedelta(seconds=fault.seconds))
        elif fault.name == "reordered":
            self._held.setdefault(event.lane, []).append(delivery)
            self._put(delivery, now + _REORDER_WITHIN)
        else:
            return False
        return True

    async def _deliver(self, ready: Iterable[_Delivery]) -> None:
        """Attempt the events of one lane one after the other, each once."""
        for delivery in ready:
            endpoint = self.endpoint
            if endpoint is None:
                return
            if delivery.body is None:
                delivery.body = events.complete(delivery.event.body, self.clock.now())
            # A fault spoils the first attempt; what Zalo repeats is sound.
            fault = delivery.fault if delivery.attempts == 0 or delivery.fault == "no_tracking_id" else None
            copies = 2 if fault == "duplicate" else 1
            outcomes = await asyncio.gather(
                *(
                    self._attempt(delivery.event, delivery.body, delivery.attempts, fault, endpoint)
                    for _ in range(copies)
                )
            )
            delivery.attempts += 1
            if not any(outcome.taken for outcome in outcomes):
                self._try_later(delivery)

    def _try_later(self, delivery: _Delivery) -> None:
        now, event = self.clock.now(), delivery.event
        if delivery.attempts <= len(LADDER):
            self._put(delivery, now + LADDER[delivery.attempts - 1])
        else:
            self.book.enter("webhook_lost", now, {"event": event.name, **event.about, "reason": "given up"})

    async def _attempt(
        self, event: Event, body: Body, retry: int, fault: str | None, to: Endpoint
    ) -> Outcome:
        if self._http is None:
            self._http = client(_AT_ONCE)
        async with self._slots:
            outcome = await post(self._http, to, body, retry=retry, fault=fault)
        facts = {"event": event.name, "msg_id": None, **event.about, "attempt": retry + 1, "fault": fault}
        self.book.enter(
            "webhook", self.clock.now(), {**facts, "status": outcome.status, "error": outcome.error}
        )
        return outcome
