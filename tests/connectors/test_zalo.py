"""ZNS over the wire: what is sent, the one repeat after -124, and reading ratings and templates."""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from amends.domain.outcome import OutcomeClass
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.ports import RatingAnswer
from connectors.zalo import RATING_PAGE, ZaloZns
from connectors.zalo_answers import TemplateInfo, TemplateParam, as_int
from tests.connectors.rig import (
    NOW,
    PHONE,
    TRACKING_ID,
    Answer,
    Clock,
    Request,
    accepted,
    http,
    message,
    new_tokens,
    vault_with,
    wire_server,
    zalo_settings,
)

STALE = http(200, {"error": -124, "message": "Access token invalid"})


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


def envelope(data: object) -> bytes:
    return http(200, {"error": "0", "message": "Success", "data": data})


async def test_request_is_as_documented() -> None:
    async with (
        wire_server(lambda _: accepted()) as vendor,
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        decomposed = unicodedata.normalize("NFD", "Nguyễn")
        outcome = await zns.send(message(params={"customer_name": decomposed}))
    assert (outcome.provider_id, outcome.code, outcome.cost_vnd) == ("a4d0243feee163bd3af2", "0", 0)
    request = vendor.requests[0]
    assert (request.method, request.path) == ("POST", "/message/template")
    assert request.headers["access_token"] == "access-token-one"
    assert "authorization" not in request.headers
    assert request.json == {
        "phone": PHONE,
        "template_id": "310001",
        "template_data": {"customer_name": "Nguyễn"},
        "tracking_id": TRACKING_ID,
    }


@pytest.mark.parametrize("refusal", [STALE, http(401)])
async def test_refused_token_is_refreshed_once_and_the_send_repeated_once(refusal: Answer) -> None:
    def answer(request: Request) -> Answer:
        if request.path.startswith("/v4/"):
            return new_tokens(2)
        return accepted() if request.headers["access_token"] == "access-2" else refusal

    async with (
        wire_server(answer) as vendor,
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        assert (await zns.send(message())).accepted
        assert (await zns.send(message())).accepted
    paths = [request.path for request in vendor.requests]
    assert paths == ["/message/template", "/v4/oa/access_token", "/message/template", "/message/template"]


async def test_new_token_refused_too_needs_a_human_and_burns_no_more() -> None:
    def answer(request: Request) -> Answer:
        return new_tokens(2) if request.path.startswith("/v4/") else STALE

    async with (
        wire_server(answer) as vendor,
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        outcome = await zns.send(message())
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "-124")
    assert len(vendor.requests) == 3


async def test_missing_template_is_refused_here() -> None:
    async with (
        wire_server(lambda _: accepted()) as vendor,
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        outcome = await zns.send(message(template_id=None))
    assert outcome.cls is OutcomeClass.PAYLOAD_REFUSED
    assert vendor.requests == []


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
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        found = await zns.ratings("320001", NOW, NOW + timedelta(hours=1))
    assert [answer.msg_id for answer in found] == [row["msgId"] for row in rows]
    query = parse_qs(urlsplit(vendor.requests[0].path).query)
    assert query["from_time"] == [str(int(NOW.timestamp() * 1000))]
    assert query["template_id"] == ["320001"]
    assert vendor.requests[0].method == "GET"


async def test_api_that_ignores_the_offset_does_not_loop() -> None:
    rows = [rating_row(number) for number in range(3)]
    async with (
        wire_server(lambda _: envelope(rows)) as vendor,
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        assert len(await zns.ratings("320001", NOW, NOW + timedelta(hours=1))) == 3
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
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        found = await zns.ratings("320001", NOW, NOW + timedelta(hours=1))
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
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        with pytest.raises(VendorUnavailable) as caught:
            await zns.ratings("320001", NOW, NOW)
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.retry_after_s) == (code, wait)


async def test_template_info() -> None:
    data = {
        "templateId": 12345,
        "templateName": "Xin lỗi",
        "status": "DISABLE",
        "templateTag": "CUSTOMER_CARE",
        "listParams": [
            {"name": "order_code", "require": True, "type": "STRING", "maxLength": "30"},
            {"name": "note", "require": "false", "type": "STRING"},
        ],
    }
    async with (
        wire_server(lambda _: envelope(data)) as vendor,
        ZaloZns(zalo_settings(vendor.url), Clock(), vault_with()) as zns,
    ):
        info = await zns.template_info("12345")
    params = (
        TemplateParam("order_code", "STRING", required=True, max_length=30),
        TemplateParam("note", "STRING", required=False, max_length=None),
    )
    assert info == TemplateInfo("12345", "Xin lỗi", "DISABLE", "CUSTOMER_CARE", params)
    assert not info.enabled


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        ("5.0", 5),
        (5.0, 5),
        (" 5 ", 5),
        (True, None),
        (None, None),
        ("x", None),
        ("nan", None),
    ],
)
def test_as_int(value: object, number: int | None) -> None:
    assert as_int(value) == number


def test_as_int_keeps_long_ids_whole() -> None:
    assert as_int("9007199254740993") == 9007199254740993
    assert datetime.fromtimestamp((as_int("1616673095659") or 0) / 1000, UTC).year == 2021
