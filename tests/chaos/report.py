"""What a run says: a table for people, and one line of JSON for machines."""

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.chaos.harness import Result
from tests.chaos.points import START


def good(results: Sequence[Result]) -> bool:
    return not any(
        result.verdict.duplicates or result.verdict.lost or result.verdict.unexplained for result in results
    )


def figures(results: Sequence[Result], *, seed: int, seconds: float) -> dict[str, object]:
    """The figures of the whole run, and those of each database."""
    each = {result.name: _figures(result) for result in results}
    added: Counter[str] = Counter()
    for found in each.values():
        added.update(found)
    del added["points"], added["covered"], added["seconds"]
    known = {name for result in results for name in _points(result)}
    covered = {name for result in results for name in result.toll.kills}
    whole = {"points": len(known), "covered": len(covered), "seed": seed, "seconds": round(seconds, 1)}
    return {**added, **whole, "databases": each}


def _points(result: Result) -> set[str]:
    return set(result.known) - {START}


def _figures(result: Result) -> dict[str, int]:
    toll, verdict = result.toll, result.verdict
    return {
        "kills": toll.killed,
        "duplicates": len(verdict.duplicates),
        "lost": len(verdict.lost),
        "uncertain": len(verdict.uncertain),
        "unexplained": len(verdict.unexplained),
        "uncertain_arrived": verdict.arrived,
        "points": len(_points(result)),
        "covered": len(toll.kills),
        "timed": toll.timed.total(),
        "sweeps": toll.sweeps,
        "ratings": result.ratings,
        "messages": result.messages,
        "consents": toll.consents,
        "seconds": round(result.seconds),
    }


def show(console: Console, results: Sequence[Result]) -> None:
    """Kills by point and database, the figures, and every finding."""
    table = Table(title="Kills by point", title_justify="left")
    table.add_column("Point")
    for result in results:
        table.add_column(result.name, justify="right")
    for name in sorted({name for result in results for name in _points(result)}):
        table.add_row(name, *(str(result.toll.kills[name]) for result in results))
    table.add_row("from outside, at a random moment", *(str(result.toll.timed.total()) for result in results))
    console.print(table)
    summary = Table(title="What the vendor saw", title_justify="left")
    summary.add_column("")
    each = [_figures(result) for result in results]
    for result in results:
        summary.add_column(result.name, justify="right")
    for name, told in _TOLD.items():
        summary.add_row(told, *(str(found[name]) for found in each))
    console.print(summary)
    for result in results:
        verdict = result.verdict
        for kind, lines in (
            ("DUPLICATE", verdict.duplicates),
            ("LOST", verdict.lost),
            ("UNEXPLAINED", verdict.unexplained),
        ):
            for line in lines:
                console.print(f"{result.name}: {kind} {line}", style="bold red", markup=False)


_TOLD = {
    "kills": "sweeps killed",
    "sweeps": "sweeps in all",
    "ratings": "ratings dropped into the inbox",
    "messages": "requests in the vendor's book",
    "duplicates": "sent twice",
    "lost": "lost",
    "uncertain": "uncertain, for an operator to settle",
    "uncertain_arrived": "... of which the vendor has in fact taken",
    "unexplained": "unexplained",
    "consents": "consents given anew (token lost in its refresh)",
    "seconds": "seconds",
}


def json_line(results: Sequence[Result], *, seed: int, seconds: float) -> str:
    return json.dumps(figures(results, seed=seed, seconds=seconds))
