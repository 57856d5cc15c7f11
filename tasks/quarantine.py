"""Rows in quarantine read again through the gate they failed at, as they are or with cells put right.

What comes of it has the identity it would have had at once: the source's id, the webhook's, or the content of the row.
So a corrected file that is imported later, or was imported before, adds nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from amends.domain.columns import Columns
from amends.domain.contacts import mask
from amends.domain.feedback import Feedback, Rejected
from amends.domain.intake import fingerprint, to_feedback
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.sources import FileSource, WebhookSource
from amends.domain.shapes import guess_columns, header_of
from amends.store import cursors, quarantine
from amends.store.engine import Tx
from amends.store.quarantine import EntryState, QuarantineEntry, QuarantineProblem
from connectors.files import FileProblem, read_feedback
from connectors.ports import RatingAnswer
from connectors.posted import read_posted
from tasks.intake import keep
from tasks.ratings import as_feedback
from tasks.receive import cursor_of, mark_of, matching, stamp_of

_WEBHOOK = re.compile(r"webhook (\S+?)(?: item (\d+))?")
_MOST_EQUAL_ROWS = 1_000


class Kind(StrEnum):
    """What an entry is made of, and so what can be done with it."""

    ROW = "row"
    """A row with a bad cell: requeued or fixed."""
    BROKEN_ROW = "broken row"
    """Cells too many or too few, bytes or JSON that cannot be read: fixed, not requeued as it is."""
    FILE = "file"
    """A file that could not be read, or only in part: the file is read again, if it is still there."""
    WEBHOOK_ROW = "webhook rating"
    """A rating from a webhook: like a row."""
    WEBHOOK = "webhook"
    """A webhook whose body we could not make sense of: requeued, after its source's columns were corrected."""
    RATING = "Zalo rating"
    """A rating on a scale we do not know, or outside it: requeued after an upgrade, or fixed."""


def kind_of(entry: QuarantineEntry) -> Kind:
    """What the entry is made of."""
    fields = {problem["field"] for problem in entry.problems}
    if entry.fingerprint.startswith("rating:"):
        return Kind.RATING
    if "file" in fields or "_file" in entry.raw:
        return Kind.FILE
    if found := _WEBHOOK.fullmatch(entry.location):
        if found[2] is None:
            return Kind.WEBHOOK
        return Kind.BROKEN_ROW if "row" in fields else Kind.WEBHOOK_ROW
    return Kind.BROKEN_ROW if "row" in fields else Kind.ROW


@dataclass(frozen=True, slots=True)
class Requeued:
    """What came of an entry: new feedback, feedback that was known before, and other entries for what is still bad."""

    new: int
    known: int
    rejected: int = 0
    note: str = ""


class StillBad(QuarantineProblem):
    """The row cannot be used yet; the message tells every problem with its fix, masked."""


def requeue(
    tx: Tx, entry: QuarantineEntry, journey: ComplaintJourney, columns: Columns | None, by: str, now: datetime
) -> Requeued:
    """Try the entry again as it is. Raises StillBad or QuarantineProblem, and then has changed nothing."""
    match kind_of(entry):
        case Kind.BROKEN_ROW:
            raise QuarantineProblem(
                f"entry {entry.id}: the row itself is broken ({entry.problems[0]['problem']}), so its cells may be "
                "in the wrong place: correct it at its source and import it, or with `amends quarantine fix`"
            )
        case Kind.FILE:
            return _read_file_again(tx, entry, journey, by, now)
        case Kind.WEBHOOK:
            columns = columns or _columns_of_webhook(entry, journey)
            found = read_posted(
                entry.raw.get("body"),
                columns,
                source=entry.source,
                key=_webhook_key(entry),
                now=entry.received_at,
                zone=journey.timezone,
            )
            return _take_in(tx, entry, found, by, "requeued as it is", now)
        case _:
            found = [read_again(entry, entry.raw, journey, columns)]
            return _take_in(tx, entry, found, by, "requeued as it is", now)


