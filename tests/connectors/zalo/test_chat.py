"""Consultation messages over the wire."""

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from amends.domain.outcome import OutcomeClass
from connectors.ports import Recipient
from connectors.zalo.account import ZaloAccount
from tests.connectors.rig import (
    PHONE,
    Answer,
    Clock,
    Request,
    WireServer,
    ZaloHost,
    envelope,
    message,
    refusal,
    vault_with,
    wire_server,
    zalo_settings,
)

SEND = "/v3.0/oa/message/cs"
TO = message(recipient=Recipient(zalo_uid="2512523625412515"), body="Chào bạn", template_id=None)


@asynccontextmanager
async def opened(answer: Any = None) -> AsyncIterator[tuple[ZaloAccount, WireServer]]:
    host = ZaloHost({} if answer is None else {SEND: answer})
    async with (
        wire_server(host) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url), Clock(), vault_with()) as account,
    ):
        yield account, vendor


async def test_request_is_as_documented() -> None:
    async with opened() as (account, vendor):
        outcome = await account.chat.send(TO)
    assert (outcome.accepted, outcome.provider_id, outcome.detail) == (True, "chat-message", "")
    (request,) = vendor.requests
    assert (request.method, request.path) == ("POST", SEND)
    assert request.headers["access_token"] == "access-token-one"
    assert request.json == {"recipient": {"user_id": "2512523625412515"}, "message": {"text": "Chào bạn"}}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x" * 2000, None),
        ("x" * 2001, "too_long"),
        # 2,000 characters composed, 4,000 decomposed.
        (unicodedata.normalize("NFD", "ễ" * 2000), None),
        ("", "no_text"),
        (" \n ", "no_text"),
    ],
)
async def test_length_counts_composed_characters(text: str, code: str | None) -> None:
    async with opened() as (account, vendor):
        outcome = await account.chat.send(message(recipient=TO.recipient, body=text))
    if code is None:
        assert outcome.accepted
        assert vendor.requests[0].json["message"]["text"] == unicodedata.normalize("NFC", text)
    else:
        assert (outcome.cls, outcome.code) == (OutcomeClass.PAYLOAD_REFUSED, code)
        assert vendor.requests == []


async def test_only_user_ids_are_reached() -> None:
    async with opened() as (account, vendor):
        assert not account.chat.reaches(Recipient(phone=PHONE))
        outcome = await account.chat.send(message(recipient=Recipient(phone=PHONE)))
    assert outcome.cls is OutcomeClass.UNREACHABLE
    assert vendor.requests == []


@pytest.mark.parametrize(
    ("quota", "told"),
    [
        ({"quota_type": "reply", "remain": "8"}, ""),
        (
            {"quota_type": "purchase_quota", "remain": "3"},
            "not a free reply: taken from purchase_quota, 3 left",
        ),
        ({"quota_type": "sub_quota", "remain": 0}, "not a free reply: taken from sub_quota, 0 left"),
        ({"quota_type": "reward_quota"}, "not a free reply: taken from reward_quota"),
        ({}, ""),
        (None, ""),
    ],
)
async def test_message_that_costs_says_so(quota: object, told: str) -> None:
    async with opened(envelope({"message_id": "c1", "quota": quota})) as (account, _):
        outcome = await account.chat.send(TO)
    assert (outcome.accepted, outcome.detail) == (True, told)


@pytest.mark.parametrize("answer", [refusal(-216), refusal("-220"), refusal(401)])
async def test_refused_token_is_refreshed_once(answer: Answer) -> None:
    def send(request: Request) -> Answer:
        fresh = request.headers["access_token"] == "access-2"
        return envelope({"message_id": "c1"}) if fresh else answer

    async with opened(send) as (account, vendor):
        assert (await account.chat.send(TO)).accepted
    assert [request.path for request in vendor.requests] == [SEND, "/v4/oa/access_token", SEND]


async def test_reset_connection_is_uncertain_and_sent_once() -> None:
    async with opened(lambda _: None) as (account, vendor):
        outcome = await account.chat.send(TO)
    assert (outcome.cls, outcome.provider_id) == (OutcomeClass.UNCERTAIN, None)
    assert len(vendor.requests) == 1
