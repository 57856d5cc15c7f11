"""`python -m benchmarks.intake`: `amends import` beside the bare loading of the same rows, and its memory."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from amends.settings import Settings
from amends.store.opening import open_store
from benchmarks.databases import POSTGRES, SQLITE, empty_database
from benchmarks.intake.bare import TABLES, keep_rows
from benchmarks.intake.reviews import BAD_EVERY, write_reviews
from benchmarks.part import Chart, FailedRun, Part, Say, Size, Table, main


@dataclass(frozen=True)
class Plan:
    """Rows of the files, small to large, and how often each is imported."""

    rows: tuple[int, ...]
    rounds: int


PLANS = {
    Size.SMOKE: Plan((1_000, 2_000), 1),
    Size.QUICK: Plan((10_000, 50_000), 1),
    Size.FULL: Plan((10_000, 100_000, 1_000_000), 1),
}
_SHORT = {1_000_000: "1m", 50_000: "50k"}
BARE = {POSTGRES: "COPY", SQLITE: "executemany"}
NOTE = (
    "Ours is `amends import` of a CSV file: reading, checking, phones into one form, people found by keyed hash, what "
    "is personal sealed, known rows left alone, bad rows into quarantine, a commit every {batch:,} rows. It ends in "
    "the inbox; the next sweep judges. Bare is {bare} of the very rows that it has left, sealed and numbered "
    "beforehand, into the same tables, indices and constraints, in one transaction. Peak memory is that of the "
    "importing process, as the kernel counts it. Medians of {rounds}, in turn."
)


@dataclass(frozen=True)
class Pair:
    """Rows a second of both, and the peak memory of ours in MiB."""

    rows: int
    ours: float
    bare: float
    peak_mib: float


def run(size: Size, say: Say) -> Part:
    plan, tables, figures = PLANS[size], [], {}
    for kind in (POSTGRES, SQLITE):
        pairs = []
        for rows in plan.rows:
            measured = [_pair(kind, rows) for _ in range(plan.rounds)]
            ours = statistics.median(one.ours for one in measured)
            bare = statistics.median(one.bare for one in measured)
            pairs.append(Pair(rows, ours, bare, max(one.peak_mib for one in measured)))
            say(f"{kind}: {rows:,} rows, {pairs[-1].ours:,.0f} a second, bare {pairs[-1].bare:,.0f}")
        tables.append(_table(kind, plan, pairs))
        largest = pairs[-1]
        if name := _SHORT.get(largest.rows):
            figures[f"import_of_{'copy' if kind == POSTGRES else 'executemany_sqlite'}"] = round(
                largest.ours / largest.bare, 3
            )
            memory = largest.peak_mib / pairs[0].peak_mib
            figures[f"memory_{name}_of_10k"] = max(
                round(memory, 3), figures.get(f"memory_{name}_of_10k", 0.0)
            )
    return Part(tables, figures)


def _pair(kind: str, rows: int) -> Pair:
    """Ours, then the bare loading of what it has left. Raises FailedRun when rows are lost or doubled."""
    with _folder() as folder:
        file, home, kept = folder / "reviews.csv", folder / "home", folder / "kept"
        home.mkdir()
        kept.mkdir()
        write_reviews(file, rows)
        with empty_database(kind) as url:
            ours = _child("ours", url, file, home)
            if (ours["new"], ours["quarantined"]) != (rows - rows // BAD_EVERY, rows // BAD_EVERY):
                raise FailedRun(f"{kind}: of {rows:,} rows {ours['new']:,} arrived: {ours}")
            store = open_store(Settings(home=home, database_url=SecretStr(url)))
            keep_rows(store, kept)
            store.close()
        with empty_database(kind) as url:
            bare = _child("bare", url, home, kept)
        if bare["feedbacks"] != ours["new"] or bare["quarantine"] != ours["quarantined"]:
            raise FailedRun(f"{kind}: the bare loading left {[bare[table] for table in TABLES]}")
        return Pair(rows, rows / ours["seconds"], rows / bare["seconds"], ours["peak_kib"] / 1024)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _child(name: str, url: str, *arguments: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.intake.{name}", *map(str, arguments)]
    environment = os.environ | {"AMENDS_DATABASE_URL": url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise FailedRun(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _table(kind: str, plan: Plan, pairs: list[Pair]) -> Table:
    from tasks.intake import BATCH

    cells: list[tuple[str, ...]] = [
        (
            f"{pair.rows:,}",
            f"{pair.ours:,.0f}",
            f"{pair.bare:,.0f}",
            f"{pair.ours / pair.bare:.2f}",
            f"{pair.peak_mib:.0f}",
            f"{pair.peak_mib / pairs[0].peak_mib:.2f}",
        )
        for pair in pairs
    ]
    columns = ("rows", "ours, rows/s", f"{BARE[kind]}, rows/s", "ratio", "peak memory, MiB", "ratio")
    last = pairs[-1]
    bars = {"amends import": last.ours, BARE[kind]: last.bare}
    title = f"Import, {'PostgreSQL' if kind == POSTGRES else 'SQLite'}"
    note = NOTE.format(bare=BARE[kind], batch=BATCH, rounds=plan.rounds)
    return Table(title, columns, cells, note, Chart(f"{title}, {last.rows:,} rows", "rows a second", bars))


if __name__ == "__main__":
    main(run, __doc__.splitlines()[0])
