"""Zalo's routes for template messages by phone: send, ratings, status, quota. Always HTTP 200 with the envelope."""

from datetime import datetime
from typing import Literal

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox import wire
from sandbox.clock import epoch_ms
from sandbox.envelope import business_token, refused, state_of, success
from sandbox.errors import Refusal, refuse
from sandbox.magic import MAGIC
from sandbox.send import send
from sandbox.state import delivered_at

_MAX_RATINGS = 10_000


def routes() -> list[Route]:
    """The busiest first: Starlette tries them in order."""
    return [
        Route("/message/template", send_template, methods=["POST"]),
        Route("/rating/get", get_ratings, methods=["GET", "POST"]),
        Route("/message/status", message_status, methods=["GET"]),
        Route("/message/quota", message_quota, methods=["GET"]),
        Route("/message/template/hashphone", send_to_hash, methods=["POST"]),
        Route("/response/get", get_responses, methods=["POST"]),
    ]


async def send_template(request: Request) -> Response:
    """Send one message to a phone."""
    return await _send(request, "phone")


async def send_to_hash(request: Request) -> Response:
    """Send one message to a phone that only its SHA-256 names."""
    return await _send(request, "hash_phone")


async def _send(request: Request, by: Literal["phone", "hash_phone"]) -> Response:
    headers = request.headers
    body = await request.body()
    result = send(state_of(request), headers.get("access_token"), headers.get("appsecret_proof"), body, by)
    if isinstance(result, Refusal):
        return PlainTextResponse("Service Unavailable", 503) if result.code == 503 else refused(result)
    await lose_answer(request, result.phone)
    return success(result.data)


async def lose_answer(request: Request, phone: str | None) -> None:
    """Some magic numbers lose the answer after the message was taken."""
    magic = MAGIC.get(phone or "")
    if magic is None:
        return
    if magic.fault == "close":
        await wire.hang_up(request)
    elif magic.fault == "hang":
        await wire.until_client_leaves(request)


async def get_ratings(request: Request) -> Response:
    """Answers to one rating template in [from_time, to_time] (epoch ms), oldest first.

    Zalo's pages say POST, all known callers use GET; the parameters are in the query either way. A switch leaves
    only one of the two.
    """
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    query, state = request.query_params, state_of(request)
    if state.switches.rating_methods not in ("both", request.method.lower()):
        return refused(refuse(-106))
    template_id = query.get("template_id", "")
    template = state.templates.get(template_id)
    if template is None or not template.option:
        return refused(refuse(-109))
    try:
        from_ms, to_ms = int(query["from_time"]), int(query["to_time"])
        offset, limit = int(query["offset"]), int(query["limit"])
    except (KeyError, ValueError):
        return refused(refuse(-132))
    if from_ms > to_ms or offset < 0 or not 0 < limit <= _MAX_RATINGS:
        return refused(refuse(-132))
    rows = state.ratings_between(template_id, from_ms, to_ms)
    page = [row.body for row in rows[offset : offset + limit]]
    return success({"total": len(rows), "data": page})


async def get_responses(request: Request) -> Response:
    """Taps on quick-reply buttons: none, since no template here has any."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    if request.query_params.get("template_id", "") not in state_of(request).templates:
        return refused(refuse(-109))
    return success({"total": 0, "data": []})


async def message_status(request: Request) -> Response:
    """-1 not found, 0 at the server, 1 delivered."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    state, msg_id = state_of(request), request.query_params.get("message_id", "")
    if not msg_id:
        return refused(refuse(-107))
    entry = state.book.by_msg_id.get(msg_id)
    if entry is None:
        return success({"delivery_time": "", "message": "Message not found", "status": -1})
    delivered = delivered_at(datetime.fromisoformat(entry["at"]), msg_id)
    if state.clock.now() < delivered:
        return success({"delivery_time": "", "message": "Message is at the server", "status": 0})
    return success({"delivery_time": str(epoch_ms(delivered)), "message": "Message delivered", "status": 1})


async def message_quota(request: Request) -> Response:
    """Today's quota; the account's promotion quotas are not simulated and null, which Zalo also answers."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    state = state_of(request)
    promotion = (
        "dailyQuotaPromotion",
        "remainingQuotaPromotion",
        "monthlyPromotionQuota",
        "remainingMonthlyPromotionQuota",
        "estimatedNextMonthPromotionQuota",
    )
    return success(
        {
            "dailyQuota": state.switches.daily_quota,
            "remainingQuota": max(0, state.quota_left(state.clock.now())),
            **dict.fromkeys(promotion),
        }
    )
