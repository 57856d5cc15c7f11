"""The door for everybody else: webhooks signed as Standard Webhooks says, a URL and a secret for each source."""

import hashlib
from collections.abc import Callable
from datetime import datetime

from cachetools import TTLCache
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from amends.store.spool import Arrived
from desk.body import read_body, read_json
from desk.counts import WEBHOOK
from desk.intake import Intake, keep
from desk.limits import Limits
from desk.refusal import Refused, forged
from desk.standard_webhooks import Claim, is_signed, read_claim, read_secrets


class Replays:
    """Requests that were taken in, by source and all that their signature covers; bounded in number and time."""

    def __init__(self, limits: Limits, now: Callable[[], datetime]) -> None:
        # A timestamp may be ahead of us by the tolerance, and is good until it is behind by the same.
        self._seen: TTLCache[bytes, None] = TTLCache(
            limits.replays, 2 * limits.signed_age.total_seconds() + 1, timer=lambda: now().timestamp()
        )

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._seen

    def add(self, mark: bytes) -> None:
        self._seen[mark] = None


def signed_door(intake: Intake) -> APIRouter:
    """The route /webhooks/in/{source}. Raises ValueError when a source's secret is not one, without showing it."""
    secrets = {
        source: read_secrets(source, secret) for source, secret in intake.settings.webhook_secrets.items()
    }
    replays = Replays(intake.limits, intake.clock.now)
    router = APIRouter()

    @router.post("/webhooks/in/{source}")
    async def receive(request: Request, source: str) -> JSONResponse:
        keys = secrets.get(source)
        if keys is None:
            raise Refused(WEBHOOK, "unknown_source", "no such webhook source")
        return await _receive(intake, f"webhook:{source}", keys, replays, request)

    return router


async def _receive(
    intake: Intake, door: str, secrets: tuple[bytes, ...], replays: Replays, request: Request
) -> JSONResponse:
    claim = read_claim(request.headers)
    if claim is None:
        raise forged(door)
    raw = await read_body(request, door, intake.limits, intake.limits.body_bytes)
    if not is_signed(claim, raw, secrets):
        raise forged(door)
    now = intake.clock.now()
    if abs(now.timestamp() - claim.timestamp) > intake.limits.signed_age.total_seconds():
        raise Refused(door, "stale", "webhook-timestamp is too far from our clock")
    mark = _mark(door, claim, raw)
    if mark in replays:
        raise Refused(door, "replayed", "this very request was taken in before")
    if not isinstance(read_json(raw, door), dict | list):
        raise Refused(door, "not_json", "the body is neither a JSON object nor a list")
    answer = await keep(intake, Arrived(door, claim.id, now, raw))
    # Only now: a sender that was told 503 may repeat the same bytes.
    replays.add(mark)
    return answer


def _mark(door: str, claim: Claim, raw: bytes) -> bytes:
    # What is signed, not the header: a header can be reordered, and name signatures of other secrets.
    return hashlib.sha256(f"{door}\n".encode() + claim.signed + raw).digest()
