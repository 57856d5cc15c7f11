"""Controls that make something happen: people write, follow and rate; webhooks are pointed somewhere or sent by hand.

Each answers after the webhooks that it causes were attempted once.
"""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import accept, events, people
from sandbox.asked import asked, problem
from sandbox.chance import digest
from sandbox.directory import hash_of
from sandbox.envelope import state_of
from sandbox.events import Event
from sandbox.oauth import OA_ID, OA_SECRET
from sandbox.post import Endpoint
from sandbox.send import phone_in
from sandbox.state import State

_UID = re.compile(r"\d{5,25}")


def routes() -> list[Route]:
    return [
        Route("/sandbox/webhooks", show_webhooks, methods=["GET"]),
        Route("/sandbox/webhooks", set_webhooks, methods=["POST"]),
        Route("/sandbox/events", emit, methods=["POST"]),
        Route("/sandbox/rate", rate, methods=["POST"]),
        Route("/sandbox/people", introduce, methods=["POST"]),
        Route("/sandbox/people/{act}", act, methods=["POST"]),
    ]


async def show_webhooks(request: Request) -> Response:
    """Where webhooks go (null: nowhere) and how many wait for their time."""
    webhooks = state_of(request).webhooks
    endpoint = webhooks.endpoint
    return JSONResponse(
        {
            "url": endpoint and endpoint.url,
            "tracking_id": endpoint is None or endpoint.tracking_id,
            "waiting": webhooks.waiting,
        }
    )


async def set_webhooks(request: Request) -> Response:
    """{"url": ..., "secret": ..., "tracking_id": true}; only the url is needed, null turns them off."""
    state, body = state_of(request), await asked(request)
    url = body.get("url", 0)
    secret, tracking_id = body.get("secret", OA_SECRET), body.get("tracking_id", True)
    if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        return problem('the body must be {"url": an http:// or https:// address, or null}')
    if not isinstance(secret, str) or not isinstance(tracking_id, bool):
        return problem("secret must be text, tracking_id true or false")
    state.webhooks.point_at(None if url is None else Endpoint(url, secret, tracking_id))
    return await show_webhooks(request)


async def emit(request: Request) -> Response:
    """Sign any payload and send it now, once. Answers {"status": HTTP status or null, "error": text or null}."""
    state, body = state_of(request), await asked(request)
    if not body:
        return problem("the body must be the event, a JSON object")
    if not {"oa_id", "oaId", "sender"} & body.keys():
        body = {**body, "oa_id": OA_ID}
    if not state.webhooks.on:
        return problem("webhooks are off; POST /sandbox/webhooks sets their url", 409)
    outcome = await state.webhooks.send_now(body)
    return JSONResponse({"status": outcome.status, "error": outcome.error})


async def rate(request: Request) -> Response:
    """{"msg_id": ..., "rate": 1, "note": "", "feedbacks": []}: the receiver of that message rates it now."""
    state, body = state_of(request), await asked(request)
    stars, note, feedbacks = body.get("rate"), body.get("note", ""), body.get("feedbacks", [])
    entry = state.book.by_msg_id.get(str(body.get("msg_id", "")))
    if entry is None:
        return problem("no accepted template message has this msg_id", 404)
    if type(stars) is not int or not isinstance(note, str) or not isinstance(feedbacks, list):
        return problem("rate must be a whole number, note text, feedbacks a list")
    try:
        row = accept.rate(state, entry, stars, note, [str(tap) for tap in feedbacks], state.clock.now())
    except ValueError as reason:
        return problem(str(reason), 409)
    await state.webhooks.settle()
    return JSONResponse(row)


async def introduce(request: Request) -> Response:
    """{"phone": "84..."}: the sandbox meets this person; answers phone, uid and hash_phone."""
    state, phone = state_of(request), phone_in(await asked(request))
    if phone is None:
        return problem("phone must be a Vietnamese mobile, 84 and nine digits")
    state.directory.introduce(phone)
    return JSONResponse(
        {"phone": phone, "uid": people.uid_of(state.seed, phone), "hash_phone": hash_of(phone)}
    )


async def act(request: Request) -> Response:
    """say, follow, unfollow or submit_info; the person is named by `uid` or by `phone`."""
    state, body = state_of(request), await asked(request)
    uid = _uid(state, body)
    if uid is None:
        return problem("name the person: uid (digits), or for a known phone: phone (84 and nine digits)")
    try:
        event = _act(state, request.path_params["act"], uid, body)
    except LookupError:
        return problem("people can say, follow, unfollow and submit_info", 404)
    except ValueError as reason:
        return problem(str(reason))
    state.webhooks.plan(event, state.clock.now())
    await state.webhooks.settle()
    return JSONResponse({"uid": uid, "event": event.name, "msg_id": event.about.get("msg_id")})


def _act(state: State, act: str, uid: str, body: dict[str, Any]) -> Event:
    """Let the person act and return what Zalo tells of it. Raises ValueError for a bad body, LookupError."""
    now, directory = state.clock.now(), state.directory
    match act:
        case "say":
            text = body.get("text")
            if not isinstance(text, str) or not text:
                raise ValueError("text must be what they write")
            directory.touched(uid, now)
            state.copies[uid, "said", ""] += 1
            msg_id = digest(state.seed, "said", uid, state.copies[uid, "said", ""], size=10).hex()
            return events.said(uid, text, msg_id)
        case "follow":
            directory.touched(uid, now, follows=True)
            return events.followed(uid, True)
        case "unfollow":
            directory.left(uid)
            return events.followed(uid, False)
        case "submit_info":
            name, phone = body.get("name", ""), body.get("phone", "")
            if not isinstance(name, str) or not isinstance(phone, str) or not name + phone:
                raise ValueError("submit_info needs phone and name")
            standing = directory.touched(uid, now)
            standing.shared_name, standing.shared_phone = name, phone
            return events.submitted(uid, name, phone)
    raise LookupError(act)


def _uid(state: State, body: dict[str, Any]) -> str | None:
    if "uid" in body:
        uid = str(body["uid"])
        return uid if _UID.fullmatch(uid) else None
    phone = phone_in(body)
    if phone is None:
        return None
    state.directory.introduce(phone)
    return people.uid_of(state.seed, phone)
