"""The web app: webhook intake and its health. `desk.serving` serves it."""

from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from amends.clock import Clock
from amends.settings import Settings
from desk.counts import Counts
from desk.intake import Intake
from desk.limits import Limits
from desk.refusal import Refused, problem, refuse
from desk.signed_door import signed_door
from desk.writer import SpoolWriter
from desk.zalo_door import zalo_door

log = structlog.get_logger()


def create_app(
    settings: Settings,
    clock: Clock,
    spool_writer: SpoolWriter,
    counts: Counts,
    on_arrival: Callable[[str], None],
    health: Callable[[], Mapping[str, Any]],
    limits: Limits | None = None,
) -> FastAPI:
    """The desk's app. Raises ValueError when a webhook secret in the settings is none.

    `on_arrival` hears the door of each committed webhook, in the event loop: it must neither block nor raise.
    `health` names what is wrong, without personal data, and is called in a thread; empty means all is well.
    """
    intake = Intake(settings, clock, spool_writer, counts, on_arrival, limits or Limits())
    app = FastAPI(title="Amends desk", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.counts, app.state.limits = counts, intake.limits
    app.state.admitted = set()  # the connections that are served, see desk.wire
    app.add_exception_handler(Refused, refuse)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _our_fault)
    app.include_router(zalo_door(intake))
    app.include_router(signed_door(intake))

    # A plain function: FastAPI runs it in a thread, where a slow disk holds up no webhook.
    @app.get("/health")
    def tell_health() -> JSONResponse:
        trouble = dict(health())
        # By outcome only: the names of accounts and sources are not for whoever asks.
        totals = Counter[str]()
        for (_door, outcome), number in counts.totals().items():
            totals[outcome] += number
        told = {"trouble": trouble, "spool_waiting": spool_writer.spool.waiting(), "totals": dict(totals)}
        return JSONResponse({"status": "trouble" if trouble else "ok", **told})

    return app


async def _http_problem(request: Request, error: Exception) -> JSONResponse:
    """No such path, or not this method, in the same form as our own refusals."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return problem(status, HTTPStatus(status).phrase.lower())


async def _our_fault(request: Request, error: Exception) -> JSONResponse:
    # The kind only: an error's text may quote what a customer wrote.
    log.error("desk.request_failed", error=type(error).__name__)
    return problem(500, "something went wrong on our side")
