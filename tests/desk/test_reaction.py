"""The reaction carries webhooks on, loses nothing when what it depends on is away, and says so once."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.encryption import Cipher, new_key
from amends.settings import Settings
from amends.store import webhook_events
from amends.store.engine import Store
from amends.store.opening import open_spool, open_store
from amends.store.schema import feedbacks
from amends.store.spool import Arrived, Spool
from desk.counts import Counts
from desk.reaction import FORGET_EVERY, REMEMBER, Reaction, Respond
from tasks.sweep import Runtime
from tasks.webhooks import doors_of
from tests.conftest import KEY, MONDAY
from tests.desk.rig import SECRET

DOOR = "webhook:till"
SOON = 60.0
"""Seconds that nothing here may take."""


@dataclass
class Bench:
    """A reaction and what it works on; `responses` is a queue of the journeys that were responded to."""

    runtime: Runtime
    spool: Spool
    counts: Counts
    reaction: Reaction
    responses: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    number: int = 0

    def arrive(self, number: int = 1, rating: int = 1) -> None:
        """So many ratings are committed to the spool, and the bell is rung for each."""
        for _ in range(number):
            self.number += 1
            body = json.dumps({"rating": rating, "text": f"Chậm {self.number}"}).encode()
            self.spool.put([Arrived(DOOR, f"k{self.number}", MONDAY, body)])
            self.reaction.arrived(DOOR)

    def taken_in(self) -> int:
        with self.runtime.store.read() as tx:
            return int(tx.execute(sa.select(sa.func.count()).select_from(feedbacks)).scalar_one())

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not what():  # noqa: ASYNC110 - it is the work of threads and of a database
                await asyncio.sleep(0.005)


@pytest.fixture
def till(journey: ComplaintJourney) -> ComplaintJourney:
    """The journey with a webhook source."""
    data = journey.model_dump(mode="json")
    data["sources"].append({"kind": "webhook", "name": "till"})
    return ComplaintJourney.model_validate(data)


Run = Callable[..., Any]


@pytest.fixture
def running(tmp_path: Path, till: ComplaintJourney, clock: VirtualClock) -> Run:
    """Run a reaction as long as a block lasts. `respond` None stands for one that only notes the journey."""

    @asynccontextmanager
    async def run(
        *,
        respond: Respond | None = None,
        journeys: Sequence[ComplaintJourney] = (till,),
        look_again_s: float = 60.0,
        flush_s: float = 60.0,
        before: Callable[[Bench], object] = lambda _: None,
        responding: bool = True,
    ) -> AsyncIterator[Bench]:
        settings = Settings(
            home=tmp_path,
            encryption_keys=[SecretStr(KEY)],
            database_url=SecretStr(f"sqlite:///{tmp_path / 'amends.db'}"),
            webhook_secrets={"till": SecretStr(SECRET)},
        )
        runtime = Runtime(settings, open_store(settings), clock)
        spool, counts = open_spool(settings), Counts()

        async def note(journey: ComplaintJourney) -> None:
            await bench.responses.put(journey.name)

        reaction = Reaction(
            runtime,
            spool,
            doors_of(journeys, settings),
            journeys,
            (respond or note) if responding else None,
            counts,
            look_again_s=look_again_s,
            flush_s=flush_s,
        )
        bench = Bench(runtime, spool, counts, reaction)
        before(bench)
        work = asyncio.create_task(reaction.run())
        try:
            async with asyncio.timeout(2 * SOON):
                yield bench
        finally:
            assert not work.done(), work.exception()
            work.cancel()
            await asyncio.wait([work])
            spool.close()
            runtime.store.close()

    return run


def take_away(bench: Bench) -> Callable[[], None]:
    """The database refuses every connection until the returned function is called."""
    engine = bench.runtime.store.engine

    def refuse(*_: object) -> None:
        raise sa.exc.OperationalError("SELECT", None, ConnectionRefusedError())

    for event in ("begin", "engine_connect"):
        sa.event.listen(engine, event, refuse)

    def back() -> None:
        for event in ("begin", "engine_connect"):
            sa.event.remove(engine, event, refuse)

    return back


async def test_a_rating_is_taken_in_and_its_journey_responds(running: Run) -> None:
    async with running() as bench:
        bench.arrive()
        assert await bench.responses.get() == "complaint"
        assert bench.taken_in() == 1
        assert bench.spool.waiting() == 0
        assert bench.reaction.health() == {}


async def test_many_arrivals_during_a_run_are_one_run_more(running: Run) -> None:
    started, go_on, runs = asyncio.Event(), asyncio.Event(), []

    async def respond(journey: ComplaintJourney) -> None:
        runs.append(bench.taken_in())
        started.set()
        await go_on.wait()

    async with running(respond=respond) as bench:
        bench.arrive()
        await started.wait()
        bench.arrive(50)
        await bench.until(lambda: bench.spool.waiting() == 0)
        go_on.set()
        await bench.until(lambda: len(runs) == 2)
        assert runs == [1, 51]


async def test_what_an_earlier_desk_left_behind_is_taken_in_without_a_ring(running: Run) -> None:
    async with running(before=lambda bench: bench.arrive(3)) as bench:
        await bench.responses.get()
        assert bench.taken_in() == 3


async def test_a_repeated_delivery_changes_nothing_and_asks_nobody(running: Run) -> None:
    async with running() as bench:
        bench.arrive()
        await bench.responses.get()
        bench.spool.forget(MONDAY + timedelta(days=1))
        bench.number -= 1
        bench.arrive()
        await bench.until(lambda: bench.spool.waiting() == 0)
        bench.arrive(rating=5)
        await bench.responses.get()
        assert bench.taken_in() == 2
        assert bench.responses.empty()


async def test_without_prefect_everything_is_left_to_the_sweeps(running: Run) -> None:
    async with running(responding=False) as bench:
        bench.arrive()
        await bench.until(lambda: bench.spool.waiting() == 0)
        assert bench.taken_in() == 1
        assert bench.reaction.health() == {}


async def test_a_response_that_fails_is_tried_again_and_told_once(running: Run) -> None:
    tries = 0

    async def respond(journey: ComplaintJourney) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ConnectionError(f"Prefect is away, says {journey.brand}")
        await bench.responses.put(journey.name)

    with structlog.testing.capture_logs() as logs:
        async with running(respond=respond, look_again_s=0.01) as bench:
            bench.arrive()
            await bench.until(lambda: tries > 1)
            assert bench.reaction.health() in ({"journey complaint": "ConnectionError"}, {})
            await bench.responses.get()
            await bench.until(lambda: bench.reaction.health() == {})
    assert tries == 4
    assert [line["error"] for line in logs if line["event"] == "desk.trouble"] == ["ConnectionError"]


async def test_a_failing_journey_does_not_keep_another_from_responding(
    running: Run, till: ComplaintJourney
) -> None:
    data = till.model_dump(mode="json") | {"name": "other"}
    data["sources"][-1]["name"] = "survey"
    other = ComplaintJourney.model_validate(data)

    async def respond(journey: ComplaintJourney) -> None:
        if journey.name == "complaint":
            raise ConnectionError
        await bench.responses.put(journey.name)

    async with running(respond=respond, journeys=(till, other), look_again_s=0.01) as bench:
        bench.arrive()
        await bench.until(lambda: bool(bench.reaction.health()))
        bench.spool.put([Arrived("webhook:survey", "s1", MONDAY, b'{"rating": 1}')])
        bench.reaction.arrived("webhook:survey")
        assert await bench.responses.get() == "other"


async def test_a_run_that_goes_on_for_long_keeps_no_other_journey_waiting(
    running: Run, till: ComplaintJourney
) -> None:
    data = till.model_dump(mode="json") | {"name": "other"}
    data["sources"][-1]["name"] = "survey"
    other = ComplaintJourney.model_validate(data)
    begun, over, runs = asyncio.Event(), asyncio.Event(), []

    async def respond(journey: ComplaintJourney) -> None:
        runs.append(journey.name)
        if journey.name == "complaint":
            begun.set()
            await over.wait()
        await bench.responses.put(journey.name)

    async with running(respond=respond, journeys=(till, other)) as bench:
        bench.arrive()
        await begun.wait()
        bench.spool.put([Arrived("webhook:survey", "s1", MONDAY, b'{"rating": 1}')])
        bench.reaction.arrived("webhook:survey")
        assert await bench.responses.get() == "other"
        bench.arrive()
        await bench.until(lambda: bench.taken_in() == 3)
        assert runs == ["complaint", "other"], "one run at a time for one journey"
        over.set()
        assert [await bench.responses.get(), await bench.responses.get()] == ["complaint", "complaint"]


async def test_a_database_that_is_away_at_first_loses_nothing_and_is_told_once(running: Run) -> None:
    back: list[Callable[[], None]] = []
    with structlog.testing.capture_logs() as logs:
        async with running(look_again_s=0.01, before=lambda bench: back.append(take_away(bench))) as bench:
            bench.arrive(3)
            await bench.until(lambda: bench.reaction.health() == {"database": "OperationalError"})
            assert bench.spool.waiting() == 3
            back[0]()
            await bench.responses.get()
            assert bench.taken_in() == 3
            await bench.until(lambda: bench.reaction.health() == {})
    assert [line["what"] for line in logs if line["event"] == "desk.trouble"] == ["database"]


async def test_a_database_that_goes_away_loses_nothing(running: Run) -> None:
    async with running(look_again_s=0.01) as bench:
        bench.arrive()
        await bench.responses.get()
        back = take_away(bench)
        bench.arrive(2)
        await bench.until(lambda: "database" in bench.reaction.health())
        assert bench.spool.waiting() == 2
        back()
        await bench.responses.get()
        assert bench.taken_in() == 3


async def test_a_database_that_our_keys_do_not_open_loses_nothing(running: Run, tmp_path: Path) -> None:
    stranger = Store(f"sqlite:///{tmp_path / 'amends.db'}", Cipher([new_key()]))
    stranger.migrate()
    with structlog.testing.capture_logs() as logs:
        async with running(look_again_s=0.01) as bench:
            bench.arrive(3)
            await bench.until(lambda: bench.reaction.health() == {"keys": "KeyProblem"})
            bench.counts.add(DOOR, "accepted")
            await bench.reaction.flush()
            assert bench.spool.waiting() == 3
    with stranger.read() as tx:
        assert tx.execute(sa.select(feedbacks)).all() == []
    stranger.close()
    assert [line["what"] for line in logs if line["event"] == "desk.trouble"] == ["keys"]


async def test_a_spool_that_fails_for_a_while_does_not_end_the_desk(
    running: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with running(look_again_s=0.01) as bench:
        with monkeypatch.context() as broken:
            broken.setattr(bench.spool, "drop", full)
            broken.setattr(bench.spool, "forget", full)
            bench.arrive()
            await bench.until(lambda: bench.reaction.health() == {"spool": "OperationalError"})
            bench.runtime.clock.advance(FORGET_EVERY + timedelta(minutes=1))
            await bench.reaction.flush()
        await bench.until(lambda: bench.spool.waiting() == 0)
        assert bench.taken_in() == 1, "moved again, and known already"
        await bench.until(lambda: bench.reaction.health() == {})


async def test_counts_are_written_now_and_then(running: Run) -> None:
    async with running(flush_s=0.01) as bench:
        bench.counts.add(DOOR, "forged")
        bench.counts.add(DOOR, "forged")

        def written() -> bool:
            with bench.runtime.store.read() as tx:
                return webhook_events.counts(tx, MONDAY.date()) == {(DOOR, "forged"): 2}

        await bench.until(lambda: sa.inspect(bench.runtime.store.engine).has_table("intake_counts"))
        await bench.until(written)


async def test_counts_that_cannot_be_written_are_put_back(running: Run) -> None:
    async with running() as bench:
        bench.arrive()
        await bench.responses.get()
        back = take_away(bench)
        bench.counts.add(DOOR, "accepted")
        await bench.reaction.flush()
        bench.counts.add(DOOR, "accepted")
        back()
        await bench.reaction.flush()
        await bench.reaction.flush()
        with bench.runtime.store.read() as tx:
            assert webhook_events.counts(tx, MONDAY.date()) == {(DOOR, "accepted"): 2}


async def test_keys_are_forgotten_once_the_vendor_repeats_them_no_longer(
    running: Run, clock: VirtualClock
) -> None:
    async with running() as bench:
        bench.arrive()
        await bench.responses.get()
        bench.number -= 1
        clock.advance(REMEMBER - timedelta(minutes=1))
        await bench.reaction.flush()
        known = Arrived(DOOR, "k1", MONDAY, b"{}")
        assert bench.spool.put([known]) == [False]
        clock.advance(FORGET_EVERY + timedelta(minutes=2))
        await bench.reaction.flush()
        assert bench.spool.put([known]) == [True]
