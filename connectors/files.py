"""Reviews from files: CSV, TSV, JSON and JSON Lines, as exports of shops, help desks and scrapers come.

Reads a row at a time, whatever the size of the file. Only sources without an id of their own cost memory
that grows: about 70 MB per million rows, to tell the second of two equal rows from the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from amends.domain.columns import EXAMPLE, Columns
from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.intake import Gate, fingerprint, storable
from amends.domain.shapes import guess_columns, has_column, header_of
from connectors.csv_rows import read_delimited
from connectors.file_kinds import BadRow, FileProblem, Kind, file_kind, plain
from connectors.json_rows import read_json, read_json_lines

__all__ = ["BadRow", "FileProblem", "read_feedback", "read_rows"]

Located = tuple[str, Mapping[str, Any] | BadRow]

_LOOK_AHEAD = 100
"""Rows whose keys make up the header of a JSON file, since a key may be missing from some."""


def read_rows(path: Path) -> Iterator[Located]:
    """Every row of the file with its place, in order; what is no row comes as a `BadRow`.

    The kind and encoding are taken from the content, the suffix only tips the balance. Raises `FileProblem`
    for a file that is missing, unreadable, empty or of another kind.
    """
    found = file_kind(path)
    reader = {Kind.DELIMITED: read_delimited, Kind.JSON: read_json, Kind.JSON_LINES: read_json_lines}
    return reader[found.kind](path, found)


def read_feedback(
    path: Path, *, columns: Columns | None, now: datetime, zone: str, source: str | None = None
) -> Iterator[Feedback | Rejected]:
    """Every row of the file as feedback, or as rejected with all its problems, in the order of the file.

    Without `columns` they are guessed from the header. The source is named `source`, else by the columns,
    else after the file. `now` is aware; `zone` (IANA) is that of dates without one. Raises `FileProblem`,
    before the first row, also when the columns cannot be guessed or are not in the file.
    """
    rows = read_rows(path)
    head = list(islice(rows, _LOOK_AHEAD))
    header = header_of([row for _, row in head if not isinstance(row, BadRow)])
    if not head:
        return iter(())
    if columns is None:
        columns = _guessed(path, header, head)
    elif header:
        _check(path, columns, header)
    return _feedback(chain(head, rows), columns, source or columns.source or plain(path.stem)[:80], now, zone)


def _feedback(
    rows: Iterator[Located], columns: Columns, source: str, now: datetime, zone: str
) -> Iterator[Feedback | Rejected]:
    equal_rows, gate = _EqualRows(), Gate(columns, source=source, now=now, zone=zone)
    for location, row in _records(rows, columns.records):
        if isinstance(row, BadRow):
            problem = FieldProblem("row", row.problem, row.fix)
            yield Rejected(source, location, fingerprint(row.raw), (problem,), storable(row.raw))
            continue
        occurrence = 1 if columns.external_id else equal_rows.count(row)
        yield gate.read(row, location=location, occurrence=occurrence)


class _EqualRows:
    """Counts equal rows by 60 bits of the fingerprint: a false match shifts a count, but each time."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeated: dict[int, int] = {}

    def count(self, row: Mapping[str, Any]) -> int:
        """How many rows equal to this one there were so far, with it."""
        key = int(fingerprint(row)[:15], 16)
        if key not in self._seen:
            self._seen.add(key)
            return 1
        self._repeated[key] = self._repeated.get(key, 1) + 1
        return self._repeated[key]


def _records(rows: Iterator[Located], records: str | None) -> Iterator[Located]:
    """The objects of the nested list, each with the single values around the list as `parent`."""
    for location, row in rows:
        nested = None if records is None or isinstance(row, BadRow) else row.get(records)
        if isinstance(row, BadRow) or not isinstance(nested, list):
            yield location, row
            continue
        parent = {key: value for key, value in row.items() if not isinstance(value, list | dict)}
        for number, record in enumerate(nested, start=1):
            place = f"{location} {records} {number}"
            if isinstance(record, dict):
                yield place, {"parent": parent, **record}
            else:
                yield (
                    place,
                    BadRow("it is not an object", 'write it as {"rating": 2, ...}', {"_value": record}),
                )


def _guessed(path: Path, header: Sequence[str], head: Sequence[Located]) -> Columns:
    columns = guess_columns(header)
    if columns is not None:
        return columns
    if not header:
        problem = next((row.problem for _, row in head if isinstance(row, BadRow)), "")
        raise FileProblem(path, f"none of its first rows can be read, because {problem}", "correct the file")
    raise FileProblem(
        path,
        f"its columns are not known to us; they are {', '.join(header)}",
        f"say which is which, as in --columns {EXAMPLE}",
    )


def _check(path: Path, columns: Columns, header: Sequence[str]) -> None:
    missing = [
        f"{column} ({field})"
        for field, column in columns.mapped().items()
        if not has_column(header, column, columns.records)
    ]
    if missing:
        raise FileProblem(
            path,
            f"it has no column {', '.join(missing)}; its columns are {', '.join(header)}",
            f"correct the mapping, as in --columns {EXAMPLE}",
        )
