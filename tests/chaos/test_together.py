"""Many sweeps at once in processes of their own, leases that end under a slow vendor, and one that is put to sleep."""

import os
import signal
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from multiprocessing.process import BaseProcess

import psutil
import pytest
import sqlalchemy as sa
from prefect.settings import Settings as PrefectSettings

from amends.store import timeline
from amends.store.schema import agenda, effects
from amends.store.schema import timeline as timelines
from tests.chaos.child import start_sweep
from tests.chaos.clock import SharedClock
from tests.chaos.harness import Site
from tests.chaos.points import Stop
from tests.chaos.verdict import judge
from tests.chaos.world import World
from tests.conftest import MONDAY

pytestmark = pytest.mark.slow
STOP = signal.SIGSTOP
LEASE_S = 10
LEASE_REAL_S = 0.5
"""A lease is over after so many seconds of ours, on an idle machine; see `Crowd`."""
SLOW = 2.0
"""So many leases a slow call lasts: time enough for another sweep to come by and take it over."""
TIMEOUT_S = 60.0
"""More than the slowest call takes, on the slowest machine."""
PATIENCE_S = 500.0


class Crowd:
    """A world with a clock that all its sweeps share, and which runs while they do.

    How fast it runs is the machine's affair: a lease must be long beside the work between two calls, or sweeps take
    each other's cases without any call being slow, which makes more work, for ever on a busy machine. So a lease lasts
    as long as one sweep that finds nothing to do, times the sweeps that share a core.
    """

    def __init__(self, site: Site, prefect: PrefectSettings, sweeps: int = 1) -> None:
        self.clock = SharedClock(MONDAY)
        self.world = World(site.home, site.database_url, site.sandbox, prefect, seed=2, clock=self.clock)
        assert self.world.settings.zalo is not None
        patient = self.world.settings.zalo.model_copy(update={"timeout_seconds": TIMEOUT_S})
        settings = self.world.settings.model_copy(update={"lease_seconds": LEASE_S, "zalo": patient})
        self.orders = replace(self.world.orders, settings=settings)
        self.world.sweep()  # the first one imports
        started = time.monotonic()
        self.world.sweep()
        took, crowding = time.monotonic() - started, max(1, sweeps / len(os.sched_getaffinity(0)))
        self.lease_real_s = min(max(LEASE_REAL_S, took * crowding), 0.8 * TIMEOUT_S / SLOW)

    def slow_down_the_vendor(self) -> None:
        seconds = SLOW * self.lease_real_s
        self.world.sandbox.set_faults([{"on": "send", "fault": "slow", "seconds": seconds, "every": 6}])

    def start(self, number: int = 0, *stops: Stop) -> BaseProcess:
        trail = self.orders.trail.with_name(f"trail{number}")
        return start_sweep(replace(self.orders, trail=trail, stops=stops))

    def sweep(self, sweeps: int) -> None:
        """So many at once, while the clock runs; as many more, one by one, when a lease has ended in an open call."""
        alive = [self.start(number) for number in range(sweeps)]
        begun, started = sweeps, time.monotonic()
        last = started
        while alive:
            time.sleep(0.02)
            now = time.monotonic()
            assert now - started < PATIENCE_S, "a sweep hangs"
            self.clock.advance(timedelta(seconds=LEASE_S / self.lease_real_s * (now - last)))
            last = now
            ended = [child for child in alive if not child.is_alive()]
            assert [child.exitcode for child in ended] == [0] * len(ended)
            alive = [child for child in alive if child not in ended]
            if alive and begun < 2 * sweeps and self._outlived():
                alive.append(self.start(begun))
                begun += 1

    def _outlived(self) -> bool:
        """Whether a call is open whose lease has ended: the next sweep takes its case over."""
        query = sa.select(effects.c.id).where(
            effects.c.state == "sending", effects.c.lease_until < self.clock.now()
        )
        with self.world.store.read() as tx:
            return tx.execute(query.limit(1)).first() is not None

    def takeovers(self) -> int:
        """How often a sweep found a case's lease over and a call still open, by the timelines."""
        query = sa.select(sa.func.count()).where(timelines.c.event.like("%.uncertain"))
        with self.world.store.read() as tx:
            return int(tx.execute(query).scalar_one())

    def finish(self) -> object:
        """One sweep at a time, while the clock stands still, until nothing is left to do; returns what is after ten.

        What was not sent because its lease had run out waits some minutes for its next try, or hours after many.
        """
        left: object = None
        for _ in range(10):
            self.world.move(timedelta(minutes=20))
            self.world.sweep()
            left = [*self.world.due().items(), *_effects(self.world, "sending", "waiting"), *self._put_off()]
            if not left:
                break
        return left

    def _put_off(self) -> list[tuple[str, int]]:
        """What every case should be past by now, and waits for another time."""
        query = sa.select(agenda.c.step, agenda.c.case_id).where(
            agenda.c.step.in_(["acknowledge", "open_ticket", "notify_agent"]), agenda.c.due_at.is_not(None)
        )
        with self.world.store.read() as tx:
            return [(row.step, row.case_id) for row in tx.execute(query)]


