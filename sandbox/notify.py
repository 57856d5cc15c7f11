"""The sink of agent notifications: takes what Apprise's json:// plugin posts and enters it in the book.

The contact `out-of-order` answers HTTP 503 and takes nothing, for tests of a failing notification service.
"""

from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.state import State

BROKEN_CONTACT = "out-of-order"


def routes() -> list[Route]:
    return [Route("/notify/{contact}", notify, methods=["POST"])]


async def notify(request: Request) -> Response:
    """Body: JSON with `title`, `message` and `type` (info, success, warning or failure)."""
    contact = request.path_params["contact"]
    if contact == BROKEN_CONTACT:
        return JSONResponse({"problem": "this contact is always out of order"}, 503)
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return JSONResponse({"problem": "the body must be a JSON object"}, 400)
    state = cast(State, request.app.state.sandbox)
    fields = {name: str(body.get(name, "")) for name in ("title", "message", "type")}
    state.book.enter("agent_notification", state.clock.now(), {"contact": contact, **fields})
    return JSONResponse({"ok": True})
