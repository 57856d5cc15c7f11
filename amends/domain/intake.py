"""From a source's row to feedback: the one gate for files, webhooks and polled sources. Pure."""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from amends.domain.columns import Columns
from amends.domain.contacts import mask, normalise_email, normalise_phone
from amends.domain.dates import parse_when
from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.ratings import Scale

_EMPTY = {"", "?", "null", "n/a", "#n/a"}
_LONGEST_EMPTY = max(map(len, _EMPTY))
_ROW_NUMBERS = {"index", "stt", "#", "no", "no.", "row", "unnamed: 0", "column 1"}
_RATING = re.compile(
    r"([+-]?\d+(?:[.,]\d+)?)\s*(?:/\s*(\d{1,3})|sao|stars?|điểm|points?|★|⭐)?", re.IGNORECASE
)
# PostgreSQL stores neither NUL nor a lone surrogate, and both turn up in scraped JSON.
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# As long as the store keeps them. An id must not be cut, or two would become one; a name may be.
_LONGEST_ID = {"external_id": 200, "customer_ref": 200, "zalo_uid": 64, "order_ref": 100}
_LONGEST_NAME = {"customer_name": 200, "branch": 200, "product": 500}
_SHOWN = 60
_NUMBER = int | float  # made once, because every row asks


class Gate:
    """From the rows of one source to feedback; what is the same for all of them is looked up once."""

    def __init__(self, columns: Columns, *, source: str, now: datetime, zone: str) -> None:
        """`now` is aware, and stands in for the time of the feedback when `columns` names no date.

        `zone` is the brand's IANA zone, for dates that name none.
        """
        self._columns, self._source, self._now = columns, source, now
        own: dict[str, Callable[[Any], Any]] = {
            "rating": partial(_rating, scale=columns.scale),
            "occurred_at": partial(parse_when, now=now, zone=zone, formats=columns.date_formats),
        }
        self._readers = [
            (field, column, _READERS.get(field) or own[field]) for field, column in columns.mapped().items()
        ]
        self._required = {field for field in ("external_id", "occurred_at") if getattr(columns, field)}

    def read(self, row: Mapping[str, Any], *, location: str, occurrence: int) -> Feedback | Rejected:
        """The feedback in `row`, or the row with everything that is wrong with it; raises nothing.

        `location` is for people (`reviews.csv line 17`). `occurrence` counts equal rows within one file, from 1.
        Without a column for the external id the identity is the row's `fingerprint` with it, so importing a file again
        adds nothing, and two equal rows of one file stay two feedbacks. An unusable phone or email loses only itself:
        `raw["_problems"]` tells.
        """
        raw: dict[str, Any] = storable(row)
        cells: dict[str, Any] = {}
        read: dict[str, Any] = {}
        wrong: list[FieldProblem] = []
        dropped: list[FieldProblem] = []
        for field, column, reader in self._readers:
            value = _cell(raw, column)
            if value is None:
                continue
            cells[field] = value
            try:
                read[field] = reader(value)
            except ValueError as error:
                told, _, fix = str(error).partition(": ")
                if field in _CONTACTS:  # never shown, not even masked: their readers' messages say enough
                    dropped.append(FieldProblem(field, told, fix))
                else:
                    wrong.append(FieldProblem(field, f"{mask(str(value))[:_SHOWN]!r}: {told}", fix))
        if wrong or not (self._required <= cells.keys() and ("rating" in cells or "text" in cells)):
            wrong += _missing(self._columns, cells)
            return Rejected(self._source, location, fingerprint(raw, occurrence), tuple(wrong), raw)
        if "external_id" not in read:
            read["external_id"] = fingerprint(raw, occurrence)
        if "occurred_at" not in read:
            read["occurred_at"] = self._now.astimezone(UTC)
        if dropped:
            raw["_problems"] = [asdict(problem) for problem in dropped]
        return Feedback(source=self._source, scale=self._columns.scale, raw=raw, **read)


def to_feedback(
    row: Mapping[str, Any],
    columns: Columns,
    *,
    source: str,
    location: str,
    now: datetime,
    zone: str,
    occurrence: int,
) -> Feedback | Rejected:
    """What the `Gate` makes of a single row."""
    return Gate(columns, source=source, now=now, zone=zone).read(
        row, location=location, occurrence=occurrence
    )


