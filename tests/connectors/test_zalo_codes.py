"""The whole table, code by code, written out a second time by class; and the windows in Vietnamese time."""

from datetime import UTC, datetime

import pytest

from amends.domain.outcome import OutcomeClass
from connectors.zalo_answers import read_outcome
from connectors.zalo_codes import OAUTH_CODES, ZNS_CODES, classify

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # 23:30 in Viet Nam

BY_CLASS = {
    OutcomeClass.ACCEPTED: "0",
    OutcomeClass.RETRY_LATER: "-100 -1123 -129 -152 -32",
    OutcomeClass.REFRESH_CREDENTIALS: "-124 -216 -220",
    OutcomeClass.WAIT_FOR_WINDOW: "-133 -144 -1441 -147 -1471 -1472 -160",
    OutcomeClass.NEEDS_HUMAN: (
        "-101 -102 -103 -104 -105 -115 -117 -120 -1201 -1202 -1241 -125 -126 -128 -131 -135 -1351 -136 -137 "
        "-138 -1381 -145 -146"
    ),
    OutcomeClass.PAYLOAD_REFUSED: (
        "-106 -107 -108 -109 -1091 -111 -112 -1121 -1122 -1124 -113 -1131 -116 -121 -122 -123 -127 -130 -132 "
        "-142 -143 -148 -149 -1491 -150 -151 -153 -158 -159 -161 -162"
    ),
    OutcomeClass.UNREACHABLE: "-110 -114 -118 -119 -134 -139 -140 -141",
}
EXPECTED = {int(code): cls for cls, codes in BY_CLASS.items() for code in codes.split()}


@pytest.mark.parametrize(("code", "cls"), EXPECTED.items())
@pytest.mark.parametrize("wire_type", [int, str])
def test_every_code_is_classified(code: int, cls: OutcomeClass, wire_type: type) -> None:
    outcome = read_outcome({"error": wire_type(code), "message": "m"}, NOW)
    assert (outcome.cls, outcome.code) == (cls, str(code))
    assert outcome.accepted or ZNS_CODES[code][1] in outcome.detail


def test_table_holds_these_codes_and_no_others() -> None:
    assert set(ZNS_CODES) == set(EXPECTED)


def test_unknown_code_stops_the_channel() -> None:
    assert classify(-9999)[0] is OutcomeClass.NEEDS_HUMAN


@pytest.mark.parametrize("body", [None, {}, {"error": None}, {"error": "soon"}, {"data": {"msg_id": "x"}}])
def test_answer_without_an_envelope_is_uncertain(body: dict[str, object] | None) -> None:
    assert read_outcome(body, NOW).cls is OutcomeClass.UNCERTAIN


@pytest.mark.parametrize(
    ("code", "now", "opens"),
    [
        (-133, "2026-11-23T16:30+00:00", "2026-11-23T23:00+00:00"),  # 23:30 -> 06:00 tomorrow
        (-133, "2026-11-22T22:59+00:00", "2026-11-22T23:00+00:00"),  # 05:59 -> 06:00 today
        (-133, "2026-11-22T23:00+00:00", "2026-11-23T23:00+00:00"),  # 06:00 -> not again at once
        (-144, "2026-11-23T03:00+00:00", "2026-11-23T17:00+00:00"),  # 10:00 -> midnight
        (-147, "2026-11-23T17:00+00:00", "2026-11-24T17:00+00:00"),  # midnight -> the next one
        (-1472, "2026-11-23T16:59+00:00", "2026-11-23T17:00+00:00"),
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


def test_oauth_table() -> None:
    assert set(OAUTH_CODES) == {-14002, -14003, -14004, -14005, -14014, -14018, -118}
    assert "AMENDS_ZALO__REFRESH_TOKEN" in OAUTH_CODES[-14014]
