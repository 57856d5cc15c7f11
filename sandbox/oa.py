"""The Official Account API: chat and template messages by user id, people, the account. At Zalo, another host.

Tokens are the same as for the business API; what is wrong with one is said by other codes (-216, -220).
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox import chat, oauth, people
from sandbox.accept import accept
from sandbox.clock import epoch_ms
from sandbox.directory import Standing
from sandbox.envelope import refused, state_of, success
from sandbox.errors import Refusal, refuse
from sandbox.rules import Recipient, message_refusal, template_refusal
from sandbox.send import book_facts
from sandbox.state import VIETNAM, State
from sandbox.zalo import lose_answer

_Handler = Callable[[Request], Awaitable[Response]]


def routes() -> list[Route]:
    return [
        Route("/v3.0/oa/message/cs", _limited(send_chat), methods=["POST"]),
        Route("/v3.0/oa/message/template", _limited(send_template), methods=["POST"]),
        Route("/v3.0/oa/quota/message", _limited(message_quota), methods=["POST"]),
        Route("/v3.0/oa/user/detail", _limited(user_detail), methods=["GET"]),
        Route("/v2.0/oa/getoa", _limited(account), methods=["GET"]),
    ]


async def send_chat(request: Request) -> Response:
    """One consultation message: {"recipient": {"user_id"}, "message": {"text" up to 2000 characters}}."""
    body = await _read(request)
    if isinstance(body, Refusal):
        state = state_of(request)
        fields = {"uid": "", "msg_id": None, "code": body.code}
        state.book.enter("chat_refused", state.clock.now(), fields)
        return refused(body)
    state = state_of(request)
    result = chat.write(state, body, state.clock.now())
    if isinstance(result, Refusal):
        return _refused(result)
    await lose_answer(request, result.phone)
    return success(result.data)


async def send_template(request: Request) -> Response:
    """One template message to a user id. There is no tracking id, and the answer names a `message_id`."""
    state, body = state_of(request), await _read(request)
    now = state.clock.now()
    sound = {} if isinstance(body, Refusal) else body
    uid = str(sound.get("user_id", ""))
    to = Recipient(uid, state.directory.phone_of(uid), uid)
    facts = {**book_facts(state, sound, to), "uid": uid, "tracking_id": ""}
    refusal = body if isinstance(body, Refusal) else _template_refusal(state, body, to)
    if refusal is not None:
        state.book.enter("zns_refused", now, {**facts, "msg_id": None, "code": refusal.code})
        return _refused(refusal)
    message_id = accept(state, to, facts, now)
    await lose_answer(request, to.phone)
    quota = {
        "quota_type": "purchase_quota",
        "remain": str(max(0, state.quota_left(now))),
        "total": str(state.switches.daily_quota),
        "owner_type": "OA",
        "owner_id": oauth.OA_ID,
    }
    return success(
        {"message_id": message_id, "user_id": uid, "sent_time": str(epoch_ms(now)), "quota": quota}
    )


async def message_quota(request: Request) -> Response:
    """{"user_id"}: when the person last interacted, and whether chat is open."""
    state, body = state_of(request), await _read(request)
    uid = "" if isinstance(body, Refusal) else str(body.get("user_id", ""))
    refusal = body if isinstance(body, Refusal) else chat.unreachable(state, uid)
    if refusal is not None:
        return refused(refusal)
    standing = state.directory.standing(uid)
    last, now = standing.last_interaction, state.clock.now()
    free = last is not None and standing.follows is not False and now - last <= chat.FREE
    return success(
        {
            "user_id": uid,
            "last_interaction": str(epoch_ms(last)) if last else "",
            "cs_reply": {"remain": 8 if free else 0, "total": 8},
            "promotion": {"remain": 0, "total": 0},
        }
    )


async def user_detail(request: Request) -> Response:
    """The query's `data` is JSON: {"user_id": ...}."""
    if (refusal := _token_refusal(request)) is not None:
        return refused(refusal)
    state = state_of(request)
    try:
        query = json.loads(request.query_params.get("data", ""))
    except ValueError:
        query = None
    uid = str(query.get("user_id", "")) if isinstance(query, dict) else ""
    if (refusal := chat.unreachable(state, uid)) is not None:
        return refused(refusal)
    return success(_detail(state, uid, state.directory.standing(uid)))


