"""The door for Zalo: one URL for every Official Account (OA), or one each. Facts: `connectors.zalo.signature`.

Zalo calls a URL again until it answers 200, and switches off one that never does. So whatever is rightly signed is
kept, even what we cannot read, and a repetition is as welcome as the first.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from amends.settings import ZaloSettings
from amends.store.spool import Arrived
from connectors.zalo.answers import as_int
from connectors.zalo.events import read_event
from connectors.zalo.signature import verify
from desk.body import read_body, read_json
from desk.counts import ZALO
from desk.intake import Intake, keep
from desk.limits import Limits
from desk.refusal import NOT_SIGNED, Refused, forged

Accounts = Mapping[str, ZaloSettings]

_LONGEST_SERVER = 80


def zalo_door(intake: Intake) -> APIRouter:
    """The routes below /webhooks/zalo, for the accounts of the settings that have a webhook secret."""
    accounts = {
        name: account
        for name, account in intake.settings.all_zalo_accounts().items()
        if account.webhook_secret.get_secret_value()
    }
    router = APIRouter()

    @router.post("/webhooks/zalo")
    async def receive(request: Request) -> JSONResponse:
        return await _receive(intake, accounts, ZALO, request)

    @router.post("/webhooks/zalo/{account}")
    async def receive_for(request: Request, account: str) -> JSONResponse:
        known = {name: one for name, one in accounts.items() if name == account}
        return await _receive(intake, known, next((f"zalo:{name}" for name in known), ZALO), request)

    # The developer console looks whether a URL is there before it saves it.
    @router.api_route("/webhooks/zalo", methods=["GET", "HEAD"])
    @router.api_route("/webhooks/zalo/{account}", methods=["GET", "HEAD"])
    async def probe() -> JSONResponse:
        return JSONResponse({"status": "ready"})

    return router


async def _receive(intake: Intake, accounts: Accounts, door: str, request: Request) -> JSONResponse:
    signature = request.headers.get("x-zevent-signature")
    if not signature:
        raise forged(door)
    raw = await read_body(request, door, intake.limits, intake.limits.zalo_body_bytes)
    # The signature covers a timestamp inside the body, so this is read first; nothing of it is believed.
    body = read_json(raw, door)
    if not isinstance(body, dict):
        raise Refused(door, "not_json", "the body is not a JSON object")
    name = _signed_for(body, raw, signature, accounts, door)
    door, now = f"zalo:{name}", intake.clock.now()
    if not _fresh(body, now, intake.limits):
        raise Refused(door, "stale", "the timestamp is too old, or ahead of our clock")
    server = request.headers.get("x-zevent-server", "")[:_LONGEST_SERVER]
    return await keep(intake, Arrived(door, _key(body, raw, server, now), now, raw, server))


def _signed_for(body: Mapping[str, Any], raw: bytes, signature: str, accounts: Accounts, door: str) -> str:
    """The name of the account that this webhook is for and signed for. Raises Refused (forged, unknown_source)."""
    candidates = _candidates(body, accounts)
    if not candidates:
        raise Refused(door, "unknown_source", NOT_SIGNED, status=401)
    for name in candidates:
        account = accounts[name]
        secrets = [account.webhook_secret.get_secret_value()]
        if verify(raw, signature, app_id=account.app_id, oa_id=account.oa_id, secrets=secrets):
            return name
    raise forged(f"zalo:{candidates[0]}" if len(candidates) == 1 else door)


def _candidates(body: Mapping[str, Any], accounts: Accounts) -> list[str]:
    """The accounts it may be for, by what it says of itself: those of its app, and of these the one it names."""
    app_id = str(body.get("app_id") or "")
    # Some events name the account by oa_id (or oaId), chat names it as sender or recipient; a few name no app.
    people = (body.get("sender"), body.get("recipient"))
    ids = {str(body.get(field)) for field in ("oa_id", "oaId") if body.get(field)}
    ids |= {str(one["id"]) for one in people if isinstance(one, dict) and one.get("id")}
    of_app = [name for name, account in accounts.items() if not app_id or account.app_id == app_id]
    return [name for name in of_app if accounts[name].oa_id in ids] or of_app


def _fresh(body: Mapping[str, Any], now: datetime, limits: Limits) -> bool:
    """Whether the body's timestamp (epoch ms) is of now, give or take the limits."""
    sent = as_int(body.get("timestamp"))
    if sent is None:
        return False
    # In whole milliseconds: a hostile number may be beyond every calendar.
    age = int(now.timestamp() * 1000) - sent
    return -limits.zalo_ahead.total_seconds() * 1000 <= age <= limits.zalo_age.total_seconds() * 1000


def _key(body: Mapping[str, Any], raw: bytes, server: str, now: datetime) -> str:
    try:
        key = read_event(body, server or None, now).key
    except ValueError:
        key = ""
    # JSON can spell half characters and zero bytes, and no database takes those in a text.
    return key if key and key.isprintable() else f"sha256:{hashlib.sha256(raw).hexdigest()}"
