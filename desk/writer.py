"""Group commit into the spool: however many requests wait, one commit at a time carries all that have gathered."""

import asyncio
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from amends.store.spool import Arrived, Spool

log = structlog.get_logger()


class Unavailable(Exception):
    """The webhook is not known to be on disk. It may still get there: whoever sends it again does no harm."""


class _Waiting:
    """One request's webhook, and where its answer goes."""

    __slots__ = ("answer", "arrived")

    def __init__(self, arrived: Arrived, answer: "asyncio.Future[bool]") -> None:
        self.arrived, self.answer = arrived, answer


class SpoolWriter:
    """One thread that commits. `store` is called from one event loop; close it, or use it in a `with`."""

    def __init__(self, spool: Spool, *, deadline_seconds: float = 1.5, queue_limit: int = 1024) -> None:
        """Zalo gives up after 2 s, so `deadline_seconds` is below that; the queue is counted in webhooks."""
        self.spool = spool
        self._deadline_seconds, self._queue_limit = deadline_seconds, queue_limit
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def store(self, arrived: Arrived) -> bool:
        """True once it is committed, False when the spool knew it already (which is as safe).

        Raises Unavailable when queue or spool are full, the spool fails, or the deadline passes.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(arrived, loop.create_future())
        with self._changed:
            if self._closed or len(self._queue) >= self._queue_limit:
                raise Unavailable("closed" if self._closed else "too many webhooks wait for the spool")
            self._queue.append(waiting)
            self._changed.notify()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await waiting.answer
        except TimeoutError:
            raise Unavailable(f"the spool took longer than {self._deadline_seconds:g} s") from None

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Commit what is queued, then stop. A spool that hangs is not waited for longer than the time-out."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while batch := self._gather():
            answers: list[bool] | None = None
            try:
                answers = self.spool.put([one.arrived for one in batch])
                self._tell("")
            except Exception as error:  # whatever it is, these requests get a 503 and the thread lives on
                self._tell(type(error).__name__)
            _answer(batch, answers)

    def _gather(self) -> list[_Waiting]:
        """Everything queued by now, at least one; nothing when the writer is closed and the queue empty."""
        with self._changed:
            while True:
                # Those whose deadline has passed were answered already: leave the disk to those still waiting.
                batch = [one for one in self._queue if not one.answer.cancelled()]
                self._queue.clear()
                if batch or self._closed:
                    return batch
                self._changed.wait()

    def _tell(self, trouble: str) -> None:
        """Once when trouble begins, not once for each webhook."""
        if trouble and trouble != self._trouble:
            log.error("desk.spool_unavailable", error=trouble)
        self._trouble = trouble


def _answer(batch: list[_Waiting], answers: list[bool] | None) -> None:
    """Wake all requests of a batch with one call into their loop; None: their commit has failed."""

    def wake() -> None:
        for number, one in enumerate(batch):
            if one.answer.done():  # given up meanwhile
                continue
            if answers is None:
                one.answer.set_exception(Unavailable("the spool cannot be written"))
            else:
                one.answer.set_result(answers[number])

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        batch[0].answer.get_loop().call_soon_threadsafe(wake)
