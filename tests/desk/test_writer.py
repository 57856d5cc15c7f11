"""Group commit: one answer for each webhook, 200 only after the commit, 503 in time when there is none."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from amends.store.spool import Arrived, Spool, SpoolFull
from desk.writer import SpoolWriter, Unavailable
from tests.conftest import CIPHER, MONDAY
from tests.desk.rig import Desk, by_standard, by_zalo, desk_settings, running_desk, wrote


class GatedSpool(Spool):
    """A spool whose commits wait at a gate, and that keeps count of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, CIPHER)
        self.gate, self.reached = threading.Event(), threading.Event()
        self.gate.set()
        self.sizes: list[int] = []
        self.failures: list[Exception] = []

    def put(self, batch: Sequence[Arrived]) -> list[bool]:
        self.reached.set()
        assert self.gate.wait(20)
        self.sizes.append(len(batch))
        if self.failures:
            raise self.failures.pop()
        return super().put(batch)

    def shut(self) -> None:
        self.gate.clear()
        self.reached.clear()

    async def until_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, 10)


@pytest.fixture
def spool(tmp_path: Path) -> GatedSpool:
    return GatedSpool(desk_settings(tmp_path).spool_file())


def arrived(key: str) -> Arrived:
    return Arrived("zalo:default", key, MONDAY, b"{}")


async def test_parallel_posts_are_all_accepted_and_spooled_once(tmp_path: Path, spool: GatedSpool) -> None:
    async with running_desk(tmp_path, spool=spool, deadline_seconds=20) as desk:
        spool.shut()
        posts = [asyncio.create_task(desk.zalo(by_zalo(wrote(f"m{number}")))) for number in range(200)]
        await spool.until_reached()
        spool.gate.set()
        assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
        assert sorted(one.key for one in desk.spooled()) == sorted(
            f"user_send_text:m{number}" for number in range(200)
        )
        assert sum(spool.sizes) == 200
        assert len(spool.sizes) < 200, "they shared commits"


async def test_parallel_copies_of_one_webhook_are_one(desk: Desk) -> None:
    signed = by_zalo(wrote())
    answers = await asyncio.gather(*(desk.zalo(signed) for _ in range(50)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 49
    assert len(desk.spooled()) == 1


async def test_a_slow_spool_is_answered_503_and_a_late_commit_does_no_harm(
    tmp_path: Path, spool: GatedSpool
) -> None:
    async with running_desk(tmp_path, spool=spool, deadline_seconds=0.2) as desk:
        spool.shut()
        first = asyncio.create_task(desk.zalo(by_zalo(wrote("m1"))))
        await spool.until_reached()
        second = asyncio.create_task(desk.zalo(by_zalo(wrote("m2"))))
        for answer in (await first, await second):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert desk.spooled() == []
        assert desk.arrivals == []
        spool.gate.set()
        # Its turn comes after the late commit, so both are behind us when this is answered.
        assert (await desk.zalo(by_zalo(wrote("m3")))).json() == {"status": "accepted"}
        assert [one.key for one in desk.spooled()] == ["user_send_text:m1", "user_send_text:m3"]
        # Zalo sends both again: the late one is known, the one that never reached the disk is not.
        again = [(await desk.zalo(by_zalo(wrote(key)))).json()["status"] for key in ("m1", "m2")]
        assert again == ["duplicate", "accepted"]
        assert sorted(one.key[-2:] for one in desk.spooled()) == ["m1", "m2", "m3"]
        assert desk.counted() == {
            ("zalo:default", "unavailable"): 2,
            ("zalo:default", "accepted"): 2,
            ("zalo:default", "duplicate"): 1,
        }
        assert desk.arrivals == ["zalo:default"] * 3, "the late one is called out when it comes again"


async def test_the_same_bytes_after_a_503_are_no_replay(tmp_path: Path, spool: GatedSpool) -> None:
    async with running_desk(tmp_path, spool=spool) as desk:
        spool.failures.append(sqlite3.OperationalError("disk I/O error"))
        signed = by_standard({"rating": 1})
        assert (await desk.standard(signed)).status_code == 503
        assert (await desk.standard(signed)).json() == {"status": "accepted"}
        assert (await desk.standard(signed)).status_code == 409


async def test_a_full_spool_is_answered_503_until_there_is_room(tmp_path: Path) -> None:
    spool = Spool(desk_settings(tmp_path).spool_file(), CIPHER, limit_rows=1)
    async with running_desk(tmp_path, spool=spool) as desk:
        assert (await desk.zalo(by_zalo(wrote("m1")))).status_code == 200
        full = await desk.zalo(by_zalo(wrote("m2")))
        assert (full.status_code, full.headers["retry-after"]) == (503, "30")
        assert (await desk.zalo(by_zalo(wrote("m1")))).json() == {"status": "duplicate"}
        spool.drop([one.id for one in desk.spooled()])
        assert (await desk.zalo(by_zalo(wrote("m2")))).json() == {"status": "accepted"}


async def test_any_failure_of_a_commit_leaves_the_next_one_alone(spool: GatedSpool) -> None:
    with SpoolWriter(spool) as writer:
        for failure in (SpoolFull("full"), sqlite3.DatabaseError("malformed"), MemoryError()):
            spool.failures.append(failure)
            with pytest.raises(Unavailable):
                await writer.store(arrived("a"))
        assert await writer.store(arrived("a"))


async def test_a_full_queue_is_refused_at_once(spool: GatedSpool) -> None:
    with SpoolWriter(spool, queue_limit=2, deadline_seconds=20) as writer:
        spool.shut()
        first = asyncio.create_task(writer.store(arrived("first")))
        await spool.until_reached()
        queued = [asyncio.create_task(writer.store(arrived(key))) for key in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await writer.store(arrived("c"))
        spool.gate.set()
        assert await asyncio.gather(first, *queued) == [True, True, True]
        assert spool.sizes == [1, 2]


async def test_closing_commits_what_is_queued_and_takes_no_more(spool: GatedSpool) -> None:
    writer = SpoolWriter(spool, deadline_seconds=20)
    spool.shut()
    first = asyncio.create_task(writer.store(arrived("a")))
    await spool.until_reached()
    second = asyncio.create_task(writer.store(arrived("b")))
    await asyncio.sleep(0)
    spool.gate.set()
    writer.close()
    assert [await first, await second] == [True, True]
    with pytest.raises(Unavailable):
        await writer.store(arrived("c"))


async def test_closing_does_not_wait_for_a_disk_that_hangs(spool: GatedSpool) -> None:
    writer = SpoolWriter(spool, deadline_seconds=0.1)
    spool.shut()
    with pytest.raises(Unavailable):
        await writer.store(arrived("a"))
    writer.close(timeout_seconds=0.05)
    spool.gate.set()


def test_answers_for_a_loop_that_is_gone_are_dropped(spool: GatedSpool) -> None:
    writer = SpoolWriter(spool)
    spool.shut()

    async def ask() -> None:
        asking = asyncio.create_task(writer.store(arrived("a")))
        await spool.until_reached()
        asking.cancel()

    asyncio.run(ask())
    spool.gate.set()
    writer.close()
    assert [one.key for one in spool.peek(9)] == ["a"]
