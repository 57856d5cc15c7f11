"""Ratings that another system posts to us: one JSON object, a list of them, or either inside an envelope's `data`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from amends.domain.columns import Columns
from amends.domain.contacts import mask
from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.intake import fingerprint, storable, to_feedback
from amends.domain.shapes import guess_columns, header_of

MOST_ROWS = 1_000
"""Ratings taken from one webhook; more belong into a file."""


def read_posted(
    payload: Any, columns: Columns | None, *, source: str, key: str, now: datetime, zone: str
) -> list[Feedback | Rejected]:
    """Every rating in a webhook's payload, good ones as feedback, bad ones with all their problems.

    Without `columns` they are guessed from the names of the fields. `key` is the webhook's own id: it is a rating's
    identity when the source has none of its own, so that a repeated delivery adds nothing. `now` (aware) is when it
    came, and the time of ratings that name none; `zone` (IANA) is that of dates without one. Raises nothing.
    """
    rows = _rows(payload)
    location = f"webhook {key}"
    if not rows or len(rows) > MOST_ROWS:
        told = f"more than {MOST_ROWS} ratings" if rows else "no object with a rating"
        return [
            _refused(
                source, location, "body", told, "post objects such as {'rating': 2, 'text': '...'}", payload
            )
        ]
    objects = [row for row in rows if isinstance(row, Mapping)]
    if columns is None:
        columns = guess_columns(header_of(objects), dated=False)
    if columns is None:
        fix = "name the fields under `columns` of this source in the journey"
        names = storable(mask(", ".join(header_of(objects)))[:200])
        return [
            _refused(source, location, "columns", f"its fields are not known to us: {names}", fix, payload)
        ]
    rows = [inner for row in rows for inner in _records(row, columns.records)]
    return [_read(row, columns, n, source, key, now, zone) for n, row in enumerate(rows, start=1)]


def _records(row: Any, records: str | None) -> list[Any]:
    """The ratings in a list inside the object, each with the single values around the list as `parent`."""
    inside = row.get(records) if records and isinstance(row, Mapping) else None
    if not isinstance(inside, list):
        return [row]
    parent = {name: value for name, value in row.items() if not isinstance(value, list | dict)}
    return [{"parent": parent, **one} if isinstance(one, Mapping) else one for one in inside]


def _read(
    row: Any, columns: Columns, number: int, source: str, key: str, now: datetime, zone: str
) -> Feedback | Rejected:
    location = f"webhook {key} item {number}"
    if not isinstance(row, Mapping):
        return _refused(source, location, "row", "it is not an object", "write it as {'rating': 2, ...}", row)
    found = to_feedback(row, columns, source=source, location=location, now=now, zone=zone, occurrence=1)
    if isinstance(found, Feedback) and columns.external_id is None:
        return replace(found, external_id=f"{key}#{number}"[-200:])
    return found


def _rows(payload: Any) -> list[Any]:
    """Standard Webhooks advises an envelope of `type`, `timestamp` and `data`; plain objects are as welcome."""
    if isinstance(payload, Mapping) and isinstance(payload.get("data"), Mapping | list) and "type" in payload:
        payload = payload["data"]
    return payload if isinstance(payload, list) else [payload] if isinstance(payload, Mapping) else []


def _refused(source: str, location: str, field: str, problem: str, fix: str, raw: Any) -> Rejected:
    kept = storable({"body": raw})
    return Rejected(
        source, location, fingerprint({**kept, "at": location}), (FieldProblem(field, problem, fix),), kept
    )
