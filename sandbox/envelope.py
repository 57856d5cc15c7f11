"""What all routes of Zalo share: the envelope of answers, always HTTP 200, and the business API's token check."""

from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse

from sandbox.errors import Refusal
from sandbox.rules import token_refusal
from sandbox.state import State


def state_of(request: Request) -> State:
    return cast(State, request.app.state.sandbox)


def success(data: Any, **beside: Any) -> JSONResponse:
    """`beside` stands next to `data`."""
    return JSONResponse({"error": 0, "message": "Success", "data": data, **beside})


def refused(refusal: Refusal) -> JSONResponse:
    return JSONResponse({"error": refusal.code, "message": refusal.message})


def business_token(request: Request) -> Refusal | None:
    """Why the business API does not let this request in, or None."""
    headers, state = request.headers, state_of(request)
    return token_refusal(
        state, headers.get("access_token"), headers.get("appsecret_proof"), state.clock.now()
    )
