"""A person is recognised wherever their contact stands, in any spelling, and nobody else is."""

import pytest

from amends.domain.mentions import Named

LAN = Named(["84912345678"], ["lan@example.com"], ["zalo-7"])


@pytest.mark.parametrize(
    "value",
    [
        "0912345678",
        "84912345678",
        "+84 912.345.678",
        "0084912345678",
        "+84 (0) 912 345 678",
        "Gọi 0912 345 678 hoặc 0987654321 nhé",
        912345678,
        912345678.0,
        {"a": [{"b": "gọi (0912)345-678"}]},
        "viết cho LAN@Example.com.",
        {"lan@example.com": 1},
        {"sender": {"id": "zalo-7"}},
    ],
)
def test_in_any_spelling_and_place(value: object) -> None:
    assert LAN.in_value(value)


@pytest.mark.parametrize(
    "value",
    [
        "0912345679",
        "10912345678",
        "09123456780",
        "xin 84912345678901",
        "dulan@example.com",
        "lan@example.com.vn",
        "zalo-77",
        True,
        None,
        [],
    ],
)
def test_nobody_else(value: object) -> None:
    assert not LAN.in_value(value)


def test_a_foreign_number_needs_its_country_code() -> None:
    foreigner = Named(["14155552671"], [])
    assert foreigner.in_value("+1 (415) 555-2671")
    assert foreigner.in_value(14155552671)
    assert not foreigner.in_value("4155552671")


def test_a_webhooks_key_may_name_a_user() -> None:
    assert LAN.in_key("follow:zalo-7:1762048800000")
    assert not LAN.in_key("follow:zalo-77:1762048800000")


def test_it_does_not_tell_whom_it_looks_for() -> None:
    assert "912" not in repr(LAN)