def fix(
    tx: Tx,
    entry: QuarantineEntry,
    cells: Mapping[str, str],
    journey: ComplaintJourney,
    columns: Columns | None,
    by: str,
    now: datetime,
) -> Requeued:
    """Try the entry again with these cells: `cells` is a column, or a field of the mapping, to its new value.

    The entry keeps the row as it came. Raises StillBad or QuarantineProblem, and then has changed nothing.
    """
    if (kind := kind_of(entry)) in (Kind.FILE, Kind.WEBHOOK):
        raise QuarantineProblem(
            f"entry {entry.id} is a whole {kind}, not a row: {_INSTEAD_OF_FIXING[kind]}, "
            "or drop the entry with `amends quarantine drop`"
        )
    raw, changed = _with_cells(entry, cells, columns or columns_of(entry, entry.raw, journey))
    found = read_again(entry, raw, journey, columns)
    return _take_in(tx, entry, [found], by, f"put right: {', '.join(changed)}", now)


_INSTEAD_OF_FIXING = {
    Kind.FILE: "correct the file and drop it into its folder again",
    Kind.WEBHOOK: "correct the columns of its source and `amends quarantine requeue` it, or have its sender correct it",
}


def read_again(
    entry: QuarantineEntry, raw: Mapping[str, Any], journey: ComplaintJourney, columns: Columns | None
) -> Feedback | Rejected:
    """The row through its gate again. Raises QuarantineProblem when its columns are not known."""
    kind = kind_of(entry)
    if kind is Kind.RATING:
        return as_feedback(_rating_answer(entry, raw), entry.source)
    columns = columns or columns_of(entry, raw, journey)
    if columns is None:
        names = mask(", ".join(header_of([raw])))[:200]
        raise QuarantineProblem(
            f"entry {entry.id}: its columns are not known; they are {names}. Say which is which, as in "
            "--columns rating=stars,text=words, or in the journey"
        )
    found = to_feedback(
        raw,
        columns,
        source=entry.source,
        location=entry.location,
        now=entry.received_at,  # "2 weeks ago" was meant when the row came
        zone=journey.timezone,
        occurrence=_occurrence(entry),
    )
    if isinstance(found, Feedback) and columns.external_id is None and kind is Kind.WEBHOOK_ROW:
        number = _WEBHOOK.fullmatch(entry.location)
        return replace(found, external_id=f"{_webhook_key(entry)}#{number[2] if number else 1}"[-200:])
    return found


def columns_of(entry: QuarantineEntry, raw: Mapping[str, Any], journey: ComplaintJourney) -> Columns | None:
    """The mapping of the entry's source, else guessed from the names in the row; None when neither tells."""
    for source in journey.sources:
        if isinstance(source, FileSource | WebhookSource) and source.name == entry.source and source.columns:
            return source.columns
    return guess_columns(header_of([raw]), dated=kind_of(entry) is not Kind.WEBHOOK_ROW)


def _columns_of_webhook(entry: QuarantineEntry, journey: ComplaintJourney) -> Columns | None:
    of_source = (
        s.columns for s in journey.sources if isinstance(s, WebhookSource) and s.name == entry.source
    )
    return next(of_source, None)


def _webhook_key(entry: QuarantineEntry) -> str:
    found = _WEBHOOK.fullmatch(entry.location)
    return found[1] if found else entry.fingerprint


def _occurrence(entry: QuarantineEntry) -> int:
    """Which of several equal rows of its file the bad one was: the corrected one is that too."""
    numbers = range(1, _MOST_EQUAL_ROWS + 1)
    return next((n for n in numbers if fingerprint(entry.raw, n) == entry.fingerprint), 1)


def _take_in(
    tx: Tx, entry: QuarantineEntry, found: list[Feedback | Rejected], by: str, why: str, now: datetime
) -> Requeued:
    good = [row for row in found if isinstance(row, Feedback)]
    if not good:
        problems = [problem for row in found if isinstance(row, Rejected) for problem in row.problems]
        told = "; ".join(f"{p.field}: {p.problem} ({p.fix})" for p in problems[:5])
        raise StillBad(f"entry {entry.id} still cannot be used: {mask(told)}")
    new, rejected = keep(tx, entry.journey, found, now)
    known = len(good) - new
    note = f"{why}; {new} new, {known} known before" + (f", {rejected} still bad" if rejected else "")
    quarantine.settle(tx, entry, EntryState.REQUEUED, by=by, why=note, now=now)
    return Requeued(new, known, rejected, note)


