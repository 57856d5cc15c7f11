"""The sandbox's own controls, which no vendor has: clock, book, fault script, reset, health."""

import json
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.asked import asked, problem
from sandbox.envelope import state_of
from sandbox.fault_script import ScriptProblem, read_rules
from sandbox.state import State, fresh


def routes() -> list[Route]:
    return [
        Route("/sandbox/clock", show_clock, methods=["GET"]),
        Route("/sandbox/clock", set_clock, methods=["POST"]),
        Route("/sandbox/book", show_book, methods=["GET"]),
        Route("/sandbox/faults", show_faults, methods=["GET"]),
        Route("/sandbox/faults", set_faults, methods=["POST"]),
        Route("/sandbox/reset", reset, methods=["POST"]),
        Route("/sandbox/health", health, methods=["GET"]),
    ]


async def show_clock(request: Request) -> Response:
    return _clock(state_of(request))


async def set_clock(request: Request) -> Response:
    """{"now": ISO time with offset} stops the clock there; {"now": null} lets it run with the machine's.

    Answers after every webhook that is due by then was attempted once.
    """
    state, body = state_of(request), await asked(request)
    if "now" not in body:
        return problem('the body must be {"now": ISO time with offset, or null}')
    try:
        state.clock.set(None if body["now"] is None else datetime.fromisoformat(str(body["now"])))
    except ValueError as error:
        return problem(str(error))
    await state.webhooks.settle()
    return _clock(state)


async def show_book(request: Request) -> Response:
    """A JSON list of entries: `?kind=zns&phone=...` filters on fields, `after` skips up to that `n`."""
    wanted = dict(request.query_params)
    try:
        after, limit = int(wanted.pop("after", "0")), int(wanted.pop("limit", "0"))
    except ValueError:
        return problem("after and limit must be whole numbers")
    if after < 0 or limit < 0:
        return problem("after and limit must not be negative")
    entries = list(state_of(request).book.select(wanted, after))
    return JSONResponse(entries[:limit] if limit else entries)


async def show_faults(request: Request) -> Response:
    """The rules in order, each with how often it `matched` and `struck`."""
    return JSONResponse(state_of(request).faults.report())


async def set_faults(request: Request) -> Response:
    """A JSON list of rules replaces the script, counting from zero; an empty list ends all faults."""
    try:
        rules = read_rules(json.loads(await request.body()))
    except ScriptProblem as wrong:
        return problem(str(wrong))
    except ValueError:
        return problem("the body must be a JSON list of rules; [] ends all faults")
    state_of(request).faults.replace(rules)
    return await show_faults(request)


async def reset(request: Request) -> Response:
    """As newly started: empty book, first refresh token, the clock and switches of the start."""
    old = state_of(request)
    request.app.state.sandbox = fresh(old.start)
    await old.webhooks.close()
    return JSONResponse({"ok": True})


async def health(request: Request) -> Response:
    state = state_of(request)
    return JSONResponse({"status": "ok", "seed": state.seed, "entries": len(state.book.entries)})


def _clock(state: State) -> Response:
    return JSONResponse({"now": state.clock.now().isoformat(), "virtual": state.clock.fixed is not None})
