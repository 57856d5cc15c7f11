"""POST /sandbox/switches: what a test may turn while the sandbox runs. Zalo tells some of it by webhook."""

from dataclasses import asdict
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import events
from sandbox.asked import asked, problem
from sandbox.envelope import state_of
from sandbox.state import State
from sandbox.templates import Quality, Status

_LIMITS = (
    "balance",
    "promotions_per_user_per_day",
    "promotions_per_user_per_month",
    "rate_limit_per_minute",
)
_PER_TEMPLATE = {"template_status": get_args(Status), "template_quality": get_args(Quality)}


def routes() -> list[Route]:
    return [
        Route("/sandbox/switches", show_switches, methods=["GET"]),
        Route("/sandbox/switches", set_switches, methods=["POST"]),
    ]


async def show_switches(request: Request) -> Response:
    """Every switch as it stands; `balance` is what is left."""
    return JSONResponse(asdict(state_of(request).switches))


async def set_switches(request: Request) -> Response:
    """Change the switches that are named (docs/sandbox.md lists them); answers after the webhooks they cause."""
    state, body = state_of(request), await asked(request)
    if reason := _problem(state, body):
        return problem(reason)
    for event in _events(state, body):
        state.webhooks.plan(event, state.clock.now())
    for name, value in body.items():
        if name in _PER_TEMPLATE:
            getattr(state.switches, name).update(value)
        else:
            setattr(state.switches, name, value)
    await state.webhooks.settle()
    return JSONResponse(body)


def _events(state: State, body: dict[str, Any]) -> list[events.Event]:
    told = []
    for template_id, status in body.get("template_status", {}).items():
        before = state.template_status(state.templates[template_id])
        if status != before:
            told.append(events.template_status(template_id, before, status))
    for template_id, quality in body.get("template_quality", {}).items():
        if quality != state.switches.template_quality.get(template_id, "HIGH"):
            told.append(events.template_quality(template_id, quality))
    before_quota = state.switches.daily_quota
    if body.get("daily_quota", before_quota) != before_quota:
        told.append(events.daily_quota(before_quota, body["daily_quota"]))
    return told


def _problem(state: State, body: dict[str, Any]) -> str | None:
    if not body:
        return "the body must be a JSON object with at least one switch"
    for name, value in body.items():
        match name:
            case "night_rule" | "oa_linked":
                good = isinstance(value, bool)
            case "daily_quota":
                good = type(value) is int and value >= 0
            case "refuse_sends_with":
                good = value is None or (type(value) is int and value < 0)
            case "rating_methods":
                good = value in ("both", "get", "post")
            case _ if name in _LIMITS:
                good = value is None or (type(value) is int and value >= 0)
            case _ if name in _PER_TEMPLATE:
                good = isinstance(value, dict) and all(
                    key in state.templates and word in _PER_TEMPLATE[name] for key, word in value.items()
                )
            case _:
                return f"there is no switch {name!r}"
        if not good:
            return f"{name} cannot be {value!r}"
    return None
