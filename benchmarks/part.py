"""What a part of the benchmarks is: a module with `run(size, say)` that measures, checks itself, returns this."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

Say = Callable[[str], None]
"""Tells whoever waits how far the part has come; goes to standard error."""


class Size(StrEnum):
    """How much is measured. `SMOKE` only shows that a part still runs: its figures mean nothing."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"


class FailedRun(RuntimeError):
    """A run that lost or doubled anything, whatever its speed: it has no figures."""


@dataclass(frozen=True)
class Chart:
    """Bars, one a label, in the unit named."""

    title: str
    unit: str
    bars: dict[str, float]


@dataclass(frozen=True)
class Table:
    """Rows as a person reads them; `note` says in a sentence or two what was counted, how often, and what it means."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    chart: Chart | None = None


@dataclass(frozen=True)
class Part:
    """The outcome of one part. `figures` are for `latest.json`, one flat number a name: ratios and medians."""

    tables: list[Table] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Part":
        data = json.loads(text)
        tables = [
            Table(
                table["title"],
                tuple(table["columns"]),
                [tuple(row) for row in table["rows"]],
                table["note"],
                Chart(**table["chart"]) if table["chart"] else None,
            )
            for table in data["tables"]
        ]
        return cls(tables, data["figures"])


def main(run: Callable[[Size, Say], Part], summary: str) -> None:
    """The command of a part run alone: `python -m benchmarks.NAME [--size full] [--json]`."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.QUICK, help="quick by default")
    parser.add_argument("--out", type=Path, help="also write the outcome to this file, as JSON")
    arguments = parser.parse_args()
    try:
        part = run(arguments.size, lambda text: print(f"  {text}", file=sys.stderr, flush=True))
    except FailedRun as failure:
        sys.exit(f"failed run: {failure}")
    if arguments.out:
        arguments.out.write_text(part.to_json(), "utf-8")
        return
    from benchmarks.show import show

    show(part)
