"""Zalo's webhooks: kept when the signature is right, once each, under the account they are for."""

from datetime import timedelta
from typing import Any

import pytest

from desk.limits import Limits
from tests.conftest import MONDAY
from tests.desk.rig import NOW_MS, Desk, by_zalo, wrote

THREE_HOURS_MS = 3 * 3600 * 1000
FIVE_MINUTES_MS = 5 * 60 * 1000


async def test_a_signed_webhook_is_spooled_as_it_came(desk: Desk) -> None:
    raw, headers = by_zalo(wrote())
    answer = await desk.zalo((raw, headers))
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    (one,) = desk.spooled()
    assert (one.door, one.key, one.body, one.server) == (
        "zalo:default",
        "user_send_text:m1",
        raw,
        "OA OpenAPI",
    )
    assert one.received_at == MONDAY
    assert desk.arrivals == ["zalo:default"]
    assert desk.counted() == {("zalo:default", "accepted"): 1}


@pytest.mark.parametrize("prefix", ["mac=", ""])
@pytest.mark.parametrize("timestamp", [NOW_MS, str(NOW_MS)])
async def test_either_spelling_of_signature_and_timestamp_will_do(
    desk: Desk, prefix: str, timestamp: object
) -> None:
    answer = await desk.zalo(by_zalo(wrote(timestamp=timestamp), prefix=prefix))
    assert answer.status_code == 200


async def test_a_redelivery_is_welcome_and_changes_nothing(desk: Desk) -> None:
    signed = by_zalo(wrote())
    await desk.zalo(signed)
    desk.clock.advance(timedelta(hours=1))
    again = await desk.zalo(signed, num_retry="3")
    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
    desk.spool.drop([one.id for one in desk.spooled()])
    assert (await desk.zalo(signed)).json() == {"status": "duplicate"}
    assert desk.spooled() == []
    assert desk.counted() == {("zalo:default", "accepted"): 1, ("zalo:default", "duplicate"): 2}


@pytest.mark.parametrize(
    "change",
    [
        {"x-zevent-signature": "mac=" + "0" * 64},
        {"x-zevent-signature": "mac=" + "é" * 64},
        {"x-zevent-signature": ""},
        {"x-zevent-signature": "mac="},
    ],
)
async def test_a_wrong_signature_is_refused_and_nothing_is_kept(desk: Desk, change: dict[str, str]) -> None:
    raw, headers = by_zalo(wrote())
    sent = {name.encode(): value.encode() for name, value in {**headers, **change}.items()}
    answer = await desk.http.post("/webhooks/zalo", content=raw, headers=sent)
    assert answer.status_code == 401
    assert desk.spooled() == []
    assert sum(number for (_, outcome), number in desk.counted().items() if outcome == "forged") == 1
    assert desk.arrivals == []


async def test_no_signature_at_all_is_refused_before_the_body_is_read(desk: Desk) -> None:
    head = b"POST /webhooks/zalo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    assert (await desk.say(head)).startswith(b"HTTP/1.1 401 ")


async def test_a_changed_body_is_refused(desk: Desk) -> None:
    raw, headers = by_zalo(wrote())
    answer = await desk.zalo((raw.replace(b"m1", b"m2"), headers))
    assert answer.status_code == 401
    assert desk.counted() == {("zalo:default", "forged"): 1}


async def test_a_stranger_cannot_tell_which_accounts_there_are(desk: Desk) -> None:
    forged = await desk.zalo(by_zalo(wrote(), secret="guess"))
    unknown_app = await desk.zalo(by_zalo(wrote(app_id="app-9"), app_id="app-9"))
    known_path = await desk.zalo(by_zalo(wrote(), secret="guess"), "default")
    unknown_path = await desk.zalo(by_zalo(wrote(), secret="guess"), "nobody")
    answers = {(one.status_code, one.text) for one in (forged, unknown_app, known_path, unknown_path)}
    assert len(answers) == 1
    assert desk.counted()["zalo", "unknown_source"] == 2


async def test_names_of_strangers_do_not_fill_the_memory(desk: Desk) -> None:
    for number in range(20):
        await desk.zalo(by_zalo(wrote(app_id=f"app-{number + 100}")), f"account-{number}")
    assert desk.counted() == {("zalo", "unknown_source"): 20}


async def test_an_account_without_a_secret_takes_nothing(desk: Desk) -> None:
    """Or anybody could sign for it."""
    signed = by_zalo(wrote(app_id="app-4"), app_id="app-4", secret="")
    assert (await desk.zalo(signed)).status_code == 401
    assert (await desk.zalo(signed, "closed")).status_code == 401


