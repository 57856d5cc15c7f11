"""What the controls share: reading what was asked, and saying why it cannot be."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


async def asked(request: Request) -> dict[str, Any]:
    """The JSON object of the body; an empty one for anything else, which then lacks what the control needs."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def problem(text: str, status: int = 400) -> Response:
    return JSONResponse({"problem": text}, status)
