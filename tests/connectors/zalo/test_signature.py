"""Webhook signatures: a fixed example, and everything that must not pass."""

import hashlib

import pytest

from connectors.zalo.signature import signature, verify

RAW = '{"event_name":"user_feedback","app_id":"app","timestamp":"1616673095659","note":"Nguyễn"}'.encode()
EXPECTED = hashlib.sha256(b"app" + RAW + b"1616673095659" + b"s3cret").hexdigest()


def check(raw: bytes = RAW, header: str | None = f"mac={EXPECTED}", **changes: object) -> str | None:
    values: dict[str, object] = {"app_id": "app", "oa_id": "oa-1", "secrets": ["s3cret"]} | changes
    return verify(raw, header, **values)  # type: ignore[arg-type]


def test_signature_is_the_plain_hash_of_the_four_parts() -> None:
    # printf 'app{}1k' | sha256sum
    assert (
        signature("app", b"{}", "1", "k")
        == "4dd272bc09741684e60e3b37f68c325503ce9070075b758c211ed0fb1b050837"
    )


@pytest.mark.parametrize(
    "header", [f"mac={EXPECTED}", EXPECTED, f"  mac={EXPECTED} ", f"mac={EXPECTED.upper()}"]
)
def test_right_signature_in_every_spelling(header: str) -> None:
    assert check(header=header) == "app_id"


def test_official_account_id_is_the_fallback() -> None:
    header = "mac=" + signature("oa-1", RAW, "1616673095659", "s3cret")
    assert check(header=header) == "oa_id"
    assert check(header=header, oa_id="") is None
    assert check(header=header, oa_id="oa-2") is None


def test_any_of_several_secrets_will_do() -> None:
    assert check(secrets=["new", "s3cret"]) == "app_id"
    assert check(secrets=["new", "newer"]) is None
    assert check(secrets=[]) is None


def test_empty_secret_or_id_never_fits() -> None:
    for app_id, secret in (("app", ""), ("", "s3cret"), ("", "")):
        header = "mac=" + signature(app_id, RAW, "1616673095659", secret)
        assert check(header=header, app_id=app_id, oa_id="", secrets=[secret]) is None


def test_numeric_timestamp_is_hashed_as_it_is_written() -> None:
    for literal in ("1616673095659", "1616673095659.0", "1e12"):
        raw = b'{"timestamp": ' + literal.encode() + b"}"
        assert check(raw, signature("app", raw, literal, "s3cret")) == "app_id"


def test_body_is_hashed_as_received() -> None:
    assert check(RAW.replace(b":", b": ", 1)) is None
    assert check(RAW.replace("ễ".encode(), b"e")) is None


@pytest.mark.parametrize(
    "header",
    [None, "", "mac=", "mac=zz", EXPECTED[:-1], EXPECTED + "0", f"mac=mac={EXPECTED}", "ü" * 64, f"sha256={EXPECTED}",
     "0" * 64, EXPECTED + "\n" + EXPECTED],
)  # fmt: skip
def test_malformed_header_is_a_no(header: str | None) -> None:
    assert check(header=header) is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[1]", b"{}", b'{"timestamp": null}', b'{"timestamp": true}', b'{"timestamp": ["1"]}',
     b'{"timestamp": ""}', b"\xff\xfe", b"{" * 50_000, b"[" * 50_000 + b"]" * 50_000],
)  # fmt: skip
def test_body_without_a_timestamp_is_a_no(raw: bytes) -> None:
    for timestamp in ("", "None", "True"):
        assert check(raw, signature("app", raw, timestamp, "s3cret")) is None


def test_nothing_in_a_body_raises() -> None:
    for raw in (b'{"timestamp": "\\ud800"}', b'{"timestamp": ' + b"9" * 10_000 + b"}", b'{"timestamp": NaN}'):
        assert check(raw, "0" * 64) is None
