"""Feedback: one rating or message exactly as received, and the rows we could not accept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from amends.domain.ratings import Scale


@dataclass(frozen=True, slots=True)
class Feedback:
    """One customer's rating or message; unique by (`source`, `external_id`), never changed afterwards.

    `occurred_at` is aware UTC. `phone` is E.164 without the plus sign (`84912345678`, the form Zalo takes).
    `customer_ref` is the source's own id of the person, used when there is no phone or email.
    """

    source: str
    external_id: str
    occurred_at: datetime
    scale: Scale
    rating: float | None = None
    text: str = ""
    customer_ref: str | None = None
    customer_name: str | None = None
    phone: str | None = None
    email: str | None = None
    zalo_uid: str | None = None
    language: str | None = None
    order_ref: str | None = None
    branch: str | None = None
    product: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of a rejected row, and how to put it right."""

    field: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Input that could not become feedback: kept whole in quarantine until an operator repairs or drops it.

    `location` says where it stood, e.g. `reviews.csv line 17`; `fingerprint` makes a second import of the
    same bad row the same quarantine entry.
    """

    source: str
    location: str
    fingerprint: str
    problems: tuple[FieldProblem, ...]
    raw: Mapping[str, Any]
