"""The Standard Webhooks signature. Pure functions over headers and the bytes as received.

Source: standardwebhooks.com, specification 1.0.0, checked 2026-11-23 in a stored copy: the headers `webhook-id`,
`webhook-timestamp` (unix seconds) and `webhook-signature`, a list of `v1,<base64>` separated by spaces, each an
HMAC-SHA256 of `id.timestamp.body`. A secret is `whsec_` and its bytes in base64.
"""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes

from pydantic import SecretStr

LONGEST_ID = 200
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers of one request say. Nothing of it is true before `is_signed` has said so."""

    id: str
    timestamp: int
    """Unix seconds, of this attempt."""
    signed: bytes = field(repr=False)
    """What the signature covers, up to the body."""
    signatures: tuple[bytes, ...] = field(repr=False)


def read_claim(headers: Mapping[str, str]) -> Claim | None:
    """The three headers (names in lower case); None when one is missing or cannot be what it should be."""
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    entries = headers.get("webhook-signature", "").split()
    signatures = tuple(entry[3:].encode() for entry in entries if entry.startswith("v1,"))
    if not 0 < len(identity) <= LONGEST_ID or not (identity.isascii() and identity.isprintable()):
        return None
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        return None
    if not signatures:
        return None
    return Claim(identity, int(timestamp), f"{identity}.{timestamp}.".encode(), signatures)


def is_signed(claim: Claim, body: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether one of the signatures was made with one of the secrets; in constant time for a given header."""
    made = [b64encode(hmac.digest(secret, claim.signed + body, "sha256")) for secret in secrets]
    # All pairs, so that the time taken does not tell which of them fitted.
    fits = [hmac.compare_digest(mine, theirs) for mine in made for theirs in claim.signatures]
    return any(fits)


def new_secret() -> str:
    """A fresh secret of 32 random bytes, as both sides' settings want it."""
    return _PREFIX + b64encode(token_bytes(32)).decode("ascii")


def read_secrets(source: str, secret: SecretStr) -> tuple[bytes, ...]:
    """The secrets of a source, several while one is being replaced. Raises ValueError, which never shows them."""
    words = secret.get_secret_value().split()
    try:
        keys = tuple(b64decode(word.removeprefix(_PREFIX), validate=True) for word in words)
    except binascii.Error:
        keys = ()
    # With an empty secret, anybody could sign.
    if not keys or not all(keys):
        raise ValueError(
            f"the webhook secret of {source} is not one: write whsec_ and its bytes in base64, "
            "and a space between two of them"
        )
    return keys
