"""Reading a request's body within limits of size and time, and the JSON in it within one of depth."""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from amends.domain.intake import DEEPEST, deeper_than
from desk.limits import Limits
from desk.refusal import Refused


async def read_body(request: Request, door: str, limits: Limits, most_bytes: int) -> bytes:
    """The whole body. Raises Refused (oversized, slow, truncated); no more than the limit is ever held."""
    too_large = Refused(door, "oversized", f"the body is larger than {most_bytes} bytes")
    # h11 lets nothing but digits through here.
    if int(request.headers.get("content-length", "0")) > most_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > most_bytes:
                    raise too_large
    except TimeoutError:
        raise Refused(door, "slow", f"the body took longer than {limits.body_seconds:g} s") from None
    except ClientDisconnect:
        raise Refused(door, "truncated", "the connection ended before the body did") from None
    return bytes(body)


def read_json(raw: bytes, door: str) -> Any:
    """The value that `raw` spells. Raises Refused (not_json)."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(door, "not_json", "the body is not JSON") from None
    if deeper_than(value, DEEPEST):
        raise Refused(door, "not_json", f"the body is nested deeper than {DEEPEST} levels")
    return value
