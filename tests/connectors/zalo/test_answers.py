"""Numbers and words in Zalo's answers."""

from datetime import UTC, datetime

import pytest

from connectors.zalo.answers import as_flag, as_int, as_moment, vendors_words


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


@pytest.mark.parametrize("value", ["soon", None, True, "1" * 30, -(10**20)])
def test_what_is_no_moment(value: object) -> None:
    assert as_moment(value) is None


@pytest.mark.parametrize(
    ("value", "flag"), [(True, True), ("true", True), (1, True), ("0", False), (False, False), (None, None)]
)
def test_as_flag(value: object, flag: bool | None) -> None:
    assert as_flag(value) is flag


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ZNS daily quota exceeded", "ZNS daily quota exceeded"),
        ("84912345678 has no right", "84912***678 has no right"),
        ("template data Nguyen Van An is too long", ""),
        ("template data NGUYEN VAN AN is too long", ""),
        ("Nguyễn", ""),
        ("one\nforged line", ""),
        (None, ""),
        (["list"], "['list']"),
    ],
)
def test_the_vendors_words_never_repeat_ours(said: object, shown: str) -> None:
    assert vendors_words(said, ["Nguyen Van An", "An"]) == shown
