"""Turning a request away: counted by kind, answered in plain words, never stored and never logged with content."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from desk.counts import Counts, Outcome

RETRY_AFTER_SECONDS = 30

_STATUS: dict[Outcome, int] = {
    "forged": 401,
    "replayed": 409,
    "stale": 400,
    "oversized": 413,
    "truncated": 400,
    "slow": 408,
    "not_json": 400,
    "unknown_source": 404,
    "unavailable": 503,
}

NOT_SIGNED = "the signature is missing or does not fit"
"""Also for accounts that we do not have: which ones there are is nobody's business."""
BUSY = "we cannot take this in just now; please send it again"


class Refused(Exception):
    """Why this request is turned away: `outcome` for the counts, `problem` for the answer; it quotes nothing."""

    def __init__(self, door: str, outcome: Outcome, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.door, self.outcome, self.problem = door, outcome, problem
        self.status = _STATUS[outcome] if status is None else status


def forged(door: str) -> Refused:
    return Refused(door, "forged", NOT_SIGNED)


async def refuse(request: Request, refused: Exception) -> JSONResponse:
    """The answer to a `Refused`; the app's exception handler."""
    assert isinstance(refused, Refused)  # noqa: S101 - the app registers this for `Refused` alone
    counts: Counts = request.app.state.counts
    counts.add(refused.door, refused.outcome)
    return problem(refused.status, refused.problem)


def problem(status: int, text: str) -> JSONResponse:
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return JSONResponse({"problem": text}, status, headers)