async def account(request: Request) -> Response:
    """The account itself; clients use it as a health check."""
    if (refusal := _token_refusal(request)) is not None:
        return refused(refusal)
    return success(
        {
            "oa_id": oauth.OA_ID,
            "name": "Sandbox",
            "description": "A made-up account",
            "oa_type": 2,
            "is_verified": True,
            "num_follower": state_of(request).directory.followers,
            "package_name": "Nâng cao",
            "linked_ZCA": "sandbox-zca" if state_of(request).switches.oa_linked else "",
        }
    )


def _limited(handler: _Handler) -> _Handler:
    """`handler` behind the limit of calls a minute (-32), when the switch sets one."""

    async def limited(request: Request) -> Response:
        state = state_of(request)
        limit = state.switches.rate_limit_per_minute
        if limit is None:
            return await handler(request)
        minute, calls = f"{state.clock.now():%Y-%m-%d %H:%M}", 0
        if state.chat_calls[0] == minute:
            calls = state.chat_calls[1]
        state.chat_calls = minute, calls + 1
        answer = refused(refuse(-32)) if calls >= limit else await handler(request)
        answer.headers["X-RateLimit-Limit"] = str(limit)
        answer.headers["X-RateLimit-Remain"] = str(max(0, limit - calls - 1))
        return answer

    return limited


def _token_refusal(request: Request) -> Refusal | None:
    """-216 missing or replaced, -220 expired, -242 wrong `appsecret_proof`."""
    state, token = state_of(request), request.headers.get("access_token")
    proof = request.headers.get("appsecret_proof")
    if token is None or not state.tokens.valid(token, state.clock.now()):
        return refuse(-220 if token is not None and token == state.tokens.access else -216)
    return refuse(-242) if proof is not None and proof != oauth.proof(token) else None


async def _read(request: Request) -> dict[str, Any] | Refusal:
    """The body, if the token is good and it is a JSON object (else -201)."""
    if (refusal := _token_refusal(request)) is not None:
        return refusal
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    return body if isinstance(body, dict) else refuse(-201, "body is invalid")


def _template_refusal(state: State, body: dict[str, Any], to: Recipient) -> Refusal | None:
    """The same rules as by phone, and -249. Only for the person's own sake the codes are this host's."""
    template_id = str(body.get("template_id", ""))
    refusal = chat.unreachable(state, to.address) or template_refusal(state, template_id)
    if refusal is None and not state.templates[template_id].by_uid:
        refusal = refuse(-249)
    refusal = refusal or message_refusal(state, body, to, state.clock.now())
    return chat.by_uid(refusal) if refusal is not None else None


def _refused(refusal: Refusal) -> Response:
    return PlainTextResponse("Service Unavailable", 503) if refusal.code == 503 else refused(refusal)


def _detail(state: State, uid: str, standing: Standing) -> dict[str, Any]:
    last = standing.last_interaction
    name = standing.shared_name or people.customer_name(state.seed, uid)
    return {
        "user_id": uid,
        "user_id_by_app": uid,
        "display_name": name,
        "user_alias": name,
        "is_sensitive": False,
        "user_is_follower": bool(standing.follows),
        "user_last_interaction_date": f"{last.astimezone(VIETNAM):%d/%m/%Y}" if last else "",
        "avatar": "",
        "tags_and_notes_info": {"notes": [], "tag_names": []},
        "shared_info": {"name": standing.shared_name, "phone": standing.shared_phone},
    }