def _read_file_again(
    tx: Tx, entry: QuarantineEntry, journey: ComplaintJourney, by: str, now: datetime
) -> Requeued:
    """Forget that the file was read, if it lies where it lay and can be read by now."""
    for source in journey.sources:
        if not isinstance(source, FileSource) or source.name != entry.source:
            continue
        for path in matching(source.path):
            cursor = cursor_of(journey.name, source.name, path)
            if mark_of(cursor, stamp_of(path)) == entry.fingerprint:
                rows = _readable_rows(entry, path, source, journey, now)
                cursors.put(tx, cursor, "")
                note = f"the next sweep reads the file again: {rows:,} rows"
                quarantine.settle(tx, entry, EntryState.REQUEUED, by=by, why=note, now=now)
                return Requeued(0, 0, 0, note)
    raise QuarantineProblem(
        f"entry {entry.id} is a file that does not lie in its folder any more as it was; a corrected one is read by "
        "itself, so drop the entry with `amends quarantine drop`"
    )


def _readable_rows(
    entry: QuarantineEntry, path: Path, source: FileSource, journey: ComplaintJourney, now: datetime
) -> int:
    try:
        rows = read_feedback(path, columns=source.columns, now=now, zone=journey.timezone, source=source.name)
        return sum(1 for _ in rows)
    except FileProblem as problem:
        raise StillBad(f"entry {entry.id} still cannot be used: {mask(str(problem))}") from None


def _rating_answer(entry: QuarantineEntry, raw: Mapping[str, Any]) -> RatingAnswer:
    try:
        return RatingAnswer(
            str(raw["msg_id"]),
            str(raw["tracking_id"]),
            int(raw["rate"]),
            str(raw["option"]),
            datetime.fromisoformat(str(raw["submitted_at"])),
            str(raw.get("note") or ""),
            tuple(str(one) for one in raw.get("feedbacks") or ()),
        )
    except (KeyError, TypeError, ValueError):
        raise QuarantineProblem(
            f"entry {entry.id}: a Zalo rating needs rate, a number, and submitted_at, a time; correct them"
        ) from None


def _with_cells(
    entry: QuarantineEntry, cells: Mapping[str, str], columns: Columns | None
) -> tuple[dict[str, Any], list[str]]:
    """The row with new cells, and the names of the columns that changed."""
    raw = {name: value for name, value in entry.raw.items() if name != "_surplus"}
    mapped = columns.mapped() if columns else {}
    texts_only = all(isinstance(value, str) for value in raw.values())
    changed = []
    for name, text in cells.items():
        column = name if name in raw else mapped.get(name, name)
        if column not in raw and column not in mapped.values():
            known = ", ".join(sorted({*raw, *mapped}))
            raise QuarantineProblem(f"entry {entry.id} has no column {name!r}; it has {mask(known)[:300]}")
        old = raw.get(column)
        raw[column] = text if texts_only or isinstance(old, str) else _as_json(text)
        changed.append(column)
    return _unwrapped(entry, raw), changed


def _as_json(text: str) -> Any:
    """In a row of JSON a number stays a number, or its content would be another than that of the corrected source."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unwrapped(entry: QuarantineEntry, raw: dict[str, Any]) -> dict[str, Any]:
    """The object in a line of JSON that could not be read and has been written anew."""
    for wrapper in ("_line", "_value"):
        if wrapper in raw:
            inside = _as_json(str(raw[wrapper]))
            if not isinstance(inside, dict):
                raise QuarantineProblem(
                    f"""entry {entry.id}: write the whole object, as in --set '{wrapper}={{"rating": 2}}'"""
                )
            return inside
    return raw