@pytest.mark.parametrize("sweeps", [2, 8])
def test_sweeps_at_once_under_a_slow_vendor_double_nothing_and_lose_nobody(
    sweeps: int, postgres_site: Site, prefect: PrefectSettings
) -> None:
    """Two rounds: apologies, tickets and notifications, then surveys. Staff may be told twice, customers never."""
    crowd = Crowd(postgres_site, prefect, sweeps)
    world = crowd.world
    crowd.slow_down_the_vendor()
    world.live(timedelta(0), complaints=20)
    crowd.sweep(sweeps)
    world.live(timedelta(minutes=5), complaints=4)
    for _ in range(5):
        if crowd.takeovers():
            break
        world.live(timedelta(minutes=1), complaints=6)
        crowd.sweep(sweeps)
    world.live(timedelta(minutes=20), complaints=0)
    world.live(timedelta(minutes=35), complaints=0)
    crowd.sweep(sweeps)
    assert crowd.finish() == []
    _assert_sound(world)
    assert crowd.takeovers() > 0
    asked = [entry for entry in world.sandbox.book(kind="zns") if entry["template_type"] == "rating"]
    assert len(asked) > 3
    world.close()


def test_eight_sweeps_at_once_on_sqlite_wait_for_each_other(
    sqlite_site: Site, prefect: PrefectSettings
) -> None:
    """One writer at a time, and no error for the others."""
    crowd = Crowd(sqlite_site, prefect, 8)
    crowd.world.live(timedelta(0), complaints=20)
    crowd.sweep(8)
    assert crowd.finish() == []
    _assert_sound(crowd.world)
    crowd.world.close()


@pytest.mark.parametrize("step", ["acknowledge", "notify agent"])
def test_a_sweep_that_wakes_up_after_its_lease_was_taken_over_does_not_send(
    step: str, postgres_site: Site, prefect: PrefectSettings
) -> None:
    """Stopped between the commit of `sending` and the call, and again when it has made, or not made, its calls."""
    crowd = Crowd(postgres_site, prefect)
    world = crowd.world
    world.live(timedelta(0), complaints=6)
    asleep, about_to_settle = Stop(f"{step}: before call", 1, STOP), Stop(f"{step}: before commit", 3, STOP)
    sleeper = crowd.start(1, asleep, about_to_settle)
    _wait_until_stopped(sleeper)
    open_calls = _effects(world, "sending")
    assert open_calls
    assert not open_calls & set(_told(world, step))

    world.move(timedelta(seconds=2 * LEASE_S))
    crowd.sweep(1)
    others = _told(world, step)
    _wake(sleeper)
    _wait_until_stopped(sleeper)
    assert _told(world, step) == others, "the woken sweep has sent something"
    if step == "acknowledge":
        assert not open_calls & set(others), "the other sweep could not know that these calls had not left"
    else:
        assert open_calls <= set(others), "staff are told by the other sweep, whether they were before or not"

    _wake(sleeper)
    sleeper.join(PATIENCE_S)
    assert sleeper.exitcode == 0
    assert crowd.finish() == []
    assert set(_told(world, step).values()) == {1}
    assert _effects(world, "uncertain") == set()
    _assert_sound(world)
    world.close()


def _assert_sound(world: World) -> None:
    """Nothing twice and nobody forgotten; the cases themselves are still open."""
    verdict = judge(world)
    assert verdict.duplicates == []
    lost = [line for line in verdict.lost if not line.endswith("still open")]
    assert lost == [], [_story(world, line) for line in lost]


def _story(world: World, line: str) -> list[str]:
    """The timeline of the case that a finding is about."""
    case_id = int(line.partition(":")[0].removeprefix("AM")) if line.startswith("AM") else 0
    with world.store.read() as tx:
        return [f"{entry.at:%T} {entry.event} {entry.detail}" for entry in timeline.of_case(tx, case_id)]


def _wait_until_stopped(child: BaseProcess) -> None:
    process, deadline = psutil.Process(child.pid), time.monotonic() + PATIENCE_S
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _wake(child: BaseProcess) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGCONT)


def _effects(world: World, *states: str) -> set[str]:
    """The cases with an effect in one of these states, by our ledger."""
    query = sa.select(effects.c.case_id).where(effects.c.state.in_(states))
    with world.store.read() as tx:
        return {f"AM{case_id:06d}" for case_id in tx.execute(query).scalars()}


def _told(world: World, step: str) -> Counter[str]:
    """The cases whose customer has an apology, or whose agent a notification, by the vendor's book."""
    if step == "acknowledge":
        book = world.sandbox.book()
        asked = [entry for entry in book if entry["kind"] in ("zns", "zns_refused")]
        return Counter(e["params"]["case_code"] for e in asked if e["template_type"] == "custom")
    titles = [entry["title"] for entry in world.sandbox.book(kind="agent_notification")]
    return Counter(title[1:9] for title in titles if title.endswith(" ticket"))
