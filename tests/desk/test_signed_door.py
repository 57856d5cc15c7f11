"""Signed webhooks of other systems: once each by their id, and no recording of one is taken for another."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.store.spool import Spool
from desk.app import create_app
from desk.counts import Counts
from desk.limits import Limits
from desk.writer import SpoolWriter
from tests.conftest import CIPHER, MONDAY
from tests.desk.rig import (
    NOW_S,
    OLD_SECRET,
    SECRET,
    Desk,
    by_standard,
    desk_settings,
    running_desk,
)

RATING = {"rating": 2, "text": "trà nguội"}


async def test_a_signed_webhook_is_spooled_as_it_came(desk: Desk) -> None:
    raw, headers = by_standard(RATING)
    answer = await desk.standard((raw, headers))
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    (one,) = desk.spooled()
    assert (one.door, one.key, one.received_at, one.body, one.server) == (
        "webhook:till",
        "msg_1",
        MONDAY,
        raw,
        "",
    )
    assert desk.arrivals == ["webhook:till"]


async def test_a_list_is_as_good_as_an_object(desk: Desk) -> None:
    assert (await desk.standard(by_standard([RATING, RATING]))).status_code == 200


async def test_a_redelivery_has_a_new_timestamp(desk: Desk) -> None:
    await desk.standard(by_standard(RATING))
    desk.clock.advance(timedelta(minutes=30))
    again = await desk.standard(by_standard(RATING, timestamp=NOW_S + 1800))
    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
    assert len(desk.spooled()) == 1


async def test_an_exact_repetition_is_a_replay(desk: Desk) -> None:
    signed = by_standard(RATING)
    await desk.standard(signed)
    replay = await desk.standard(signed)
    assert (replay.status_code, list(replay.json())) == (409, ["problem"])
    assert desk.counted() == {("webhook:till", "accepted"): 1, ("webhook:till", "replayed"): 1}


async def test_a_replay_with_its_header_dressed_up_is_a_replay(desk: Desk) -> None:
    raw, headers = by_standard(RATING)
    await desk.standard((raw, headers))
    dressed = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']} v1a,x"}
    assert (await desk.standard((raw, dressed))).status_code == 409


async def test_a_replay_is_caught_for_as_long_as_its_timestamp_is_good(desk: Desk) -> None:
    signed = by_standard(RATING, timestamp=NOW_S + 300)
    await desk.standard(signed)
    desk.clock.advance(timedelta(seconds=600))
    assert (await desk.standard(signed)).status_code == 409
    desk.clock.advance(timedelta(seconds=1))
    assert (await desk.standard(signed)).status_code == 400


async def test_one_source_replays_nothing_of_another(desk: Desk) -> None:
    signed = by_standard(RATING, secret=OLD_SECRET)
    assert (await desk.standard(signed)).status_code == 200
    assert (await desk.standard(signed, "survey")).status_code == 200


async def test_the_memory_for_replays_is_bounded(tmp_path: Path) -> None:
    """One that fell out of it is a redelivery: the spool still knows its id."""
    async with running_desk(tmp_path, limits=replace(Limits(), replays=2)) as desk:
        first = by_standard(RATING, key="msg_0")
        await desk.standard(first)
        for number in range(1, 4):
            await desk.standard(by_standard(RATING, key=f"msg_{number}"))
        again = await desk.standard(first)
        assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
        assert len(desk.spooled()) == 4


@pytest.mark.parametrize("secret", [OLD_SECRET, SECRET])
async def test_the_old_secret_is_good_while_it_is_being_replaced(desk: Desk, secret: str) -> None:
    assert (await desk.standard(by_standard(RATING, secret=secret))).status_code == 200


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_a_missing_header_is_a_forgery(desk: Desk, missing: str) -> None:
    raw, headers = by_standard(RATING)
    del headers[missing]
    assert (await desk.standard((raw, headers))).status_code == 401
    assert desk.counted() == {("webhook:till", "forged"): 1}


async def test_a_wrong_signature_is_refused_and_nothing_is_kept(desk: Desk) -> None:
    answer = await desk.standard(by_standard(RATING, secret="whsec_" + "A" * 32))
    assert (answer.status_code, list(answer.json())) == (401, ["problem"])
    assert desk.spooled() == []
    assert desk.counted() == {("webhook:till", "forged"): 1}


@pytest.mark.parametrize(("offset", "status"), [(-300, 200), (-301, 400), (300, 200), (301, 400)])
async def test_timestamps_may_be_five_minutes_off(desk: Desk, offset: int, status: int) -> None:
    answer = await desk.standard(by_standard(RATING, timestamp=NOW_S + offset))
    assert answer.status_code == status
    assert desk.counted() == {("webhook:till", "accepted" if status == 200 else "stale"): 1}


@pytest.mark.parametrize("body", [b"", b"{", b"7", b'"text"', b"null", b"[" * 5000, b"\xff"])
async def test_what_is_neither_object_nor_list_is_refused(desk: Desk, body: bytes) -> None:
    answer = await desk.standard(by_standard(body))
    assert (answer.status_code, list(answer.json())) == (400, ["problem"])
    assert desk.counted() == {("webhook:till", "not_json"): 1}
    assert desk.spooled() == []


async def test_the_signature_comes_before_the_json(desk: Desk) -> None:
    assert (await desk.standard(by_standard(b"{", secret="whsec_" + "A" * 32))).status_code == 401


async def test_unknown_sources_are_counted_under_one_name(desk: Desk) -> None:
    for number in range(20):
        answer = await desk.standard(by_standard(RATING), f"source-{number}")
        assert (answer.status_code, list(answer.json())) == (404, ["problem"])
    assert desk.counted() == {("webhook", "unknown_source"): 20}


async def test_a_source_without_a_usable_secret_keeps_the_desk_from_starting(tmp_path: Path) -> None:
    settings = desk_settings(tmp_path)
    broken: dict[str, Any] = {"webhook_secrets": {"till": SecretStr("whsec_hunter2!")}}
    with (
        SpoolWriter(Spool(tmp_path / "s", CIPHER)) as writer,
        pytest.raises(ValueError, match="till") as caught,
    ):
        create_app(
            settings.model_copy(update=broken),
            VirtualClock(MONDAY),
            writer,
            Counts(),
            lambda _: None,
            dict,
        )
    assert "hunter2" not in str(caught.value)