@pytest.mark.parametrize(
    ("named", "account"),
    [
        ({"recipient": {"id": "oa-3"}}, "saigon"),
        ({"sender": {"id": "oa-3"}, "recipient": {"id": "84987654321"}}, "saigon"),
        ({"oa_id": "oa-3", "sender": None, "recipient": None}, "saigon"),
        ({"oaId": "oa-3", "app_id": None, "recipient": []}, "saigon"),
        ({"oa_id": "oa-2", "recipient": "text"}, "hanoi"),
        ({"recipient": {"id": "an account we do not know"}}, "hanoi"),
    ],
)
async def test_accounts_of_one_app_are_told_apart_by_the_account_named(
    desk: Desk, named: dict[str, Any], account: str
) -> None:
    body = wrote(**{"app_id": "app-2", **named})
    answer = await desk.zalo(by_zalo(body, app_id="app-2", secret="shared-secret"))
    assert answer.status_code == 200
    assert [one.door for one in desk.spooled()] == [f"zalo:{account}"]


async def test_an_account_can_have_a_url_of_its_own(desk: Desk) -> None:
    signed = by_zalo(wrote(app_id="app-2"), app_id="app-2", secret="shared-secret")
    assert (await desk.zalo(signed, "saigon")).status_code == 200
    assert (await desk.zalo(signed, "default")).status_code == 401
    assert [one.door for one in desk.spooled()] == ["zalo:saigon"]


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (THREE_HOURS_MS, 200),
        (THREE_HOURS_MS + 1, 400),
        (-FIVE_MINUTES_MS, 200),
        (-FIVE_MINUTES_MS - 1, 400),
        (-(10**40), 400),
    ],
)
async def test_old_and_early_webhooks_are_refused_as_stale(desk: Desk, age: int, status: int) -> None:
    answer = await desk.zalo(by_zalo(wrote(timestamp=str(NOW_MS - age))))
    assert answer.status_code == status
    assert len(desk.spooled()) == (1 if status == 200 else 0)
    assert desk.counted() == {("zalo:default", "accepted" if status == 200 else "stale"): 1}


async def test_a_timestamp_that_is_none_is_stale(desk: Desk) -> None:
    assert (await desk.zalo(by_zalo(wrote(timestamp="yesterday")))).status_code == 400
    assert desk.counted() == {("zalo:default", "stale"): 1}


async def test_staleness_is_told_to_none_but_the_signer(desk: Desk) -> None:
    answer = await desk.zalo(by_zalo(wrote(timestamp="1"), secret="guess"))
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_name": None},
        {"event_name": ["user_send_text"]},
        {"event_name": "user_feedback", "message": {"rate": "many"}},
        {"event_name": "user_send_text", "message": 7},
        {"event_name": "news_of_2031", "anything": {"at": ["all"]}},
        {"event_name": "user_send_text", "message": {"msg_id": "m" * 5000}},
        {"event_name": "\ud800"},
        {"event_name": "user_send_text", "message": {"msg_id": "\x00"}},
    ],
)
async def test_what_we_cannot_read_is_kept_all_the_same(desk: Desk, body: dict[str, Any]) -> None:
    signed = by_zalo({"app_id": "app-1", "timestamp": NOW_MS, **body})
    answers = [(await desk.zalo(signed)).json()["status"] for _ in range(2)]
    assert answers == ["accepted", "duplicate"]
    (one,) = desk.spooled()
    assert one.body == signed[0]
    assert 0 < len(one.key) <= 200
    assert one.key.isprintable()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'{"timestamp": 1',
        b"\xff\xfe\xfd",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a": ' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"timestamp": ' + b"9" * 50_000 + b"}",
    ],
    ids=["empty", "text", "list", "null", "half", "bytes", "deep", "deep objects", "150 levels", "long"],
)
async def test_what_is_no_json_object_is_refused(desk: Desk, raw: bytes) -> None:
    answer = await desk.zalo((raw, by_zalo(wrote())[1]))
    assert (answer.status_code, list(answer.json())) == (400, ["problem"])
    assert desk.counted() == {("zalo", "not_json"): 1}
    assert desk.spooled() == []


@pytest.mark.parametrize("path", ["/webhooks/zalo", "/webhooks/zalo/default", "/webhooks/zalo/nobody"])
async def test_the_console_finds_something_at_the_url(desk: Desk, path: str) -> None:
    assert (await desk.http.get(path)).status_code == 200
    assert (await desk.http.head(path)).status_code == 200


def test_the_limits_outlast_zalos_own_retries() -> None:
    retries = timedelta(seconds=30) + timedelta(minutes=5 + 15 + 30 + 60)
    assert Limits().zalo_age > retries
