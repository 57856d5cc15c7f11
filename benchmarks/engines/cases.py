"""The work: the same complaints for every system under test, and what the vendor must have got in the end."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.checks import Entry
from sandbox import people

SEED = 7
"""Of the sandbox: decides whom Zalo cannot reach."""
MONDAY = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""09:00 in Viet Nam; 2 November 2026."""
APOLOGY, SURVEY, VOUCHER = "310001", "320001", "330001"
BEST = 5
"""The mark every customer gives in the end, so that every case earns a voucher and is closed."""
_BRANCHES = ("Nắng Store Quận 1", "Nắng Store Cầu Giấy", "")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One bad rating of one customer. `number` counts from 1 and becomes the number of the case."""

    number: int
    phone: str
    at: datetime

    @property
    def external_id(self) -> str:
        return f"r{self.number}"

    @property
    def case_code(self) -> str:
        return f"AM{self.number:06d}"

    @property
    def customer(self) -> str:
        return f"Khách {self.number}"

    @property
    def branch(self) -> str:
        return _BRANCHES[self.number % len(_BRANCHES)]

    @property
    def rating(self) -> int:
        return 1 + self.number % 3

    @property
    def text(self) -> str:
        return "Giao hàng chậm, hộp móp, gọi tổng đài không ai nghe máy"


@dataclass(frozen=True, slots=True)
class Day:
    """When what happens to the complaints of one day: they come at nine, and by the afternoon all is well."""

    begins: datetime

    @property
    def solved(self) -> datetime:
        return self.begins + timedelta(minutes=10)

    @property
    def asked(self) -> datetime:
        return self.solved + timedelta(hours=4)

    @property
    def answered(self) -> datetime:
        """Before any of the sandbox's own people would answer."""
        return self.asked + timedelta(minutes=50)


def day(number: int) -> Day:
    return Day(MONDAY + timedelta(days=number))


def complaints(first: int, count: int, on: Day) -> list[Complaint]:
    """`count` complaints from number `first` on, of customers whom Zalo reaches."""
    made: list[Complaint] = []
    candidate = first * 4  # of four numbers more than three are reached, so that no two batches meet
    while len(made) < count:
        phone = f"8491{candidate:07d}"
        candidate += 1
        if people.unreachable_code(SEED, phone) is None:
            made.append(Complaint(first + len(made), phone, on.begins))
    return made


def expected_book(cases: Sequence[Complaint]) -> dict[str, int]:
    """What the vendor has to have accepted: three messages to each customer and one to an agent about each, once."""
    wanted = {f"{template} to {case.phone} about {case.case_code}": 1
              for case in cases for template in (APOLOGY, SURVEY, VOUCHER)}  # fmt: skip
    return wanted | {f"agent about {case.case_code}": 1 for case in cases}


_CODE = re.compile(r"\[(AM\d+)\]")


def name_of(entry: Entry) -> str:
    """What an entry of the vendor's book counts for in `expected_book`; refusals count for nothing expected."""
    if entry["kind"] == "agent_notification":
        code = _CODE.match(entry["title"])
        return f"agent about {code[1] if code else entry['title']}"
    if entry["kind"] != "zns":
        return f"{entry['kind']} {entry.get('code')}"
    return f"{entry['template_id']} to {entry['phone']} about {entry['params'].get('case_code')}"


def as_row(case: Complaint) -> Mapping[str, Any]:
    """The rating as the shop's export has it."""
    row = {
        "external_id": case.external_id,
        "rating": case.rating,
        "text": case.text,
        "occurred_at": case.at.isoformat(),
        "phone": case.phone,
        "customer_name": case.customer,
        "customer_ref": case.phone,
    }
    return row | ({"branch": case.branch} if case.branch else {})
