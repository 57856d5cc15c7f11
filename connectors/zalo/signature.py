"""Is a webhook really from Zalo? Pure functions over the bytes as received.

Source: developers.zalo.me, webhook pages, and captured traffic; checked 2026-11-23 in stored copies, never
against live Zalo. The header `X-ZEvent-Signature: mac=<64 hex>` is a plain SHA-256 (not an HMAC) of
app id + raw body + timestamp + OA secret key, where the timestamp is a field of the body. Public code
disagrees on the first term: the pages say the app's id, some guides the Official Account's; both are tried.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from typing import Literal

_DIGEST = re.compile(r"[0-9a-f]{64}")


def signature(app_id: str, raw: bytes, timestamp: str, secret: str) -> str:
    """Lower-case hex SHA-256 of the four parts in a row; `raw` is the body as it came, never written anew."""
    digest = hashlib.sha256(app_id.encode())
    digest.update(raw)
    # Half a surrogate pair is legal in JSON, if in nothing else.
    digest.update(timestamp.encode(errors="surrogatepass") + secret.encode())
    return digest.hexdigest()


def verify(
    raw: bytes, header: str | None, *, app_id: str, oa_id: str = "", secrets: Iterable[str]
) -> Literal["app_id", "oa_id"] | None:
    """Which id the signature was made with; None when it fits none of the `secrets`, or is no signature at all.

    Several secrets may be valid while one is being replaced; empty ids and secrets never fit. Never raises for
    what came in. Compares in constant time.
    """
    claimed = (header or "").strip().removeprefix("mac=").lower()
    timestamp = _timestamp(raw)
    if not _DIGEST.fullmatch(claimed) or timestamp is None:
        return None
    keys = [secret for secret in secrets if secret]
    subjects: tuple[tuple[Literal["app_id", "oa_id"], str], ...] = (("app_id", app_id), ("oa_id", oa_id))
    for name, subject in subjects:
        # Every secret is tried, so that the time taken does not tell which of them fitted.
        fits = [hmac.compare_digest(signature(subject, raw, timestamp, key), claimed) for key in keys]
        if subject and any(fits):
            return name
    return None


def _timestamp(raw: bytes) -> str | None:
    """The body's `timestamp` as it is spelt there: Zalo sends strings, and numbers now and then."""
    try:
        # Numbers stay text: a float would lose digits, and Python refuses to read absurdly long integers.
        body = json.loads(raw, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    value = body.get("timestamp") if isinstance(body, dict) else None
    return value if isinstance(value, str) and value else None
