"""Carrying out a fault script: an ASGI middleware that spoils the requests which `sandbox.fault_script` names.

Without a script it only passes requests on. Requests under /sandbox/, the controls, are never spoilt.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import events, oauth, wire
from sandbox.book import Kind
from sandbox.errors import refuse
from sandbox.fault_script import RequestFault
from sandbox.send import book_facts
from sandbox.state import State

NEW_CONSENT = "sandbox-new-consent"
"""The refresh token that works after a burnt one, as if a person had given consent anew."""

# The first prefix that fits wins.
_APIS = (
    ("/message/template-tag", "template"),
    ("/message/template", "send"),
    ("/rating/get", "rating"),
    ("/response/get", "rating"),
    ("/notify/", "notify"),
    ("/v4/oa/access_token", "token"),
    ("/message/status", "status"),
    ("/message/quota", "quota"),
    ("/template/", "template"),
    ("/v3.0/oa/message/template", "send"),
    ("/v3.0/oa/message/", "chat"),
    ("/v3.0/oa/", "oa"),
    ("/v2.0/oa/", "oa"),
)
_NOT_TAKEN = {"http_429": 429, "http_500": 500, "http_502": 502, "http_503": 503}


@dataclass(frozen=True, slots=True)
class _Call:
    """A request and what the patterns of a rule are compared with; None for what it does not tell.

    `body` is read only where it says whom the request is about, and can be read again by the app.
    """

    request: Request
    api: str
    body: dict[str, Any]
    phone: str | None = None
    template_id: str | None = None
    contact: str | None = None


def with_faults(app: ASGIApp) -> ASGIApp:
    """`app` with the faults of the running sandbox's script; must stand under Starlette, which names its state."""

    async def passed_or_struck(scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or not scope["app"].state.sandbox.faults
            or scope["path"].startswith("/sandbox/")
        ):
            await app(scope, receive, send)
            return
        state = cast(State, scope["app"].state.sandbox)
        try:
            call = await _read(scope, receive, state)
        except ClientDisconnect:
            return
        fault = state.faults.for_request(
            call.api,
            phone=call.phone,
            template_id=call.template_id,
            contact=call.contact,
            now=state.clock.now(),
        )
        if fault is None:
            await app(scope, call.request.receive, send)
        else:
            await _strike(fault, state, call, app, send)

    return passed_or_struck


async def _read(scope: Scope, receive: Receive, state: State) -> _Call:
    api = next((name for prefix, name in _APIS if scope["path"].startswith(prefix)), "other")
    request = Request(scope, receive)
    if api not in ("send", "chat"):
        contact = scope["path"].rpartition("/")[2] if api == "notify" else None
        return _Call(request, api, {}, template_id=request.query_params.get("template_id"), contact=contact)
    content = await request.body()
    body = _object(content)
    recipient = body.get("recipient")
    uid = recipient.get("user_id") if isinstance(recipient, dict) else body.get("user_id")
    template_id = body.get("template_id")
    return _Call(
        Request(scope, _replayed(content, receive)),
        api,
        body,
        phone=_phone(state, body, uid),
        template_id=None if template_id is None else str(template_id),
        contact=None if uid is None else str(uid),
    )


def _phone(state: State, body: Mapping[str, Any], uid: object) -> str | None:
    """The phone by whichever road the message goes; None if the sandbox has not met it."""
    if "phone" in body:
        return str(body["phone"]).removeprefix("+")
    if "hash_phone" in body:
        return state.directory.phone_behind(str(body["hash_phone"]))
    return state.directory.phone_of(str(uid))


def _replayed(content: bytes, receive: Receive) -> Receive:
    """Give `content` once; then whatever really comes, which is the client's leaving."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return replay


async def _strike(fault: RequestFault, state: State, call: _Call, app: ASGIApp, send: Send) -> None:
    """Faults that leave the request untaken first, then changes of the account, then the spoilt answers."""
    request = call.request
    if fault.name == "timeout_before":
        await wire.until_client_leaves(request)
    elif fault.name == "reset_before":
        await wire.reset(request)
    elif fault.name in _NOT_TAKEN:
        await _page(_NOT_TAKEN[fault.name], fault.retry_after)(request.scope, request.receive, send)
    elif fault.name == "code":
        await _refused(fault.code or 0, state, call)(request.scope, request.receive, send)
    elif _worsen(fault.name, state, call.template_id):
        await app(request.scope, request.receive, send)
    else:
        answer = _Answer()
        await app(request.scope, request.receive, answer.take)
        await _spoil(fault, answer, request, send)


def _worsen(name: str, state: State, template_id: str | None) -> bool:
    """Change the account so that the request meets the fault in the app itself; False for any other fault."""
    match name:
        case "expire_token":
            state.tokens.access = None
        case "burn_refresh_token":
            state.tokens.refresh = NEW_CONSENT
        case "quota_out":
            state.use_up_quota(state.clock.now())
        case "balance_out":
            state.switches.refuse_sends_with = -137
        case "template_disabled":
            _disable(state, template_id)
        case _:
            return False
    return True


def _disable(state: State, template_id: str | None) -> None:
    template = state.templates.get(template_id or "")
    if template is not None:
        event = events.template_status(template.id, state.template_status(template), "DISABLE")
        state.webhooks.plan(event, state.clock.now())
        state.switches.template_status[template.id] = "DISABLE"


@dataclass(slots=True)
class _Answer:
    """The app's answer, kept back."""

    start: Message = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")


async def _spoil(fault: RequestFault, answer: _Answer, request: Request, send: Send) -> None:
    """The request has been handled; the client learns it late, badly or never."""
    response: Response
    match fault.name:
        case "timeout_after_accept":
            await wire.until_client_leaves(request)
            return
        case "reset_after_accept":
            await wire.reset(request)
            return
        case "cut_off":
            await send(answer.start)
            half = bytes(answer.body[: len(answer.body) // 2])
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await wire.hang_up(request)
            return
        case "slow":
            await asyncio.sleep(fault.seconds)
            await send(answer.start)
            await send({"type": "http.response.body", "body": bytes(answer.body)})
            return
        case "http_500_after_accept":
            response = _page(500, None)
        case "not_json":
            response = HTMLResponse("<html><body><h1>Hệ thống đang bảo trì</h1></body></html>")
        case "empty":
            response = Response()
        case _:
            raise ValueError(f"the sandbox does not know the fault {fault.name}")
    await response(request.scope, request.receive, send)


def _page(status: int, retry_after: int | None) -> Response:
    """What a gateway says in front of an API: HTML, whatever the client wanted."""
    words = f"{status} {HTTPStatus(status).phrase}"
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return HTMLResponse(f"<html><head><title>{words}</title></head></html>", status, headers)


def _refused(code: int, state: State, call: _Call) -> Response:
    """Zalo's envelope with any code, in the book when it was a message."""
    if call.api == "token":
        return JSONResponse(oauth.problem(code, "Refused by the fault script."))
    facts: dict[str, Any] = {"phone": call.phone}
    if call.contact is not None:
        facts["uid"] = call.contact
    if call.api == "send":
        facts = {**book_facts(state, call.body, None), **facts}
    if call.api in ("send", "chat"):
        kind: Kind = "zns_refused" if call.api == "send" else "chat_refused"
        state.book.enter(kind, state.clock.now(), {**facts, "msg_id": None, "code": code})
    return JSONResponse({"error": code, "message": refuse(code).message})


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
