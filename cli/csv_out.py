"""Writing CSV for spreadsheets: what a customer wrote stays text, whatever it begins with.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break for a formula, and a formula can
read other cells, call programs and send both away. Such a text gets an apostrophe in front, which spreadsheets do not
show (OWASP, "CSV Injection"). Whoever reads the file by program takes one leading apostrophe off where the second
character is one of these.
"""

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from cli.guard import Trouble

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The last four are the full-width ones, which a spreadsheet in an East Asian language takes as well."""


def write_csv(target: Path | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and rows to a file, or to standard output when `target` is None.

    UTF-8; in a file with the mark by which Excel knows it, readable by its owner alone. Every cell is quoted, so that
    one with a semicolon is one cell everywhere. None is an empty cell. Raises Trouble when the file cannot be written.
    """
    if target is None:
        _write(sys.stdout, columns, rows)
        return
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8-sig", errors="replace", newline="") as file:
            _write(file, columns, rows)
    except OSError as error:
        raise Trouble(f"{target} cannot be written ({error.strerror}); name another file", 2) from None


def cell(value: object) -> object:
    """The value as it may stand in a spreadsheet: numbers as they are, texts without a formula."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def _write(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow([cell(name) for name in columns])
    writer.writerows([cell(value) for value in row] for row in rows)
