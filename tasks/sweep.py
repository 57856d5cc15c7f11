"""A sweep: one run of a journey's flow over everything that is due. Every task is handed one of these."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from uuid import uuid4

from amends.clock import Clock, SystemClock
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.encryption import cipher_of
from amends.logs import set_up_logs
from amends.settings import Settings
from amends.store import incidents, journeys
from amends.store.engine import Store, Tx
from amends.store.opening import open_store
from connectors.registry import Connectors, open_connectors
from connectors.zalo.memory import TemplateMemory
from tasks.vault import StoreVault


@dataclass(frozen=True)
class Runtime:
    """What a process needs to sweep: settings, an open store, and the clock."""

    settings: Settings
    store: Store
    clock: Clock
    memory: TemplateMemory = field(default_factory=TemplateMemory)
    """What Zalo said about templates and quotas, for as long as it is fresh."""


def at_account(what: str, account: str) -> str:
    """What an incident about a Zalo channel or template is filed under: each Official Account has its own."""
    channel, _, rest = what.partition(":")
    if account == DEFAULT_ACCOUNT or not channel.startswith(("zns", "zalo_chat")):
        return what
    return f"{channel}@{account}{':' if rest else ''}{rest}"[:80]


_of_process: list[Runtime] = []


def use_runtime(runtime: Runtime) -> None:
    """Make `runtime` this process's; the demo and the tests set their own clock and database with it."""
    _of_process[:] = [runtime]


def current_runtime() -> Runtime:
    """This process's runtime; by default the real clock and whatever the settings say."""
    if not _of_process:
        settings = Settings()
        set_up_logs(settings.log)
        store = open_store(settings)
        store.migrate()
        use_runtime(Runtime(settings, store, SystemClock()))
    return _of_process[0]


@dataclass
class Tally:
    """What one step did in one sweep. `seconds` is wall time."""

    cases: int = 0
    results: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Sweep:
    """One sweep of one journey. `owner` marks the leases and ledger rows it holds."""

    def __init__(
        self,
        journey: ComplaintJourney,
        runtime: Runtime,
        connectors: Connectors,
        read_back: timedelta,
        *,
        newest_first: bool = False,
    ) -> None:
        self.journey = journey
        self.newest_first = newest_first
        """Whether each step takes one small chunk of what has come last, and leaves the rest: a backlog may wait."""
        self.left_over = False
        """Whether a step has left any, so."""
        self.read_back = read_back
        """How far polls read back at least, whatever their cursors say."""
        self.settings = runtime.settings
        self.store = runtime.store
        self.clock = runtime.clock
        self.connectors = connectors
        self.owner = uuid4().hex
        self.tallies: dict[str, Tally] = {}
        self.stopped: dict[str, datetime] = {}
        """Channels, templates and contacts with a problem only a person can solve, and when to try again."""
        self.asked_for: set[str] = set()
        """Announced ratings that this run has polled for: once is enough, be they there or not."""
        self._versions: dict[int, ComplaintJourney] = {}
        with self.store.begin() as tx:
            self.version_id = journeys.register(tx, journey, self.now())
            self.troubled = {incident.stopped for incident in incidents.still_open(tx)}
            """What has an open incident; the first message it accepts resolves it."""
        self._versions[self.version_id] = journey

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_seconds)

    @property
    def margin(self) -> timedelta:
        """How long before a lease ends calls may no longer leave: room for clocks that differ between hosts."""
        return self.lease / 4

    def lease_until(self) -> datetime:
        return self.now() + self.lease

    def messages_since(self) -> datetime:
        """Start of the window of the message cap."""
        return self.now() - timedelta(days=self.journey.message_cap.days)

    def version(self, tx: Tx, version_id: int) -> ComplaintJourney:
        """The journey a case entered with."""
        if version_id not in self._versions:
            self._versions[version_id] = journeys.load(tx, version_id)
        return self._versions[version_id]

    def tally(self, step: str) -> Tally:
        return self.tallies.setdefault(step, Tally())


@asynccontextmanager
async def sweep_of(
    journey: ComplaintJourney, read_back: timedelta, *, newest_first: bool = False
) -> AsyncIterator[Sweep]:
    """Open the connectors and run a sweep with this process's runtime."""
    runtime = current_runtime()
    vault = StoreVault(runtime.store, cipher_of(runtime.settings))
    async with open_connectors(
        runtime.settings, runtime.clock.now, vault, journey.zalo_account, runtime.memory
    ) as connectors:
        yield Sweep(journey, runtime, connectors, read_back, newest_first=newest_first)


@asynccontextmanager
async def timed(sweep: Sweep, step: str) -> AsyncIterator[Tally]:
    """Add the time spent inside to the step's tally."""
    tally, started = sweep.tally(step), perf_counter()
    try:
        yield tally
    finally:
        tally.seconds += perf_counter() - started
