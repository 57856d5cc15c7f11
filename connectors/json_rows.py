"""JSON and JSON Lines, streamed: one row in memory at a time, and a broken end costs only what follows it."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import ijson

from amends.domain.intake import DEEPEST, deeper_than
from connectors.file_kinds import BadRow, FileKind, plain
from connectors.json_depth import Shallow, TooDeep

_FIX_BROKEN = "export the file again; the rows before this place are good"
_KEPT = 100_000
_END = object()

Row = dict[str, Any]


def read_json(path: Path, found: FileKind) -> Iterator[tuple[str, Row | BadRow]]:
    """The objects of the array, or of the first list of objects inside the one object, or that object alone.

    Places are counted from 1: `reviews.json item 3`. After a syntax error comes one `BadRow`, the last.
    """
    prefix = _list_prefix(path, found)
    number = 0
    with path.open("rb") as file:
        items = ijson.items(_utf8(file, found.encoding), prefix, use_float=True)
        while True:
            number += 1
            place = f"{plain(path.name)} item {number}"
            try:
                item = next(items, _END)
            except (ijson.JSONError, UnicodeDecodeError, TooDeep) as error:
                problem = f"the JSON breaks off or is broken here ({_short(error)})"
                yield place, BadRow(problem, _FIX_BROKEN, {"_file": plain(path.name), "_item": number})
                return
            if item is _END:
                return
            yield place, _row(item)


def read_json_lines(path: Path, found: FileKind) -> Iterator[tuple[str, Row | BadRow]]:
    """One object a line; empty lines are passed over, a broken line is a `BadRow` and the rest goes on."""
    with path.open(encoding=found.encoding, errors="replace") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip().lstrip("\ufeff")
            if not text:
                continue
            place = f"{plain(path.name)} line {number}"
            try:
                item = json.loads(text, parse_constant=_no_constant)
                if deeper_than(item, DEEPEST):
                    raise TooDeep
            except (ValueError, RecursionError) as error:
                told = TooDeep() if isinstance(error, RecursionError) else error
                problem = f"it is not JSON ({_short(told)})"
                yield place, BadRow(problem, "correct the line", {"_line": text[:_KEPT]})
                continue
            yield place, _row(item)


def _list_prefix(path: Path, found: FileKind) -> str:
    """ijson's name of the values to stream: of the array, of the first list of objects, or of it all."""
    if found.sample.lstrip().startswith("["):
        return "item"
    opened: str | None = None
    with path.open("rb") as file:
        try:
            for prefix, event, _ in ijson.parse(_utf8(file, found.encoding)):
                if event == "start_map" and opened is not None:
                    return f"{opened}.item"
                opened = prefix if event == "start_array" else None
        except (ijson.JSONError, UnicodeDecodeError, TooDeep):
            return ""  # no list before the break: the reader will say where it broke
    return ""


class _Recoded:
    """A file as UTF-8, the one encoding ijson reads. (`codecs.EncodedFile` lets its `readinto` through raw.)"""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes; empty only at the end of the file, or for a size of 0."""
        while size:
            chunk = self._file.read(size)
            text = self._decoder.decode(chunk, final=not chunk)
            if text or not chunk:
                return text.encode()
        return b""


def _utf8(file: IO[bytes], encoding: str) -> Shallow:
    return Shallow(file if encoding == "utf-8" else _Recoded(file, encoding))


def _row(item: object) -> Row | BadRow:
    if isinstance(item, dict):
        return item
    return BadRow(
        f"it is a {type(item).__name__}, not an object", 'write it as {"rating": 2, ...}', {"_value": item}
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _short(error: Exception) -> str:
    """The first line of the parser's message, without the piece of data that some append."""
    if "int_max_str_digits" in str(error):
        return "a number has thousands of digits"
    return (str(error).splitlines() or [type(error).__name__])[0].partition(": line")[0].strip()
