"""Breaking the database under a real sweep, and what must hold afterwards."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.effects import tracking_id
from amends.domain.journey import ComplaintJourney
from amends.store.engine import Store
from amends.store.schema import agenda, effects, tickets
from flows.complaint import complaint
from sandbox.people import unreachable_code
from sandbox.process import Sandbox
from tasks import chunks
from tasks.sweep import Runtime, use_runtime
from tests.flows.bench import drop_reviews, move, review

OPEN_CALLS = 2
"""So that the apologies of six customers go out in three waves."""
PHONES = "849120000"
"""How the customers' numbers begin."""
SEED = 7
"""Of the tests' sandbox, whose people it makes."""
LEASE = timedelta(seconds=130)
"""A little more than a lease."""


def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect repeats chunks without a wait: the tasks of steps, which keep their waits, are made anew."""
    monkeypatch.setattr(chunks, "RETRY_AFTER_S", [0.0, 0.0, 0.0])
    monkeypatch.setattr(chunks, "_task_of", chunks._task_of.__wrapped__)


@dataclass
class Breakage:
    """Does `break_it` once, just before or after the `nth` statement (or commit) that the sweep's database is asked.

    `when` names it by its beginning, e.g. `INSERT INTO effects`; `COMMIT` is a commit after one of those. `on_error`
    is called with the number of each error that follows, from 1, and may repair.
    """

    store: Store
    when: str
    break_it: Callable[[], object]
    nth: int = 1
    on_error: Callable[[int], object] = lambda _: None
    errors: list[str] = field(default_factory=list)
    seen: int = 0
    wrote: bool = False

    def __post_init__(self) -> None:
        sa.event.listen(self.store.engine, "before_cursor_execute", self._statement)
        sa.event.listen(self.store.engine, "checkin", self._checkin)
        sa.event.listen(self.store.engine, "handle_error", self._error)

    def _statement(self, _c: object, _cursor: object, sql: str, *_: object) -> None:
        self.wrote = self.wrote or sql.startswith("INSERT INTO effects")
        if sql.startswith(self.when):
            self._count()

    def _checkin(self, *_: object) -> None:
        if self.wrote:
            self.wrote = False
            if self.when == "COMMIT":
                self._count()

    def _count(self) -> None:
        self.seen += 1
        if self.seen == self.nth:
            self.break_it()

    def _error(self, context: sa.engine.ExceptionContext) -> None:
        self.errors.append(str(getattr(context.original_exception, "sqlstate", "")))
        self.on_error(len(self.errors))


@dataclass
class Morning:
    """A morning with bad ratings, and sweeps over it."""

    runtime: Runtime
    journey: ComplaintJourney
    sandbox: Sandbox
    clock: VirtualClock
    customers: int = 0

    def __post_init__(self) -> None:
        settings = self.runtime.settings.model_copy(update={"open_calls": OPEN_CALLS})
        self.runtime = Runtime(settings, self.runtime.store, self.clock)
        use_runtime(self.runtime)
        self.rate_badly(6)

    def rate_badly(self, how_many: int) -> None:
        reachable = [n for n in range(100) if unreachable_code(SEED, f"{PHONES}{n:02}") is None]
        numbers = reachable[self.customers : self.customers + how_many]
        reviews = [review(n, phone=f"{PHONES}{n:02}") for n in numbers]
        drop_reviews(self.runtime, f"from-{self.customers}", reviews)
        self.customers += how_many

    @property
    def store(self) -> Store:
        return self.runtime.store

    async def sweep(self) -> Any:
        """One sweep through the real flow; its final Prefect state."""
        return await complaint(self.journey, return_state=True)

    async def next_sweep(self, store: Store | None = None) -> None:
        """The sweep after the lease of a failed one; it must go well."""
        move(self.clock, self.sandbox, LEASE)
        use_runtime(Runtime(self.runtime.settings, store or self.store, self.clock))
        assert (await self.sweep()).is_completed()

    def states(self, store: Store | None = None) -> Counter[str]:
        """How many apologies are in which state."""
        query = sa.select(effects.c.state).where(effects.c.step == "acknowledge")
        with (store or self.store).read() as tx:
            return Counter(tx.execute(query).scalars())

    def assert_whole(self, *, uncertain: int, store: Store | None = None) -> None:
        """Everybody has had one apology, but for so many of whom nobody can know; book and ledger agree."""
        store = store or self.store
        with store.read() as tx:
            apologies = tx.execute(sa.select(effects).where(effects.c.step == "acknowledge")).all()
            told = tx.execute(sa.select(effects).where(effects.c.step == "notify_agent")).all()
            unfinished = tx.execute(sa.select(agenda.c.step).where(agenda.c.due_at <= self.clock.now())).all()
            opened = tx.execute(sa.select(tickets.c.id)).all()
        assert unfinished == []
        assert len(opened) == self.customers
        assert self.states(store) == Counter(accepted=self.customers - uncertain, uncertain=uncertain)
        book = Counter(entry["tracking_id"] for entry in self.sandbox.book(kind="zns"))
        assert max(book.values()) == 1
        assert set(book) <= {tracking_id(row.key) for row in apologies}
        assert {tracking_id(row.key) for row in apologies if row.state == "accepted"} <= set(book)
        assert {row.state for row in told} == {"accepted"}
        assert len(told) == self.customers
