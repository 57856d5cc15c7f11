"""The ZNS templates of the sandbox's Official Account: ids and parameters are ours, the shape is Zalo's.

Types: 1 custom, 4 voucher, 5 service rating. Tags CUSTOMER_CARE (2) and PROMOTION (3) fall under the
night rule (-133). Prices are VND per delivered message, the 2026 list without VAT.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sandbox.errors import Refusal, refuse

Kind = Literal["custom", "rating", "voucher"]
Tag = Literal["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"]
Quality = Literal["HIGH", "MEDIUM", "LOW", "UNDEFINED"]
Status = Literal["ENABLE", "PENDING_REVIEW", "REJECT", "DISABLE"]
_DATE = re.compile(r"(?:([01]\d|2[0-3]):[0-5]\d:[0-5]\d )?(\d{2})/(\d{2})/(\d{4})")


@dataclass(frozen=True, slots=True)
class Param:
    """One registered parameter; lengths in characters after NFC. All of ours are required."""

    name: str
    max_length: int
    type: Literal["STRING", "DATE"] = "STRING"

    def sample(self) -> str:
        """A value that is accepted."""
        return "31/12/2026" if self.type == "DATE" else f"<{self.name}>"[: self.max_length]


@dataclass(frozen=True, slots=True)
class Template:
    """One registered template. `option` is the rating scale of a type 5 template, else empty."""

    id: str
    name: str
    kind: Kind
    tag: Tag
    params: tuple[Param, ...]
    price_vnd: int
    option: Literal["", "five_stars", "three_emotions"] = ""
    status: Status = "ENABLE"
    by_uid: bool = True
    """False for templates made before 2025-12-10, which go to phones only (-249)."""
    created_ms: int = 1_767_200_400_000

    def price(self, by_uid: bool) -> int:
        """VND for one message; by user id it costs less."""
        return self.price_vnd * 7 // 10 if by_uid else self.price_vnd


_CASE = (Param("customer_name", 30), Param("case_code", 30), Param("brand", 30))
_VOUCHER = (
    Param("customer_name", 30),
    Param("case_code", 30),
    Param("voucher_code", 25),
    Param("value", 20),
    Param("expires", 20, "DATE"),
)

TEMPLATES: Mapping[str, Template] = {
    template.id: template
    for template in (
        Template("310001", "Xin lỗi và tiếp nhận", "custom", "CUSTOMER_CARE", _CASE, 200),
        Template("310002", "Apology and acknowledgement", "custom", "CUSTOMER_CARE", _CASE, 200),
        Template("310003", "Xác nhận tiếp nhận", "custom", "TRANSACTION", _CASE, 200),
        Template("320001", "Đánh giá dịch vụ", "rating", "CUSTOMER_CARE", _CASE, 200, "five_stars"),
        Template("320003", "Đánh giá nhanh", "rating", "CUSTOMER_CARE", _CASE, 200, "three_emotions"),
        Template("330001", "Tặng voucher", "voucher", "PROMOTION", _VOUCHER, 300),
        Template("390001", "Chờ duyệt", "custom", "CUSTOMER_CARE", _CASE, 200, status="PENDING_REVIEW"),
        Template("390002", "Đã bị khoá", "custom", "CUSTOMER_CARE", _CASE, 200, status="DISABLE"),
        Template("390249", "Mẫu cũ", "custom", "CUSTOMER_CARE", _CASE, 200, by_uid=False),
    )
}
SCALE_POINTS: Mapping[str, int] = {"five_stars": 5, "three_emotions": 3}
"""The best mark of each rating scale; the worst is 1."""


def check_params(template: Template, data: Mapping[str, Any]) -> Refusal | None:
    """Why Zalo would refuse these values, or None. Keys that the template does not know are ignored."""
    for param in template.params:
        value = data.get(param.name)
        if value is None or value == "":
            return refuse(-1122, f"template data {param.name} is missing")
        if not isinstance(value, str) or (param.type == "DATE" and not _is_date(value)):
            return refuse(-1124, f"template data {param.name} is wrong format")
        if len(unicodedata.normalize("NFC", value)) > param.max_length:
            return refuse(-1121, f"template data {param.name} is break max length")
    return None


def _is_date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    try:
        date(int(match[4]), int(match[3]), int(match[2]))
    except ValueError:
        return False
    return True


def info(template: Template, status: str, quality: str) -> dict[str, Any]:
    """`data` of GET /template/info/v2. Numbers that Zalo writes as strings stay strings."""
    return {
        "templateId": template.id,
        "templateName": template.name,
        "status": status,
        "listParams": [
            {
                "name": param.name,
                "require": True,
                "type": param.type,
                "maxLength": param.max_length,
                "minLength": 0,
                "acceptNull": False,
            }
            for param in template.params
        ],
        "listButtons": [],
        "timeout": 7_200_000,
        "previewUrl": "",
        "templateQuality": quality,
        "templateTag": template.tag,
        "price": str(template.price_vnd),
        "price_sdt": str(template.price_vnd),
        "price_uid": str(template.price(by_uid=True)),
    }
