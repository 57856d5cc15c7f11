"""The sandbox's own controls, which no vendor has: clock, book, switches, reset, health."""

import json
from datetime import datetime
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.state import State, fresh
from sandbox.templates import TEMPLATES, Status


def routes() -> list[Route]:
    return [
        Route("/sandbox/clock", show_clock, methods=["GET"]),
        Route("/sandbox/clock", set_clock, methods=["POST"]),
        Route("/sandbox/book", show_book, methods=["GET"]),
        Route("/sandbox/switches", set_switches, methods=["POST"]),
        Route("/sandbox/reset", reset, methods=["POST"]),
        Route("/sandbox/health", health, methods=["GET"]),
    ]


async def show_clock(request: Request) -> Response:
    return _clock(_state(request))


async def set_clock(request: Request) -> Response:
    """{"now": ISO time with offset} stops the clock there; {"now": null} lets it run with the machine's."""
    state, body = _state(request), await _body(request)
    if "now" not in body:
        return _problem('the body must be {"now": ISO time with offset, or null}')
    try:
        state.clock.set(None if body["now"] is None else datetime.fromisoformat(str(body["now"])))
    except ValueError as error:
        return _problem(str(error))
    return _clock(state)


async def show_book(request: Request) -> Response:
    """A JSON list of entries: `?kind=zns&phone=...` filters on fields, `after` skips up to that `n`."""
    wanted = dict(request.query_params)
    try:
        after, limit = int(wanted.pop("after", "0")), int(wanted.pop("limit", "0"))
    except ValueError:
        return _problem("after and limit must be whole numbers")
    if after < 0 or limit < 0:
        return _problem("after and limit must not be negative")
    entries = list(_state(request).book.select(wanted, after))
    return JSONResponse(entries[:limit] if limit else entries)


async def set_switches(request: Request) -> Response:
    """Change night_rule, daily_quota, refuse_sends_with (code or null), template_status ({id: status})."""
    state, body = _state(request), await _body(request)
    problem = _switch_problem(body)
    if problem:
        return _problem(problem)
    for name, value in body.items():
        if name == "template_status":
            state.switches.template_status |= value
        else:
            setattr(state.switches, name, value)
    return JSONResponse(body)


async def reset(request: Request) -> Response:
    """As newly started: empty book, first refresh token, the clock and switches of the start."""
    request.app.state.sandbox = fresh(_state(request).start)
    return JSONResponse({"ok": True})


async def health(request: Request) -> Response:
    state = _state(request)
    return JSONResponse({"status": "ok", "seed": state.seed, "entries": len(state.book.entries)})


def _switch_problem(body: dict[str, Any]) -> str | None:
    if not body:
        return "the body must be a JSON object with at least one switch"
    for name, value in body.items():
        match name:
            case "night_rule":
                good = isinstance(value, bool)
            case "daily_quota":
                good = type(value) is int and value >= 0
            case "refuse_sends_with":
                good = value is None or (type(value) is int and value < 0)
            case "template_status":
                good = isinstance(value, dict) and all(
                    key in TEMPLATES and status in get_args(Status) for key, status in value.items()
                )
            case _:
                return f"there is no switch {name!r}"
        if not good:
            return f"{name} cannot be {value!r}"
    return None


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _clock(state: State) -> Response:
    return JSONResponse({"now": state.clock.now().isoformat(), "virtual": state.clock.fixed is not None})


def _problem(text: str) -> Response:
    return JSONResponse({"problem": text}, 400)


def _state(request: Request) -> State:
    return cast(State, request.app.state.sandbox)
