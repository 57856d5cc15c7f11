"""Zalo's routes around templates: list, details, samples, quality, tags, registration, images."""

import json
from email.parser import BytesParser
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import registration, templates
from sandbox.chance import digest
from sandbox.envelope import business_token, refused, state_of, success
from sandbox.errors import Refusal, refuse
from sandbox.state import State, day_in_vietnam
from sandbox.templates import Template

_STATUS_NUMBERS = {"1": "ENABLE", "2": "PENDING_REVIEW", "3": "REJECT", "4": "DISABLE"}
_MAX_PAGE = 100
_MAX_IMAGE_BYTES = 500 * 1024
_IMAGES_PER_MONTH = 5_000
_CHANGES_PER_DAY = 100


def routes() -> list[Route]:
    return [
        Route("/template/info", template_info, methods=["GET"]),
        Route("/template/info/v2", template_info, methods=["GET"]),
        Route("/template/all", all_templates, methods=["GET"]),
        Route("/template/sample-data", sample_data, methods=["GET"]),
        Route("/template/create", create, methods=["POST"]),
        Route("/template/edit", edit, methods=["POST"]),
        Route("/message/template-tag", tags, methods=["GET"]),
        Route("/quality", quality, methods=["GET"]),
        Route("/upload/image", upload_image, methods=["POST"]),
    ]


async def template_info(request: Request) -> Response:
    """The registered parameters and state of one template, for both the legacy and the v2 path."""
    template = _asked_for(request)
    if isinstance(template, Refusal):
        return refused(template)
    state = state_of(request)
    return success(templates.info(template, state.template_status(template), _quality(state, template)))


async def all_templates(request: Request) -> Response:
    """`offset`, `limit` up to 100, `status` as a number. The answer writes the status as a word, as Zalo does."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    state, query = state_of(request), request.query_params
    wanted = query.get("status", "")
    if wanted and wanted not in _STATUS_NUMBERS:
        return refused(refuse(-132, "Invalid status"))
    try:
        offset, limit = int(query["offset"]), int(query["limit"])
    except (KeyError, ValueError):
        return refused(refuse(-132))
    if offset < 0 or not 0 < limit <= _MAX_PAGE:
        return refused(refuse(-132))
    rows = [
        {
            "templateId": template.id,
            "templateName": template.name,
            "createdTime": template.created_ms,
            "status": state.template_status(template),
            "templateQuality": _quality(state, template),
        }
        for template in state.templates.values()
        if not wanted or state.template_status(template) == _STATUS_NUMBERS[wanted]
    ]
    return success(rows[offset : offset + limit], metadata={"total": len(rows)})


async def sample_data(request: Request) -> Response:
    """One value for each parameter that would be accepted."""
    template = _asked_for(request)
    if isinstance(template, Refusal):
        return refused(template)
    return success({param.name: param.sample() for param in template.params})


async def quality(request: Request) -> Response:
    """The account's sending quality, over 48 hours and 7 days."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    return success({"oaCurrentQuality": "HIGH", "oa7dayQuality": "HIGH"})


async def tags(request: Request) -> Response:
    """The kinds of content this account may send."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    return success(["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"])


async def create(request: Request) -> Response:
    """Register a template; it waits for review until the switch `template_status` decides."""
    body = await _change(request, "create")
    if isinstance(body, Refusal):
        return refused(body)
    state = state_of(request)
    number = 400_001 + sum(known.startswith("4") for known in state.templates)
    return _registered(state, registration.read(body, str(number), state.clock.now()))


async def edit(request: Request) -> Response:
    """Register a rejected template anew (-1091 in any other state); it waits for review again."""
    body = await _change(request, "edit")
    if isinstance(body, Refusal):
        return refused(body)
    state, template_id = state_of(request), str(body.get("template_id", ""))
    template = state.templates.get(template_id)
    if template is None:
        return refused(refuse(-109))
    if state.template_status(template) != "REJECT":
        return refused(refuse(-1091))
    return _registered(state, registration.read(body, template_id, state.clock.now()))


async def upload_image(request: Request) -> Response:
    """One multipart field `file`, JPG or PNG (else -159), up to 500 kB (else -158); nothing is kept of it."""
    if (refusal := business_token(request)) is not None:
        return refused(refusal)
    state = state_of(request)
    content = _file(request.headers.get("Content-Type", ""), await request.body())
    if content is None or not content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return refused(refuse(-159))
    if len(content) > _MAX_IMAGE_BYTES:
        return refused(refuse(-158))
    month = day_in_vietnam(state.clock.now())[:7]
    if state.edits["image", month] >= _IMAGES_PER_MONTH:
        return refused(refuse(-160))
    state.edits["image", month] += 1
    return success(
        {"media_id": digest(state.seed, "image", month, state.edits["image", month], size=20).hex()}
    )


def _asked_for(request: Request) -> Template | Refusal:
    if (refusal := business_token(request)) is not None:
        return refusal
    return state_of(request).templates.get(request.query_params.get("template_id", "")) or refuse(-109)


def _quality(state: State, template: Template) -> str:
    return state.switches.template_quality.get(template.id, "HIGH")


async def _change(request: Request, what: str) -> dict[str, Any] | Refusal:
    if (refusal := business_token(request)) is not None:
        return refusal
    state = state_of(request)
    try:
        body = json.loads(await request.body())
    except ValueError:
        return refuse(-122)
    day = day_in_vietnam(state.clock.now())
    if state.edits[what, day] >= _CHANGES_PER_DAY:
        return refuse(-160)
    state.edits[what, day] += 1
    return body if isinstance(body, dict) else refuse(-122)


def _registered(state: State, template: Template | Refusal) -> Response:
    if isinstance(template, Refusal):
        return refused(template)
    state.templates[template.id] = template
    state.switches.template_status.pop(template.id, None)
    return success(registration.answer(template))


def _file(content_type: str, body: bytes) -> bytes | None:
    """The content of the field `file`; Python's mail parser reads multipart forms as well."""
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    for part in message.walk():
        if part.get_param("name", header="Content-Disposition") == "file":
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else None
    return None
