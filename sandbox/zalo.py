"""Zalo's HTTP routes: OAuth v4 and the ZNS business API. Every answer is HTTP 200 with Zalo's envelope."""

from datetime import datetime
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox import oauth, templates, wire
from sandbox.clock import epoch_ms
from sandbox.errors import Refusal, refuse
from sandbox.magic import MAGIC
from sandbox.send import send, token_refusal
from sandbox.state import State, delivered_at

_MAX_RATINGS = 10_000


def routes() -> list[Route]:
    """The busiest first: Starlette tries them in order."""
    return [
        Route("/message/template", send_template, methods=["POST"]),
        Route("/rating/get", get_ratings, methods=["GET", "POST"]),
        Route("/v4/oa/access_token", access_token, methods=["POST"]),
        Route("/message/status", message_status, methods=["GET"]),
        Route("/message/quota", message_quota, methods=["GET"]),
        Route("/template/info", template_info, methods=["GET"]),
        Route("/template/info/v2", template_info, methods=["GET"]),
    ]


async def send_template(request: Request) -> Response:
    """Send one message. Some magic numbers lose the answer after the message was taken."""
    headers = request.headers
    result = send(
        _state(request), headers.get("access_token"), headers.get("appsecret_proof"), await request.body()
    )
    if isinstance(result, Refusal):
        return PlainTextResponse("Service Unavailable", 503) if result.code == 503 else _refused(result)
    fault = MAGIC[result.phone].fault if result.phone in MAGIC else None
    if fault == "close":
        await wire.hang_up(request)
    elif fault == "hang":
        await wire.until_client_leaves(request)
    return _success(result.data)


async def access_token(request: Request) -> Response:
    """Refresh-token grant; the body is a form, the app secret a header."""
    form = dict(parse_qsl((await request.body()).decode(errors="replace")))
    state = _state(request)
    return JSONResponse(
        oauth.answer(state.tokens, request.headers.get("secret_key"), form, state.clock.now())
    )


async def get_ratings(request: Request) -> Response:
    """Answers to one rating template in [from_time, to_time] (epoch ms), oldest first.

    Zalo's pages say POST, all known callers use GET; the parameters are in the query either way.
    """
    if (refusal := _token(request)) is not None:
        return _refused(refusal)
    query, state = request.query_params, _state(request)
    template_id = query.get("template_id", "")
    template = templates.TEMPLATES.get(template_id)
    if template is None or not template.option:
        return _refused(refuse(-109))
    try:
        from_ms, to_ms = int(query["from_time"]), int(query["to_time"])
        offset, limit = int(query["offset"]), int(query["limit"])
    except (KeyError, ValueError):
        return _refused(refuse(-132))
    if from_ms > to_ms or offset < 0 or not 0 < limit <= _MAX_RATINGS:
        return _refused(refuse(-132))
    rows = state.ratings_between(template_id, from_ms, to_ms)
    page = [row.body for row in rows[offset : offset + limit]]
    return _success({"total": len(rows), "data": page})


async def message_status(request: Request) -> Response:
    """-1 not found, 0 at the server, 1 delivered."""
    if (refusal := _token(request)) is not None:
        return _refused(refusal)
    state, msg_id = _state(request), request.query_params.get("message_id", "")
    if not msg_id:
        return _refused(refuse(-107))
    entry = state.book.by_msg_id.get(msg_id)
    if entry is None:
        return _success({"delivery_time": "", "message": "Message not found", "status": -1})
    delivered = delivered_at(datetime.fromisoformat(entry["at"]), msg_id)
    if state.clock.now() < delivered:
        return _success({"delivery_time": "", "message": "Message is at the server", "status": 0})
    return _success({"delivery_time": str(epoch_ms(delivered)), "message": "Message delivered", "status": 1})


async def message_quota(request: Request) -> Response:
    """Today's quota; the promotion quotas are not simulated and null, which Zalo also answers."""
    if (refusal := _token(request)) is not None:
        return _refused(refusal)
    state = _state(request)
    promotion = (
        "dailyQuotaPromotion",
        "remainingQuotaPromotion",
        "monthlyPromotionQuota",
        "remainingMonthlyPromotionQuota",
        "estimatedNextMonthPromotionQuota",
    )
    return _success(
        {
            "dailyQuota": state.switches.daily_quota,
            "remainingQuota": max(0, state.quota_left(state.clock.now())),
            **dict.fromkeys(promotion),
        }
    )


async def template_info(request: Request) -> Response:
    """The registered parameters and state of one template, for both the legacy and the v2 path."""
    if (refusal := _token(request)) is not None:
        return _refused(refusal)
    template = templates.TEMPLATES.get(request.query_params.get("template_id", ""))
    if template is None:
        return _refused(refuse(-109))
    overrides = _state(request).switches.template_status
    return _success(templates.info(template, overrides.get(template.id, template.status)))


def _token(request: Request) -> Refusal | None:
    headers, state = request.headers, _state(request)
    return token_refusal(
        state, headers.get("access_token"), headers.get("appsecret_proof"), state.clock.now()
    )


def _success(data: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"error": 0, "message": "Success", "data": data})


def _refused(refusal: Refusal) -> JSONResponse:
    return JSONResponse({"error": refusal.code, "message": refusal.message})


def _state(request: Request) -> State:
    return cast(State, request.app.state.sandbox)
