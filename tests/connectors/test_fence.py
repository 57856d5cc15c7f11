"""The fence on the wire: a call that is too late does not leave, and one that has left is not called back."""

from datetime import datetime, timedelta

import pytest

from amends.domain.outcome import Outcome
from connectors.base import HttpApi, Limits
from connectors.fence import TOO_LATE, fence, leaving_before
from tests.connectors.rig import NOW, Answer, Request, http, wire_server

LIMITS = Limits(timeout_s=0.3, budget_s=3, attempts=3, per_second=1000)
LATER = NOW + timedelta(seconds=30)


async def write(url: str, now: list[datetime]) -> object:
    async with HttpApi("acme", lambda: now[0], LIMITS) as api:
        return await api.write("send", url, headers={}, json={"a": 1})


@pytest.mark.parametrize(("now", "leaves"), [(LATER - timedelta(seconds=1), True), (LATER, False)])
async def test_a_write_leaves_before_the_fence_and_not_at_it(now: datetime, leaves: bool) -> None:
    async with wire_server(lambda _: http(200, {})) as vendor:
        with leaving_before(LATER):
            answer = await write(vendor.url, [now])
    assert (answer == TOO_LATE) is not leaves
    assert len(vendor.requests) == leaves


async def test_a_write_that_was_not_taken_is_not_repeated_behind_the_fence() -> None:
    now = [NOW]

    def busy(_: Request) -> Answer:
        now[0] = LATER  # the process sleeps here
        return http(503, Retry_After="0")

    async with wire_server(busy) as vendor:
        with leaving_before(LATER):
            answer = await write(vendor.url, now)
    assert answer == TOO_LATE
    assert len(vendor.requests) == 1


async def test_an_answer_that_comes_behind_the_fence_counts() -> None:
    now = [NOW]

    def slow(_: Request) -> Answer:
        now[0] = LATER
        return http(200, {"ok": True})

    async with wire_server(slow) as vendor:
        with leaving_before(LATER):
            answer = await write(vendor.url, now)
    assert not isinstance(answer, Outcome)
    assert len(vendor.requests) == 1


async def test_reading_is_never_too_late() -> None:
    async with wire_server(lambda _: http(200, {})) as vendor, HttpApi("acme", lambda: LATER, LIMITS) as api:
        with leaving_before(NOW):
            await api.read("list", vendor.url, headers={}, params={})
    assert len(vendor.requests) == 1


def test_a_fence_stands_only_inside_its_block() -> None:
    with leaving_before(NOW):
        assert fence().closed(NOW)
    assert not fence().closed(LATER)
