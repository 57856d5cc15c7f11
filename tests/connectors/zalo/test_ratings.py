"""Reading ratings over the wire: every page, odd rows, trouble, and the two HTTP methods."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.ports import RatingAnswer
from connectors.zalo.account import ZaloAccount
from connectors.zalo.memory import TemplateMemory
from connectors.zalo.ratings import RATING_PAGE
from tests.connectors.rig import (
    NOW,
    Answer,
    Clock,
    Request,
    envelope,
    http,
    refusal,
    vault_with,
    wire_server,
    zalo_settings,
)


def rating_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "rate": 1,
        "submitDate": str(int(NOW.timestamp() * 1000) + number),
        "msgId": f"m{number}",
        "trackingId": f"t{number}",
        "note": "Giao chậm",
        "feedbacks": ["Nhân viên vui vẻ"],
        "option": "five_emotions",
    } | changes


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("told", [True, False])
async def test_ratings_reads_every_page(nested: bool, told: bool) -> None:
    rows = [rating_row(number) for number in range(2 * RATING_PAGE + 30)]

    def answer(request: Request) -> Answer:
        query = parse_qs(urlsplit(request.path).query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        page = rows[offset : offset + limit]
        total = {"total": str(len(rows))} if told else {}
        return envelope({**total, "data": page} if nested else page)

    async with (
        wire_server(answer) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        found = await account.ratings("320001", NOW, NOW + timedelta(hours=1))
    assert [answer.msg_id for answer in found] == [row["msgId"] for row in rows]
    query = parse_qs(urlsplit(vendor.requests[0].path).query)
    assert query["from_time"] == [str(int(NOW.timestamp() * 1000))]
    assert query["template_id"] == ["320001"]
    assert vendor.requests[0].method == "GET"


async def test_api_that_ignores_the_offset_does_not_loop() -> None:
    rows = [rating_row(number) for number in range(3)]
    async with (
        wire_server(lambda _: envelope(rows)) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        assert len(await account.ratings("320001", NOW, NOW + timedelta(hours=1))) == 3
    assert len(vendor.requests) == 2


async def test_rating_rows_as_they_come() -> None:
    at_ms = int(NOW.timestamp() * 1000)
    rows = [
        rating_row(1, rate="3", option="three_emotions"),
        {"rate": 5, "submitDate": at_ms, "msgId": "old", "note": None, "trackingId": None},
        rating_row(3, rate="many"),
        rating_row(4, msgId=""),
        rating_row(5, submitDate="1" * 30),
        "nonsense",
        rating_row(6, submitDate=at_ms - 1),
    ]
    async with (
        wire_server(lambda _: envelope({"total": 7, "data": rows})) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        found = await account.ratings("320001", NOW, NOW + timedelta(hours=1))
    assert found == [
        RatingAnswer(
            "m1",
            "t1",
            3,
            "three_emotions",
            NOW + timedelta(milliseconds=1),
            "Giao chậm",
            ("Nhân viên vui vẻ",),
        ),
        RatingAnswer("old", "", 5, "five_stars", NOW),
    ]


@pytest.mark.parametrize(
    ("answer", "error", "code", "wait"),
    [
        (http(200, {"error": -100, "message": "Unknown"}), VendorUnavailable, "-100", None),
        (http(200, {"error": -144, "message": "quota"}), VendorUnavailable, "-144", 14 * 3600),
        (http(503, Retry_After="60"), VendorUnavailable, "http_503", 60),
        (http(200, ["odd"]), VendorUnavailable, "no_envelope", None),
        (http(200, {"error": -117, "message": "no right"}), NeedsHuman, "-117", None),
        (http(200, {"error": -109, "message": "template"}), NeedsHuman, "-109", None),
    ],
)
async def test_reading_trouble(
    answer: Answer, error: type[VendorUnavailable], code: str, wait: float | None
) -> None:
    async with (
        wire_server(lambda _: answer) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        with pytest.raises(VendorUnavailable) as caught:
            await account.ratings("320001", NOW, NOW)
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.retry_after_s) == (code, wait)


@pytest.mark.parametrize("no", [http(405), http(404), refusal("-106")])
@pytest.mark.parametrize("works", ["GET", "POST"])
async def test_the_other_method_is_tried_and_remembered(no: Answer, works: str) -> None:
    def answer(request: Request) -> Answer:
        return envelope({"total": 1, "data": [rating_row(1)]}) if request.method == works else no

    memory, other = TemplateMemory(), "POST" if works == "GET" else "GET"
    memory.keep_rating_verb("zalo:app", "POST" if works == "GET" else "GET")
    async with wire_server(answer) as vendor:
        for _ in range(2):
            async with ZaloAccount(
                "default", zalo_settings(vendor.url), Clock(), vault_with(), memory=memory
            ) as account:
                assert len(await account.ratings("320001", NOW, NOW + timedelta(hours=1))) == 1
    assert [request.method for request in vendor.requests] == [other, works, works]
    paths = {request.path for request in vendor.requests}
    assert len(paths) == 1, "the same query, whatever the method"
    assert all(request.body == b"" for request in vendor.requests)


async def test_address_that_knows_neither_method_needs_a_human() -> None:
    async with (
        wire_server(lambda _: http(404)) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        with pytest.raises(NeedsHuman, match="http_404"):
            await account.ratings("320001", NOW, NOW)
    assert [request.method for request in vendor.requests] == ["GET", "POST"]


async def test_trouble_with_the_other_method_is_not_taken_for_a_no() -> None:
    async with (
        wire_server(lambda request: http(405) if request.method == "GET" else http(500)) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        with pytest.raises(VendorUnavailable) as caught:
            await account.ratings("320001", NOW, NOW)
    assert type(caught.value) is VendorUnavailable
