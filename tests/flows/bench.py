"""Helpers of the flow tests: dropping reviews, moving time, working tickets, and reading the vendor's book."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import tickets
from amends.store.engine import Store
from sandbox.process import Sandbox
from tasks.sweep import Runtime

NEVER_RATES = "84900000000"
WORST_MARK = "84900000001"
BEST_MARK = "84900000005"
NOT_ON_ZALO = "84900000118"
LOST_ANSWER = "84900000999"
"""The sandbox's magic numbers (sandbox/magic.py)."""


def review(number: int, *, phone: str | None, rating: int = 1, **more: object) -> dict[str, object]:
    """A review in the canonical shape, an hour before the tests' Monday morning."""
    return {
        "external_id": f"r{number}",
        "rating": rating,
        "text": "Giao hàng chậm, hộp móp",
        "occurred_at": "2026-11-02T01:00:00+00:00",
        "phone": phone,
        "customer_name": f"Khách {number}",
        **more,
    }


def drop_reviews(runtime: Runtime, name: str, reviews: Iterable[Mapping[str, object]]) -> Path:
    path = runtime.settings.home / "inbox" / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in reviews), encoding="utf-8")
    return path


def move(clock: VirtualClock, sandbox: Sandbox, by: timedelta) -> datetime:
    """Move our clock and the vendor's together."""
    now = clock.advance(by)
    sandbox.set_clock(now)
    return now


def solve_all(store: Store, now: datetime) -> int:
    """The agents take and solve every open ticket at once."""
    with store.begin() as tx:
        waiting = tickets.unsolved(tx)
        for ticket in waiting:
            tickets.solve(tx, ticket.id, ticket.assignee or "lan", "giao hàng", now)
    return len(waiting)


def sent(entries: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """What the vendor accepted: (phone, template type) or (contact, title), counted."""
    counted: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if entry["kind"] == "zns":
            counted[entry["phone"], entry["template_type"]] += 1
        elif entry["kind"] == "agent_notification":
            counted[entry["contact"], entry["title"]] += 1
    return counted


def changed(journey: ComplaintJourney, **changes: object) -> ComplaintJourney:
    """The journey with some fields changed."""
    return ComplaintJourney.model_validate({**journey.model_dump(mode="json"), **changes})
