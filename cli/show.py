"""Printing: tables for people, JSON for programs, times in the brand's zone."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

LONGEST_UNBROKEN = 24
"""Columns up to this many characters stay on one line: dates, states, names."""


def print_json(data: Any) -> None:
    """One JSON document on standard output; datetimes in ISO form with their offset."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2, default=_encoded))


def _encoded(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} does not belong into our JSON")


def moment(at: datetime | None, zone: ZoneInfo) -> str:
    """`Mon 02/11/2026 09:00` in `zone`; a dash for no time."""
    return at.astimezone(zone).strftime("%a %d/%m/%Y %H:%M") if at else "-"


def heading(text: str) -> None:
    typer.echo()
    typer.secho(text, bold=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table as wide as the terminal, 160 in a file; numbers to the right. Cells are plain text, never markup."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for number, name in enumerate(columns):
        cells = [row[number] for row in rows]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        short = all(len(str(cell)) <= LONGEST_UNBROKEN for cell in cells)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)
