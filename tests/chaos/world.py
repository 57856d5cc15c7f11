"""One world, in which sweeps are killed for days: an installation on one database, its vendor, its people, a clock."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import sqlalchemy as sa
from prefect.settings import Settings as PrefectSettings

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney, load_journey
from amends.encryption import cipher_of
from amends.settings import Settings
from amends.store import inbox, incidents, reports
from amends.store.engine import Store
from amends.store.schema import effects
from connectors.zalo.account import ZaloAccount
from connectors.zalo.oauth import challenge_of, consent_url, new_verifier
from sandbox.process import Sandbox
from tasks.vault import StoreVault
from tests.chaos.child import Orders, exit_code, start_sweep
from tests.chaos.clock import SharedClock
from tests.chaos.people import Agents, Customers
from tests.chaos.points import START, Stop
from tests.chaos.sabotage import Sabotage
from tests.conftest import MONDAY, ROOT, sandbox_settings

SANDBOX_SEED = 7
"""Decides who can be reached on Zalo, and who answers."""
OPEN_CALLS = 3
LEASE = timedelta(seconds=30)
OPENS, CLOSES = timedelta(hours=8, minutes=5), timedelta(hours=20, minutes=45)
"""The nights are skipped: nobody may be messaged then, and kills would find little to hit."""
HURRIED = {
    "survey": {"delay_hours": 0.5, "reminder_after_hours": 1, "answer_window_hours": 2},
    "message_cap": {"messages": 1_000, "days": 30},
}
"""The shipped journey with a short wait before each step, so that all steps are always due for somebody."""
SETTLING_PAUSE = timedelta(minutes=130)
DEAD_TOKEN = "-14014"
LONGEST_SWEEP = 120.0
"""Seconds of real time after which a child is taken for hung."""


class ChaosProblem(RuntimeError):
    """A sweep failed or hung by itself, which no kill explains."""


def hurried_journey(inbox_folder: Path) -> ComplaintJourney:
    data = load_journey(ROOT / "deployments" / "journeys" / "complaint.yaml").model_dump(mode="json")
    data["sources"][0]["path"] = str(inbox_folder / "*")
    data["survey"] |= HURRIED["survey"]
    return ComplaintJourney.model_validate({**data, "message_cap": HURRIED["message_cap"]})


class OpenCall(NamedTuple):
    """One try of one effect."""

    key: str
    attempt: int
    step: str


@dataclass(slots=True)
class Toll:
    """What was done to a world."""

    sweeps: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    """By the name of the point."""
    timed: Counter[str] = field(default_factory=Counter)
    """Kills from outside at a random moment, by the last point passed before."""
    consents: int = 0
    """How often a person had to give consent anew: the one use of a refresh token was lost with its answer."""

    @property
    def killed(self) -> int:
        return self.kills.total() + self.timed.total()


class World:
    """Use from one thread. `seed` decides what people do; the kills are the caller's."""

    def __init__(
        self,
        home: Path,
        database_url: str,
        sandbox: Sandbox,
        prefect: PrefectSettings,
        *,
        seed: int,
        clock: VirtualClock | SharedClock | None = None,
        sabotage: Sabotage | None = None,
    ) -> None:
        self.sandbox, self.clock, self.toll = sandbox, clock or VirtualClock(MONDAY), Toll()
        self._consent_at: datetime | None = None
        self.journey = hurried_journey(home / "inbox")
        settings = sandbox_settings(sandbox, home, database_url)
        small = {"open_calls": OPEN_CALLS, "chunk_size": 8, "lease_seconds": int(LEASE.total_seconds())}
        self.settings: Settings = settings.model_copy(update=small)
        self.store = Store(database_url, cipher_of(self.settings))
        self.store.migrate()
        self._random = random.Random(seed)
        self.customers = Customers(home / "inbox", self._random)
        self._agents = Agents(self.store, self._random)
        self.orders = Orders(
            self.settings, self.journey, self.clock, prefect, home / "trail", sabotage=sabotage
        )
        self._read = 0
        self.left_open: set[OpenCall] = set()
        """Every call that some kill has left open."""
        self.unexplained: list[str] = []
        sandbox.set_clock(self.clock.now())

    def live(self, pause: timedelta, complaints: int) -> None:
        """Time goes on, and people do what they do meanwhile."""
        self.move(pause)
        now = self.clock.now()
        news = self.sandbox.book(after=str(self._read))
        self._read += len(news)
        self.customers.rate(news, self.sandbox, now)
        self._agents.hear(news, now)
        self._agents.work(now)
        if complaints:
            self.customers.complain(complaints, now)
        self._renew_consent()

    def move(self, pause: timedelta) -> None:
        """Move our clock and the vendor's together, past the night if it falls into one."""
        zone = self.journey.zone
        local = (self.clock.now() + pause).astimezone(zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if local > midnight + CLOSES:
            local = midnight + timedelta(days=1) + OPENS
        elif local < midnight + OPENS:
            local = midnight + OPENS
        self.clock.set(local)
        self.sandbox.set_clock(self.clock.now())

    def sweep(self, stop: Stop | None = None, after_seconds: float | None = None) -> list[str]:
        """One sweep, killed at `stop`, or so long after its start, or neither; returns the points it has passed.

        Raises ChaosProblem when it dies of anything else.
        """
        self.orders.trail.unlink(missing_ok=True)
        child = start_sweep(replace(self.orders, stops=(stop,) if stop else ()))
        if after_seconds is not None:
            self._wait_for_start()
            exit_code(child, after_seconds)
            child.kill()
        ended = exit_code(child, LONGEST_SWEEP)
        if ended is None:
            child.kill()
            raise ChaosProblem(f"a sweep hangs; it has passed {self._trail()[-3:]}")
        if ended not in (0, -9):
            raise ChaosProblem(f"a sweep failed, exit code {ended}; it has passed {self._trail()[-3:]}")
        passed, killed = self._trail(), ended == -9
        self.toll.sweeps += 1
        if killed and after_seconds is not None:
            self.toll.timed[passed[-1]] += 1
        elif killed and stop is not None:
            self.toll.kills[stop.name] += 1
        self._note_open_calls(killed)
        return passed

    def _trail(self) -> list[str]:
        trail = self.orders.trail
        return trail.read_text("utf-8").splitlines() if trail.exists() else []

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + LONGEST_SWEEP
        while START not in self._trail():
            if time.monotonic() > deadline:
                raise ChaosProblem("a sweep does not start")
            time.sleep(0.005)

    def _note_open_calls(self, killed: bool) -> None:
        """What is `sending` now was open when the sweep died: one wave at most, and nothing if it lived."""
        query = sa.select(effects.c.key, effects.c.attempts, effects.c.step).where(
            effects.c.state == "sending"
        )
        with self.store.read() as tx:
            fresh = {OpenCall(*row) for row in tx.execute(query)} - self.left_open
        if len(fresh) > (OPEN_CALLS if killed else 0):
            self.unexplained.append(
                f"{len(fresh)} calls open after a sweep {'killed' if killed else 'alive'}"
            )
        self.left_open |= fresh

    def due(self) -> dict[str, int]:
        """How much is due now, by step, as the names of points call them."""
        with self.store.read() as tx:
            backlog = reports.backlog(tx, self.journey.name, self.clock.now())
        return {step.replace("_", " "): number for step, number in backlog.items()}

    def settled(self) -> bool:
        """Nothing is left to do: every rating is judged and every case closed."""
        with self.store.read() as tx:
            if inbox.has_unrouted(tx, self.journey.name):
                return False
            return reports.funnel(tx, self.journey.name, self.clock.now()).open == 0

    def settle(self, sweeps: int) -> bool:
        """Let sweeps run undisturbed, at most so many, until everything has settled; whether it has."""
        for _ in range(sweeps):
            if self.settled():
                return True
            self.live(SETTLING_PAUSE, 0)
            self.sweep()
        return self.settled()

    def _renew_consent(self) -> None:
        """A refresh token works once: a kill between its use and the commit of the new one needs a person."""
        with self.store.read() as tx:
            dead = [
                incident.last_seen_at for incident in incidents.still_open(tx) if incident.code == DEAD_TOKEN
            ]
        if not dead or (self._consent_at is not None and max(dead) <= self._consent_at):
            return  # the incident stays open until a message is accepted
        asyncio.run(self._log_in())
        self._consent_at = self.clock.now()
        self.toll.consents += 1

    async def _log_in(self) -> None:
        zalo, verifier = self.settings.zalo, new_verifier()
        assert zalo is not None
        page = consent_url(zalo, challenge_of(verifier), "chaos")
        async with httpx.AsyncClient() as browser:
            back = (await browser.get(f"{page}&approve=1")).headers["location"]
        [code] = parse_qs(urlsplit(back).query)["code"]
        vault = StoreVault(self.store, cipher_of(self.settings))
        async with ZaloAccount("default", zalo, self.clock.now, vault) as account:
            await account.tokens.log_in(code, verifier)

    def close(self) -> None:
        self.store.close()
