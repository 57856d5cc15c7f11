"""What a file really is, whatever its name says: its kind and encoding, what is wrong when it has none."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import charset_normalizer

from amends.domain.contacts import mask

SAMPLE_BYTES = 256 * 1024

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_FOREIGN = (
    (b"PK\x03\x04", "it is an Excel workbook or a ZIP archive", "save it as CSV UTF-8, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel workbook", "save it as CSV UTF-8"),
    (b"\x1f\x8b", "it is compressed with gzip", "unpack it with gunzip"),
    (b"%PDF", "it is a PDF document", "export the data as CSV"),
)
_OPENS_ARRAY = re.compile(r"\[\s*(?:[{\]]|\Z)")
_OPENS_OBJECT = re.compile(r'\{\s*(?:["}]|\Z)')
_WEB_PAGE = re.compile(r"<(?:!doctype|html)", re.IGNORECASE)
_ONE_OBJECT_A_LINE = re.compile(r"\{[^\n]*\}[ \t\r]*(?:\n\s*\{|\n?\Z)")


_LONGEST_PROBLEM = 500
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(text: str) -> str:
    """The text as it can be printed and stored anywhere: names of files are bytes, and files hold anything."""
    return _UNPRINTABLE.sub("\ufffd", text)


class FileProblem(ValueError):
    """A file that cannot be imported as a whole; the message names it, what is wrong, and what to do.

    What it quotes of the file is masked and cut: without a header line, the first customer stands in its place.
    """

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        told = plain(mask(problem))
        self.problem = told if len(told) <= _LONGEST_PROBLEM else f"{told[:_LONGEST_PROBLEM]} ..."
        self.fix = fix
        super().__init__(f"{plain(path.name)}: {self.problem}. Fix: {fix}.")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A part of a file that is no row. `raw` is what could be read of it, and may hold personal data."""

    problem: str
    fix: str
    raw: Mapping[str, Any] = field(repr=False)


class Kind(StrEnum):
    """How the rows stand in the file."""

    DELIMITED = "delimited"
    JSON = "json"
    JSON_LINES = "json_lines"


@dataclass(frozen=True, slots=True)
class FileKind:
    """The kind and encoding of one file; `sample` is its decoded beginning."""

    kind: Kind
    encoding: str
    sample: str


def file_kind(path: Path) -> FileKind:
    """Look into the file; raises `FileProblem` for a missing, unreadable, empty or foreign one."""
    try:
        with path.open("rb") as file:
            head = file.read(SAMPLE_BYTES)
            whole = not file.read(1)
    except FileNotFoundError as error:
        raise FileProblem(path, "there is no such file", "check the name and the folder") from error
    except IsADirectoryError as error:
        raise FileProblem(path, "it is a folder", "name one file in it") from error
    except OSError as error:
        raise FileProblem(path, f"it cannot be read ({error.strerror})", "check its permissions") from error
    for magic, problem, fix in _FOREIGN:
        if head.startswith(magic):
            raise FileProblem(path, problem, fix)
    encoding = _encoding(path, head, whole)
    # The sample may end inside a character, so it is decoded the incremental way.
    sample = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip("\ufeff")
    start = sample.lstrip()
    if not start:
        raise FileProblem(path, "it is empty", "export it again, with the header line")
    if _WEB_PAGE.match(start):
        raise FileProblem(
            path, "it is a web page", "download the data itself; a login may have run out meanwhile"
        )
    return FileKind(_kind(path, start), encoding, sample)


def _kind(path: Path, start: str) -> Kind:
    suffix = path.suffix.lower()
    named_json = suffix in {".json", ".jsonl", ".ndjson"}
    if _OPENS_ARRAY.match(start) or (named_json and start.startswith("[")):
        return Kind.JSON
    if suffix in {".jsonl", ".ndjson"}:
        # Its first lines may be the broken ones, but a table would not open with a brace either.
        return Kind.JSON_LINES if "{" in start else Kind.DELIMITED
    if _OPENS_OBJECT.match(start):
        several = _ONE_OBJECT_A_LINE.match(start)
        return Kind.JSON_LINES if several and not (suffix == ".json" and _single(start)) else Kind.JSON
    return Kind.JSON if named_json and start.startswith("{") else Kind.DELIMITED


def _single(start: str) -> bool:
    """True when one object in one line is all there is: an answer of an API saved as it came."""
    return "\n" not in start.strip()


def _encoding(path: Path, head: bytes, whole: bool) -> str:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    # Without a mark, UTF-16 shows by the zero bytes of its ASCII signs; no other text has any.
    zeros = head.count(b"\0")
    if zeros > len(head) // 10:
        return "utf-16-le" if head[1::2].count(b"\0") * 2 > zeros else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        # What Vietnamese Windows writes, and what Western Windows does. On a small sample the detector
        # would also believe in Big5 or Baltic, which no export of this market uses.
        best = charset_normalizer.from_bytes(head, cp_isolation=["cp1258", "cp1252"]).best()
        if best is None:
            problem = "its text is neither UTF-8, UTF-16 nor windows-1258"
            raise FileProblem(path, problem, "save it as CSV UTF-8") from None
        return best.encoding
    return "utf-8"
