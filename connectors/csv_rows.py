"""CSV and TSV as people's programs write them: any usual separator, quoted newlines, quotes never closed."""

import csv
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectors.file_kinds import BadRow, FileKind, FileProblem, plain

_SEPARATORS = ",\t;|"
_MOST_LINES = 500
"""More lines than this in one row mean a quote that was never closed."""
_UNDECODED = re.compile("[\udc80-\udcff]")

csv.field_size_limit(2**31 - 1)


def read_delimited(path: Path, found: FileKind) -> Iterator[tuple[str, dict[str, Any] | BadRow]]:
    """The rows as name -> text, each with its place (`reviews.csv line 17`, where the row begins).

    Empty lines and surplus empty cells at the end are passed over. A row with another number of cells than
    the header is a `BadRow`. A quote that is never closed costs its own line, not those it swallowed.
    """
    # Bytes that are no UTF-8 in the midst of the file cost their row, not the import.
    errors = "replace" if found.encoding.startswith("utf-16") else "surrogateescape"
    with path.open(encoding=found.encoding, errors=errors, newline="") as file:
        lines = _Lines(file, combine=found.encoding == "cp1258")
        separator = _separator(path, found.sample)
        _, first = next(_records(lines, separator), (0, []))
        header = _header(path, first)
        width, name = len(header), plain(path.name)
        for line, cells in _records(lines, separator):
            place = f"{name} line {line}"
            if len(cells) > width and not any(cells[width:]):
                del cells[width:]
            if len(cells) != width:
                yield place, _wrong_width(header, cells)
            elif any(map(_UNDECODED.search, lines.taken)):
                problem = f"it has bytes that are not {found.encoding}"
                yield (
                    place,
                    BadRow(problem, "save the file as CSV UTF-8", dict(zip(header, cells, strict=True))),
                )
            else:
                yield place, dict(zip(header, cells, strict=True))


class _Lines:
    """The lines of a file for `csv.reader`: remembers those of the current row, and takes lines back."""

    def __init__(self, file: Iterator[str], *, combine: bool) -> None:
        # windows-1258 writes Vietnamese tones as signs of their own.
        self._file = (unicodedata.normalize("NFC", line) for line in file) if combine else file
        self._returned: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _MOST_LINES:
            raise StopIteration
        line = self._returned.popleft() if self._returned else next(self._file)
        self.taken.append(line)
        return line

    def give_back(self, lines: list[str]) -> None:
        self._returned.extendleft(reversed(lines))


def _records(lines: _Lines, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line."""
    reader = csv.reader(lines, delimiter=separator)
    while True:
        lines.taken.clear()
        cells = next(reader, None)
        if cells is None:
            return
        line = lines.number + 1
        taken = lines.taken
        if len(taken) > 1 and _ran_away(taken, separator):
            lines.give_back(taken[1:])
            del taken[1:]
            cells = next(csv.reader(taken, delimiter=separator))
            reader = csv.reader(lines, delimiter=separator)
        lines.number += len(taken)
        if cells:
            yield line, cells


def _ran_away(taken: list[str], separator: str) -> bool:
    """True when a row of several lines is really an opening quote that swallowed its neighbours.

    It shows by where the quote ends: nowhere, or before something other than a separator.
    """
    try:
        next(csv.reader(taken, delimiter=separator, strict=True))
    except csv.Error:
        return True
    return False


def _separator(path: Path, sample: str) -> str:
    header = sample.lstrip().splitlines()[0]
    unquoted = "".join(header.split('"')[::2])
    named = "\t" if path.suffix.lower() in {".tsv", ".tab"} else ","
    return max(_SEPARATORS, key=lambda sign: (unquoted.count(sign), sign == named))


_MOST_COLUMNS = 2_000


def _header(path: Path, cells: list[str]) -> list[str]:
    if len(cells) > _MOST_COLUMNS:
        problem = f"its first line has {len(cells):,} cells"
        raise FileProblem(
            path, problem, f"put a row on a line of its own, in at most {_MOST_COLUMNS:,} columns"
        )
    names = [unicodedata.normalize("NFC", cell.replace("\ufeff", "").strip()) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise FileProblem(path, "it has no header line", "put the names of the columns into its first line")
    header: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(names, start=1):
        unique = name or f"column {number}"
        repeat = 2
        while unique in taken:
            unique = f"{name} ({repeat})"
            repeat += 1
        header.append(unique)
        taken.add(unique)
    return header


def _wrong_width(header: list[str], cells: list[str]) -> BadRow:
    raw: dict[str, Any] = dict(zip(header, cells, strict=False))
    if len(cells) > len(header):
        raw["_surplus"] = cells[len(header) :]
    return BadRow(
        f"it has {len(cells)} cells, the header has {len(header)}",
        "complete the row; put double quotes around texts with separators, newlines or quotes",
        raw,
    )
