"""The signature of Standard Webhooks: the published example, and everything that is not quite it."""

from base64 import b64encode
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from desk.standard_webhooks import is_signed, read_claim, read_secrets
from tests.desk.rig import OLD_SECRET, SECRET, by_standard

BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The example that the reference implementations share, made with `SECRET`."""


def fits(changes: Mapping[str, str] = HEADERS, *, body: bytes = BODY, secret: str = SECRET) -> bool:
    claim = read_claim({**HEADERS, **changes})
    return claim is not None and is_signed(claim, body, read_secrets("till", SecretStr(secret)))


def test_the_published_example_fits() -> None:
    assert fits()


def test_secrets_may_lack_their_prefix() -> None:
    assert fits(secret=SECRET.removeprefix("whsec_"))


@pytest.mark.parametrize("secret", [f"{OLD_SECRET} {SECRET}", f"{SECRET}\n{OLD_SECRET}"])
def test_one_of_several_secrets_is_enough(secret: str) -> None:
    assert fits(secret=secret)


@pytest.mark.parametrize("more", ["v1,AAAA {}", "v1a,{} {}", "v2,x {} v1,", "{}  {}"])
def test_one_of_several_signatures_is_enough(more: str) -> None:
    real = HEADERS["webhook-signature"]
    assert fits({"webhook-signature": more.replace("{}", real)})


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-id": "m" * 201},
        {"webhook-id": "msg\n1"},
        {"webhook-id": "tin-nhắn"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": " 1614265330"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1, g0hM9SsE"},
        {"webhook-signature": "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE"},
        {"webhook-signature": "v1,é"},
    ],
)
def test_anything_else_does_not_fit(changes: dict[str, str]) -> None:
    assert not fits(changes)


def test_another_body_or_secret_does_not_fit() -> None:
    assert not fits(body=BODY + b" ")
    assert not fits(secret=OLD_SECRET)


def test_a_missing_header_is_no_claim() -> None:
    for name in HEADERS:
        assert read_claim({key: value for key, value in HEADERS.items() if key != name}) is None


def test_a_claim_keeps_signatures_out_of_logs() -> None:
    _, headers = by_standard({})
    assert headers["webhook-signature"][3:] not in repr(read_claim(headers))


@pytest.mark.parametrize("secret", ["", " ", "whsec_", "whsec_not base64!", f"{SECRET} whsec_", "geheim"])
def test_a_secret_that_is_none_is_named_but_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="till") as caught:
        read_secrets("till", SecretStr(secret))
    assert not secret.strip() or secret not in str(caught.value).replace("write whsec_", "")


def test_a_secret_may_be_any_bytes() -> None:
    key = bytes(range(64))
    assert read_secrets("till", SecretStr("whsec_" + b64encode(key).decode())) == (key,)
