"""Every documented code, written out a second time by class letter, through the reading of a real HTTP answer.

Letters: R retry later, A refresh the token, Q quota window, N 06:00, M first of the month, H a person, T a person
for this template only, P this payload never, U this recipient not by this channel. Source: the error tables of
developers.zalo.me as written down in our reference notes of 2026-11-23.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.ports import Recipient
from connectors.zalo.account import ZaloAccount
from connectors.zalo.answers import read_outcome
from connectors.zalo.codes import OA_CODES, OAUTH_CODES, ZNS_CODES, Api, classify
from connectors.zalo.memory import TemplateMemory
from tests.connectors.rig import Clock, MemoryVault, message, vault_with, zalo_settings

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)  # 16:30 in Viet Nam
MIDNIGHT = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
SIX = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
DECEMBER = datetime(2026, 11, 30, 17, 0, tzinfo=UTC)

CLASSES = {
    "R": OutcomeClass.RETRY_LATER,
    "Q": OutcomeClass.WAIT_FOR_WINDOW,
    "N": OutcomeClass.WAIT_FOR_WINDOW,
    "M": OutcomeClass.WAIT_FOR_WINDOW,
    "H": OutcomeClass.NEEDS_HUMAN,
    "T": OutcomeClass.NEEDS_HUMAN,
    "P": OutcomeClass.PAYLOAD_REFUSED,
    "U": OutcomeClass.UNREACHABLE,
    # One refresh and one repeat later, a token that is refused still needs a person.
    "A": OutcomeClass.NEEDS_HUMAN,
}
WINDOWS = {"Q": MIDNIGHT, "N": SIX, "M": DECEMBER}

ZNS = """
-100 R  -101 H  -102 H  -103 H  -104 H  -105 H  -106 P  -107 P  -108 P  -109 P  -1091 P  -110 U  -111 P  -112 P
-1121 P  -1122 P  -1123 R  -1124 P  -113 P  -1131 P  -114 U  -115 H  -116 P  -117 T  -118 U  -119 U  -120 H
-1201 T  -1202 T  -121 P  -122 P  -123 P  -124 A  -1241 H  -125 H  -126 H  -127 P  -128 H
-129 R  -130 P  -131 T  -132 P  -133 N  -134 U  -135 H  -1351 H  -136 H  -137 H  -138 H  -1381 H  -139 U  -140 U
-141 U  -142 P  -143 P  -144 Q  -1441 M  -145 T  -146 T  -147 Q  -1471 M  -1472 Q  -148 P  -149 P  -1491 P  -150 P
-151 P  -152 R  -153 P  -158 P  -159 P  -160 Q  -161 P  -162 P
"""
OA = """
-32 R  -100 P  -200 R  -201 P  -204 H  -205 H  -209 H  -212 H  -210 P  -211 Q  -218 Q  -213 U  -216 A  -220 A
-217 U  -219 H  -221 H  -224 H  -223 H  -227 U  -230 U  -232 U  -233 P  -234 N  -240 P  -242 H  -244 U
-248 P  -249 P  -320 H  -321 H  -403 P  216 A  401 A  -401 A
"""
OAUTH = "-14002 -14003 -14004 -14005 -14014 -14018 -118"


def letters(table: str) -> dict[int, str]:
    words = table.split()
    return {int(code): letter for code, letter in zip(words[::2], words[1::2], strict=True)}


CASES = [
    (api, code, letter)
    for api, table in (("zns", ZNS), ("chat", OA))
    for code, letter in letters(table).items()
]


async def answer_of(api: str, error: object) -> tuple[Outcome, int]:
    """The outcome of a send on one of the APIs that is answered with `error`, and how often it was sent."""
    sends = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/v4/"):
            return httpx.Response(
                200, json={"access_token": "a2", "refresh_token": "r2", "expires_in": "90000"}
            )
        sends.append(request)
        return httpx.Response(200, json={"error": error, "message": "Some words"})

    memory, vault = TemplateMemory(), vault_with(left=timedelta(days=1))
    memory.keep_template("zalo:app", "310001", None, NOW)
    memory.meter("zalo:app").read(None, None, NOW + timedelta(minutes=5))
    transport = httpx.MockTransport(answer)
    account = ZaloAccount(
        "default", zalo_settings("http://zalo"), Clock(NOW), vault, memory=memory, transport=transport
    )
    async with account:
        if api == "chat":
            outcome = await account.chat.send(message(recipient=Recipient(zalo_uid="u1")))
        elif api == "uid":
            outcome = await account.zns.send(message(recipient=Recipient(zalo_uid="u1")))
        else:
            outcome = await account.zns.send(message())
    return outcome, len(sends)


@pytest.mark.parametrize("wire_type", [int, str])
@pytest.mark.parametrize(("api", "code", "letter"), CASES)
async def test_every_code_on_its_own_host(api: str, code: int, letter: str, wire_type: type) -> None:
    outcome, sends = await answer_of(api, wire_type(code))
    assert (outcome.cls, outcome.code) == (CLASSES[letter], str(code))
    assert outcome.retry_at == WINDOWS.get(letter)
    assert outcome.stops == ("target" if letter == "T" else "channel")
    assert sends == (2 if letter == "A" else 1)
    if letter != "A":
        assert "(Zalo: Some words)" in outcome.detail
        assert len(outcome.detail) > len(" (Zalo: Some words)"), "the table says what it means"


def test_tables_hold_these_codes_and_no_others() -> None:
    assert set(ZNS_CODES) == {0, *letters(ZNS)}
    assert set(OA_CODES) == {0, *letters(OA)}
    assert set(OAUTH_CODES) == {int(code) for code in OAUTH.split()}


@pytest.mark.parametrize(
    ("api", "code", "cls"),
    [
        ("zns", -32, OutcomeClass.RETRY_LATER),
        ("zns", -230, OutcomeClass.UNREACHABLE),
        ("chat", -1121, OutcomeClass.PAYLOAD_REFUSED),
        ("chat", -137, OutcomeClass.NEEDS_HUMAN),
        # A template by user id is answered by the account's host, but has no attachment that could expire.
        ("uid", -100, OutcomeClass.RETRY_LATER),
        ("uid", -249, OutcomeClass.PAYLOAD_REFUSED),
        ("uid", -230, OutcomeClass.UNREACHABLE),
        ("uid", -144, OutcomeClass.WAIT_FOR_WINDOW),
        ("uid", -146, OutcomeClass.NEEDS_HUMAN),
    ],
)
async def test_code_of_the_other_table_is_understood_too(api: str, code: int, cls: OutcomeClass) -> None:
    assert (await answer_of(api, code))[0].cls is cls


@pytest.mark.parametrize("api", list(Api))
def test_unknown_code_stops_the_channel(api: Api) -> None:
    assert classify(-9999, api)[0] is OutcomeClass.NEEDS_HUMAN


@pytest.mark.parametrize("code", [int(code) for code in OAUTH.split()])
@pytest.mark.parametrize("wire_type", [int, str])
async def test_every_oauth_code_needs_a_human_and_keeps_what_is_stored(code: int, wire_type: type) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        # As Zalo does it: HTTP 200, and no `message`.
        body: dict[str, Any] = {"error": wire_type(code), "error_name": "Invalid.", "error_reason": ""}
        return httpx.Response(200, json=body)

    vault = MemoryVault()
    transport = httpx.MockTransport(answer)
    async with ZaloAccount(
        "default", zalo_settings("http://zalo"), Clock(), vault, transport=transport
    ) as account:
        outcome = await account.keep_alive()
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, str(code))
    assert outcome.detail == OAUTH_CODES[code]
    assert vault.saved == []


def test_dead_refresh_token_names_both_ways_out() -> None:
    assert "amends zalo login" in OAUTH_CODES[-14014]
    assert "AMENDS_ZALO__REFRESH_TOKEN" in OAUTH_CODES[-14014]


@pytest.mark.parametrize("body", [None, {}, {"error": None}, {"error": "soon"}, {"data": {"msg_id": "x"}}])
def test_answer_without_an_envelope_is_uncertain(body: dict[str, object] | None) -> None:
    assert read_outcome(body, NOW).cls is OutcomeClass.UNCERTAIN


@pytest.mark.parametrize(
    ("code", "now", "opens"),
    [
        (-133, "2026-11-23T16:30+00:00", "2026-11-23T23:00+00:00"),  # 23:30 -> 06:00 tomorrow
        (-133, "2026-11-22T22:59+00:00", "2026-11-22T23:00+00:00"),  # 05:59 -> 06:00 today
        (-133, "2026-11-22T23:00+00:00", "2026-11-23T23:00+00:00"),  # 06:00 -> not again at once
        (-234, "2026-11-23T16:30+00:00", "2026-11-23T23:00+00:00"),
        (-144, "2026-11-23T03:00+00:00", "2026-11-23T17:00+00:00"),  # 10:00 -> midnight
        (-1472, "2026-11-23T16:59+00:00", "2026-11-23T17:00+00:00"),
        # Used up just after midnight: Zalo's day begins at some other hour, so not a whole day is waited.
        (-147, "2026-11-23T17:00+00:00", "2026-11-23T18:00+00:00"),
        (-144, "2026-11-24T00:59+00:00", "2026-11-24T01:59+00:00"),  # 07:59
        (-144, "2026-11-24T01:00+00:00", "2026-11-24T17:00+00:00"),  # 08:00
        (-1441, "2026-11-23T03:00+00:00", "2026-11-30T17:00+00:00"),  # -> 1 December
        (-1471, "2026-12-31T03:00+00:00", "2026-12-31T17:00+00:00"),  # -> 1 January
    ],
)
def test_windows(code: int, now: str, opens: str) -> None:
    outcome = read_outcome({"error": code}, datetime.fromisoformat(now))
    assert outcome.retry_at == datetime.fromisoformat(opens)
    assert outcome.retry_at.tzinfo is UTC


def test_vendor_words_are_masked() -> None:
    outcome = read_outcome({"error": -108, "message": "Phone 84912345678 of an@example.com invalid"}, NOW)
    assert "84912345678" not in outcome.detail
    assert "an@example.com" not in outcome.detail
    assert "invalid" in outcome.detail
