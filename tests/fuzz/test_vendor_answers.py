"""Whatever a vendor answers: one outcome, of a size that the ledger can keep, and never an exception."""

import json
from datetime import timedelta
from typing import Any

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.http_answers import json_object, retry_after_s
from connectors.ports import Tokens
from connectors.zalo.answers import read_outcome, read_rating_page
from connectors.zalo.codes import Api
from connectors.zalo.oauth import read_token_answer
from connectors.zalo.templates import fitting, read_template
from tests.connectors.rig import NOW
from tests.fuzz.rig import fuzz, json_values, no_hang, numbers, texts

values = st.one_of(json_values, numbers, texts)
envelopes = st.one_of(
    st.none(),
    st.dictionaries(texts, values, max_size=3),
    st.fixed_dictionaries(
        {"error": st.one_of(st.integers(-400, 5), values)},
        optional={
            "message": values,
            "data": st.dictionaries(
                st.sampled_from(["msg_id", "message_id", "data", "total", "quota"]), values
            ),
        },
    ),
)
LATEST = NOW + timedelta(days=400)


@given(body=envelopes, which=st.sampled_from(list(Api)))
@example(body={"error": "9" * 4000}, which=Api.TEMPLATES)
@example(body={"error": 0, "data": {"msg_id": "x" * 5000}}, which=Api.TEMPLATES)
@example(body={"error": 0, "data": {"msg_id": "a\0b"}}, which=Api.TEMPLATES)
@fuzz
def test_zalos_outcomes(body: dict[str, Any] | None, which: Api) -> None:
    with no_hang():
        outcome = read_outcome(body, NOW, which)
    fits_the_ledger(outcome)
    if body is None or "error" not in body:
        assert outcome.cls is OutcomeClass.UNCERTAIN


def fits_the_ledger(outcome: Outcome) -> None:
    assert outcome.provider_id is None or (
        0 < len(outcome.provider_id) <= 100 and outcome.provider_id.isprintable()
    )
    assert outcome.code is None or 0 < len(outcome.code) <= 40
    assert len(outcome.detail) <= 500
    outcome.detail.encode()
    assert outcome.retry_at is None or NOW <= outcome.retry_at <= LATEST
    assert 0 <= outcome.cost_vnd < 2**31


@given(
    body=st.dictionaries(
        st.sampled_from(["access_token", "refresh_token", "expires_in", "error", "x"]), values
    )
)
@example(body={"access_token": "x", "expires_in": 10**20})
@example(body={"access_token": "x", "expires_in": 10**12})
@example(body={"error": "9" * 5000})
@fuzz
def test_token_answers(body: dict[str, Any]) -> None:
    answer = read_token_answer(body, "old-refresh-token", NOW)
    if isinstance(answer, Outcome):
        fits_the_ledger(answer)
        return
    assert isinstance(answer, Tokens)
    assert answer.access_token
    assert answer.refresh_token
    assert NOW < answer.expires_at <= LATEST


rating_rows = st.dictionaries(
    st.sampled_from(["msgId", "rate", "submitDate", "trackingId", "option", "note", "feedbacks"]), values
)


@given(
    data=st.one_of(
        values, st.lists(rating_rows), st.fixed_dictionaries({"data": st.lists(rating_rows), "total": values})
    )
)
@fuzz
def test_rating_pages(data: Any) -> None:
    page = read_rating_page({"error": 0, "data": data})
    for answer in page.answers:
        assert 0 < len(answer.msg_id) <= 200
        assert len(answer.tracking_id) <= 100
        assert answer.submitted_at.tzinfo is not None


TEMPLATE = [
    "templateId",
    "templateName",
    "status",
    "templateTag",
    "listParams",
    "price",
    "price_sdt",
    "templateQuality",
]
param = st.dictionaries(
    st.sampled_from(["name", "require", "type", "maxLength", "minLength", "acceptNull"]), values
)


@given(data=st.dictionaries(st.sampled_from(TEMPLATE), st.one_of(values, st.lists(param))), value=texts)
@fuzz
def test_templates(data: dict[str, Any], value: str) -> None:
    info = read_template({"error": 0, "data": data})
    if info is not None:
        assert info.price_phone_vnd is None or 0 <= info.price_phone_vnd < 2**31
        fitting(info, {one.name: value for one in info.params})


@given(
    value=st.one_of(
        texts, st.from_regex(r"[A-Z][a-z]{2}, \d{1,20} [A-Z][a-z]{2} \d{1,20} \d{1,9}:\d\d:\d\d [+-]?\w{1,9}")
    )
)
@example(value="Wed, 21 Oct 99999999999 07:28:00 GMT")
@example(value="1 Jan 99999999999999999999 0:0:0 +0000")
@example(value="9" * 5000)
@fuzz
def test_retry_after(value: str) -> None:
    with no_hang():
        seconds = retry_after_s({"retry-after": value}, NOW)
    assert seconds is None or 0 <= seconds <= 86_400


@given(raw=st.one_of(st.binary(max_size=200), json_values.map(lambda value: json.dumps(value).encode())))
@example(raw=b"[" * 50_000)
@example(raw=b'{"a":' * 50_000)
@example(raw=b'{"a":"\\ud800\\u0000"}')
@fuzz
def test_bodies(raw: bytes) -> None:
    with no_hang():
        body = json_object(httpx.Response(200, content=raw))
    if body is not None:
        told = json.dumps(body, ensure_ascii=False)
        told.encode()
        assert "\\u0000" not in told
