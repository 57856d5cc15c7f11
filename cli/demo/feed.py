"""The demo's reviews: read from real files, moved onto the demo's window, dropped into the journey's inbox."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from amends.domain.columns import Columns
from amends.domain.feedback import Feedback, Rejected
from amends.domain.ratings import Scale
from connectors.files import read_feedback
from sandbox import people

LONGEST_GAP = timedelta(days=30)
"""Longer silences between two reviews are cut to this before scaling: some exports have a hole of years."""


@dataclass(frozen=True, slots=True)
class Reviews:
    """What the files held. `arrivals` are in order, on the demo's clock."""

    arrivals: Sequence[Feedback]
    rejected: Sequence[Rejected]


def read_reviews(
    files: Sequence[Path],
    columns: Columns | None,
    *,
    now: datetime,
    zone: str,
    seed: int,
    start: datetime,
    window: timedelta,
) -> Reviews:
    """Read every file; reviews keep their order and get a simulated contact where they have none.

    `now` is what relative dates count from. Raises FileProblem naming the file that cannot be used.
    """
    good: list[Feedback] = []
    bad: list[Rejected] = []
    for path in files:
        for row in read_feedback(path, columns=columns, now=now, zone=zone):
            if isinstance(row, Feedback):
                good.append(row)
            else:
                bad.append(row)
    good.sort(key=lambda feedback: (feedback.occurred_at, feedback.source, feedback.external_id))
    times = _onto_window([feedback.occurred_at for feedback in good], start, window)
    arrivals = [
        _with_contact(replace(feedback, occurred_at=at), seed)
        for feedback, at in zip(good, times, strict=True)
    ]
    return Reviews(arrivals, bad)


def _onto_window(times: Sequence[datetime], start: datetime, window: timedelta) -> list[datetime]:
    elapsed = [timedelta(0)]
    for earlier, later in pairwise(times):
        elapsed.append(elapsed[-1] + min(later - earlier, LONGEST_GAP))
    total = elapsed[-1] or timedelta(seconds=1)
    return [start + window * (passed / total) for passed in elapsed[: len(times)]]


def _with_contact(feedback: Feedback, seed: int) -> Feedback:
    ref = feedback.customer_ref or f"{feedback.source}/{feedback.external_id}"
    if feedback.phone or feedback.email:
        return feedback
    name = feedback.customer_name or people.customer_name(seed, ref)
    return replace(feedback, customer_ref=ref, phone=people.customer_phone(seed, ref), customer_name=name)


def drop(inbox: Path, batch: Sequence[Feedback], number: int) -> list[Path]:
    """Write what arrived into the inbox the way a shop's export would, one file per rating scale."""
    written = []
    for scale in sorted({feedback.scale for feedback in batch}):
        path = inbox / f"{scale.value}-{number:05d}.jsonl"
        lines = [
            json.dumps(_row(feedback), ensure_ascii=False) for feedback in batch if feedback.scale is scale
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.append(path)
    return written


_COLUMNS = ("rating", "text", "occurred_at", "customer_ref", "customer_name", "phone", "email")
_MORE = ("language", "order_ref", "branch", "product")


def columns_of(scale: Scale) -> Columns:
    """The mapping of the files that `drop` writes."""
    names = {name: name for name in ("external_id", *_COLUMNS, *_MORE)}
    return Columns.model_validate({**names, "scale": scale})


def _row(feedback: Feedback) -> dict[str, object]:
    row = {name: getattr(feedback, name) for name in (*_COLUMNS, *_MORE)}
    # Two files may number their reviews alike.
    row["external_id"] = f"{feedback.source}:{feedback.external_id}"
    row["occurred_at"] = feedback.occurred_at.isoformat()
    return row
