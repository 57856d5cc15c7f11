"""Registering a template: the body of /template/create and /template/edit as a `Template`, and Zalo's answer.

Zalo's layout blocks are not read: what counts here are type, tag and parameters. Ratings get five stars.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.clock import epoch_ms
from sandbox.errors import Refusal, refuse
from sandbox.oauth import APP_ID, OA_ID
from sandbox.templates import Kind, Param, Tag, Template

_KINDS: Mapping[str, Kind] = {"1": "custom", "4": "voucher", "5": "rating"}
_TAGS: Mapping[str, Tag] = {"1": "TRANSACTION", "2": "CUSTOMER_CARE", "3": "PROMOTION"}
_PRICES: Mapping[Kind, int] = {"custom": 200, "rating": 200, "voucher": 300}
_LENGTH = 30


def read(body: Mapping[str, Any], template_id: str, now: datetime) -> Template | Refusal:
    """-132 for an unknown type or tag, a missing name, bad parameters, or a rating that is not of tag 2."""
    kind, tag = _KINDS.get(str(body.get("template_type"))), _TAGS.get(str(body.get("tag")))
    name, params = body.get("template_name"), body.get("params", [])
    if kind is None or tag is None or (kind == "rating" and tag != "CUSTOMER_CARE"):
        return refuse(-132, "Invalid template type or tag")
    if not isinstance(name, str) or not 10 <= len(name) <= 60:
        return refuse(-132, "Invalid template name")
    if not isinstance(params, list) or not all(
        isinstance(param, dict) and isinstance(param.get("name"), str) for param in params
    ):
        return refuse(-132, "Invalid params")
    return Template(
        id=template_id,
        name=name,
        kind=kind,
        tag=tag,
        params=tuple(Param(param["name"], _LENGTH) for param in params),
        price_vnd=_PRICES[kind],
        option="five_stars" if kind == "rating" else "",
        status="PENDING_REVIEW",
        created_ms=epoch_ms(now),
    )


def answer(template: Template) -> dict[str, Any]:
    """`data` of /template/create and /template/edit."""
    numbers = {word: number for table in (_KINDS, _TAGS) for number, word in table.items()}
    return {
        "template_id": template.id,
        "template_name": template.name,
        "template_type": int(numbers[template.kind]),
        "template_status": template.status,
        "tag": int(numbers[template.tag]),
        "app_id": APP_ID,
        "oa_id": OA_ID,
        "price": str(template.price_vnd),
        "timeout": 7_200_000,
        "preview_url": "",
    }
