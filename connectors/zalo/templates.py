"""What a ZNS template is and wants, and whether a message fits it. Pure functions.

Source: developers.zalo.me, ZBS Template Message "template details" (`GET /template/info/v2`) and the error
table; checked 2026-11-23 in stored copies. Zalo would refuse what is refused here without charging for it
(-1121, -1122, -1124, -131, -146, -133): knowing beforehand saves the calls and names the parameter.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.zalo.answers import as_flag, as_int, data_of

_DATE = re.compile(r"(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d )?(\d{2})/(\d{2})/(\d{4})")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*")

# Old names of the tags still appear in answers; which of today's three they became is partly our reading.
_TAGS = {
    "1": "TRANSACTION",
    "OTP": "TRANSACTION",
    "IN_TRANSACTION": "TRANSACTION",
    "ACCOUNT_UPDATE": "TRANSACTION",
    "2": "CUSTOMER_CARE",
    "POST_TRANSACTION": "CUSTOMER_CARE",
    "GENERAL_UPDATE": "CUSTOMER_CARE",
    "3": "PROMOTION",
    "FOLLOW_UP": "PROMOTION",
}


@dataclass(frozen=True, slots=True)
class TemplateParam:
    """One variable of a template. Lengths in characters (Unicode NFC), None when Zalo states none.

    `type` is Zalo's own word, such as STRING, NUMBER or DATE. `accept_null`: may be empty although required.
    """

    name: str
    type: str
    required: bool
    max_length: int | None
    min_length: int | None = None
    accept_null: bool = False


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """A template as registered. `status` is `ENABLE`, `PENDING_REVIEW`, `REJECT` or `DISABLE`.

    `tag` is Zalo's word for the kind of content, `kind` today's word for it. Prices in whole VND per delivered
    message, without VAT, None when untold. `quality` is `HIGH`, `MEDIUM`, `LOW` or `UNDEFINED`.
    """

    template_id: str
    name: str
    status: str
    tag: str
    params: tuple[TemplateParam, ...]
    quality: str = ""
    price_phone_vnd: int | None = None
    price_uid_vnd: int | None = None

    @property
    def enabled(self) -> bool:
        return self.status == "ENABLE"

    @property
    def kind(self) -> str:
        """`TRANSACTION`, `CUSTOMER_CARE` or `PROMOTION` (tags 1, 2, 3), or whatever else Zalo says."""
        return _TAGS.get(self.tag, self.tag)

    @property
    def sleeps_at_night(self) -> bool:
        """Tags 2 and 3 are refused between 22:00 and 06:00 (-133)."""
        return self.kind in ("CUSTOMER_CARE", "PROMOTION")


def read_template(body: Mapping[str, Any]) -> TemplateInfo | None:
    """The `data` of `/template/info/v2`, or None when it is not one."""
    data = data_of(body)
    if not data.get("templateId"):
        return None
    params = data.get("listParams")
    price = _price(data.get("price"))
    by_phone, by_uid = _price(data.get("price_sdt")), _price(data.get("price_uid"))
    return TemplateInfo(
        template_id=str(data["templateId"]),
        name=str(data.get("templateName") or ""),
        status=str(data.get("status") or ""),
        tag=str(data.get("templateTag") or ""),
        params=tuple(
            _param(param)
            for param in (params if isinstance(params, list) else [])
            if isinstance(param, Mapping) and param.get("name")
        ),
        quality=str(data.get("templateQuality") or ""),
        price_phone_vnd=price if by_phone is None else by_phone,
        price_uid_vnd=price if by_uid is None else by_uid,
    )


def _price(value: object) -> int | None:
    """Zalo's messages cost hundreds of VND; what is not below ten million is no price."""
    price = as_int(value)
    return price if price is not None and 0 <= price < 10_000_000 else None


def _param(param: Mapping[str, Any]) -> TemplateParam:
    return TemplateParam(
        name=str(param["name"]),
        type=str(param.get("type") or "STRING"),
        required=bool(as_flag(param.get("require"))),
        max_length=as_int(param.get("maxLength")),
        min_length=as_int(param.get("minLength")) or None,
        accept_null=bool(as_flag(param.get("acceptNull"))),
    )


def composed(params: Mapping[str, str]) -> dict[str, str]:
    """The values in Unicode NFC: Zalo counts code points and refuses decomposed Vietnamese as too long."""
    return {name: unicodedata.normalize("NFC", value) for name, value in params.items()}


def fitting(info: TemplateInfo, params: Mapping[str, str]) -> dict[str, str] | str:
    """The values to send, or what is wrong with the first that does not fit; that text never has the value.

    Only registered parameters are sent: what Zalo makes of others is not documented.
    """
    if not info.params:
        # A template without any variable, or an answer that did not list them: nothing to judge by.
        return dict(params)
    for param in info.params:
        if trouble := misfit(param, params.get(param.name, "")):
            return trouble
    known = {param.name: params.get(param.name) for param in info.params}
    # Empty optional values are left out; an empty required one has just been found acceptable.
    required = {param.name for param in info.params if param.required}
    return {name: value for name, value in known.items() if value or (name in required and value == "")}


def misfit(param: TemplateParam, value: str) -> str | None:
    """Why Zalo would refuse this value (in NFC) of a parameter; None when it would not, as far as is known."""
    name, length = param.name, len(value)
    if not value:
        return f"parameter {name} is missing or empty" if param.required and not param.accept_null else None
    if param.type.upper() == "DATE" and not _is_date(value):
        return f"parameter {name} must be a date: dd/mm/yyyy or hh:mm:ss dd/mm/yyyy"
    if param.type.upper() == "NUMBER" and not _NUMBER.fullmatch(value):
        return f"parameter {name} must be a number"
    if param.max_length is not None and length > param.max_length:
        return f"parameter {name} is too long: at most {param.max_length} characters, it has {length}"
    if param.min_length is not None and length < param.min_length:
        return f"parameter {name} is too short: at least {param.min_length} characters, it has {length}"
    return None


def _is_date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    try:
        date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        return False
    return True