def _missing(columns: Columns, cells: Mapping[str, Any]) -> Iterator[FieldProblem]:
    if "rating" not in cells and "text" not in cells:
        yield FieldProblem("rating", "neither a rating nor a text", "fill in one of them, or drop the row")
    if columns.external_id and "external_id" not in cells:
        fix = f"fill in the column {columns.external_id!r}, or map no column to external_id"
        yield FieldProblem("external_id", "the id of the review is empty", fix)
    if columns.occurred_at and "occurred_at" not in cells:
        yield FieldProblem("occurred_at", "the date is empty", f"fill in the column {columns.occurred_at!r}")


# Kept, because making an encoder takes longer than using it.
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def fingerprint(row: Mapping[str, Any], occurrence: int = 1) -> str:
    """32 hex digits of the SHA-256 of the row's content and of which of several equal rows it is.

    Columns that only number the rows (`index`, `STT`, ...) do not count, as they change with the file. The
    mapping does not count either: correcting it and importing again must not double every feedback.
    """
    content = {name: value for name, value in row.items() if name.strip().lower() not in _ROW_NUMBERS}
    normal = unicodedata.normalize("NFC", _canonical.encode(content))
    return hashlib.sha256(f"{occurrence}:{normal}".encode("utf-8", "replace")).hexdigest()[:32]


def _cell(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column or dotted path, None when it is missing or stands for nothing."""
    value: Any = row.get(column)
    if value is None and "." in column and column not in row:
        value = row
        for step in column.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        value = value.strip()
        return None if len(value) <= _LONGEST_EMPTY and value.lower() in _EMPTY else value
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Mapping | list | tuple):
        raise ValueError(
            "a list or an object where one value belongs: name a value inside it, as in author.id"
        )
    return str(value)


def _id(value: Any, longest: int) -> str:
    text = _text(value)
    if len(text) > longest:
        raise ValueError(f"the id is longer than {longest} characters: map the column that holds a short id")
    return text


def _name(value: Any, longest: int) -> str:
    return _text(value)[:longest]


def _language(value: Any) -> str:
    return _text(value).strip().lower()[:2]


_CONTACTS = ("phone", "email")
_READERS: dict[str, Callable[[Any], Any]] = {
    **{field: partial(_id, longest=longest) for field, longest in _LONGEST_ID.items()},
    **{field: partial(_name, longest=longest) for field, longest in _LONGEST_NAME.items()},
    "text": _text,
    "phone": lambda value: normalise_phone(_text(value)),
    "email": lambda value: normalise_email(_text(value)),
    "language": _language,
}
"""Each raises ValueError with `what is wrong: how to put it right`. The mark and the date need the columns, too."""


def _rating(value: Any, scale: Scale) -> float:
    if isinstance(value, _NUMBER) and not isinstance(value, bool):
        rating, out_of = _float(value), None
    else:
        found = _RATING.fullmatch(_text(value))
        if found is None:
            raise ValueError(f"the rating is not a number: write a mark of 1 to {scale.points}")
        rating, out_of = float(found[1].replace(",", ".")), found[2]
    if out_of and int(out_of) != scale.points:
        fitting = next((other.value for other in Scale if other.points == int(out_of)), None)
        fix = f"set scale={fitting}" if fitting else f"write a mark of 1 to {scale.points}"
        raise ValueError(f"the rating is out of {out_of}, the scale has {scale.points} points: {fix}")
    if not scale.accepts(rating):
        raise ValueError(
            f"the rating is outside 1 to {scale.points}: correct it, or set the scale of this source"
        )
    return rating


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def deeper_than(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested deeper, told level by level: those who read it later recurse."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


DEEPEST = 100
"""Levels of nesting. Far below what Python can read from any depth of its own stack, far above what vendors send."""


def storable(value: Any) -> Any:
    """The same value, storable as JSON: U+FFFD for NUL and lone surrogates in every text inside it."""
    if isinstance(value, str):
        return value if _is_storable(value) else _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        if _all_storable(value):
            return dict(value)
        return {storable(key): storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _all_storable(row: Mapping[Any, Any]) -> bool:
    """Whether it is nothing but storable texts, as rows of a table are; looked at in one go."""
    try:
        return _is_storable("".join(chain(row, row.values())))
    except TypeError:
        return False
