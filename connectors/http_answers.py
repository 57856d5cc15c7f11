"""Reading HTTP answers: pure functions shared by the HTTP connectors."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from amends.domain.intake import storable
from amends.domain.outcome import Outcome, OutcomeClass


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """The `Retry-After` header in seconds from `now`, whichever of its two forms; None when absent or odd."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    # A day is the most we believe; "inf" and "nan" would otherwise break the date arithmetic.
    return min(max(seconds, 0.0), 86_400.0) if math.isfinite(seconds) else None


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """The body as a JSON object, or None when it is anything else (a proxy's page, an empty body).

    Free of what a database cannot store: a vendor's odd id must not undo the record of what was sent.
    """
    try:
        body = response.json()
        return storable(body) if isinstance(body, dict) else None
    except (ValueError, RecursionError):
        return None


def refused(status: int) -> Outcome:
    """What a 3xx or 4xx status means for a request, apart from 401 and 429."""
    code = f"http_{status}"
    if status in (400, 413, 415, 422):
        return Outcome(OutcomeClass.PAYLOAD_REFUSED, code=code, detail="the vendor refused the request")
    if 300 <= status < 400:
        detail = "the vendor redirects elsewhere, and a token is never carried along: check the address"
    else:
        detail = "the vendor refused the request: check address, permission and account"
    return Outcome(OutcomeClass.NEEDS_HUMAN, code=code, detail=detail)
