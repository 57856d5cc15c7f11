"""Files into the inbox, a batch a transaction, with a count on standard error while it lasts."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from amends.domain.columns import Columns
from amends.domain.contacts import mask
from amends.domain.feedback import Rejected
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.sources import FileSource
from amends.store.engine import Store
from cli.guard import warn
from cli.show import print_json
from connectors.files import FileProblem, read_feedback
from tasks.intake import Batch, batches, store_batch

SHOWN_REASONS = 5


@dataclass(slots=True)
class Imported:
    """What became of one file."""

    file: str
    rows: int = 0
    new: int = 0
    known: int = 0
    """Received before, by the source's own id or by the content of the row."""
    quarantined: int = 0
    """Unusable rows of this file, in quarantine now or since an earlier import."""
    reasons: list[str] = field(default_factory=list)
    """The first few, masked."""
    problem: str | None = None
    """Why the file could not be read to its end; None when it was."""


def import_files(
    files: Sequence[Path],
    store: Store,
    journey: ComplaintJourney,
    *,
    columns: Columns | None = None,
    source: str | None = None,
) -> list[Imported]:
    """Import each file; one that cannot be read does not stop the others."""
    if columns is None:
        of_source = (s.columns for s in journey.sources if isinstance(s, FileSource) and s.name == source)
        columns = next(of_source, None)
    imported = []
    console = Console(stderr=True)
    looks = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    progress = Progress(*looks, console=console, transient=True, disable=not console.is_terminal)
    with progress, _threads_in_turn():
        for file in files:
            bar = progress.add_task(file.name, total=None)
            one = Imported(str(file))
            imported.append(one)
            try:
                rows = read_feedback(
                    file, columns=columns, now=datetime.now(UTC), zone=journey.timezone, source=source
                )
                for batch in batches(store, rows):
                    _keep(one, store, journey, batch)
                    progress.update(bar, completed=one.rows)
            except FileProblem as problem:
                one.problem = mask(str(problem))
            progress.remove_task(bar)
    return imported


@contextmanager
def _threads_in_turn() -> Iterator[None]:
    """Hand the interpreter from thread to thread ten times as often as usual.

    Whoever stores needs it for a moment between two waits for the database, and would wait longer for whoever reads.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _keep(one: Imported, store: Store, journey: ComplaintJourney, batch: Batch) -> None:
    new, _ = store_batch(store, journey.name, batch, datetime.now(UTC))
    one.rows += len(batch.rows)
    one.new += new
    one.known += len(batch.rows) - len(batch.bad) - new
    one.quarantined += len(batch.bad)
    one.reasons += [_told(row) for row in batch.bad[: SHOWN_REASONS - len(one.reasons)]]


def _told(row: Rejected) -> str:
    return mask(f"{row.location}: " + "; ".join(f"{p.field}: {p.problem} ({p.fix})" for p in row.problems))


def show(imported: Sequence[Imported], journey: ComplaintJourney, *, as_json: bool) -> None:
    if as_json:
        print_json({"journey": journey.name, "files": [asdict(one) for one in imported]})
        return
    for one in imported:
        if one.problem:
            warn(one.problem)
        if one.rows or not one.problem:
            typer.echo(
                f"{one.file}: {one.rows:,} rows, {one.new:,} new, {one.known:,} already known, "
                f"{one.quarantined:,} quarantined"
            )
        for reason in one.reasons:
            typer.echo(f"  {reason}")
        if one.quarantined > len(one.reasons):
            typer.echo(f"  ... and {one.quarantined - len(one.reasons):,} more (amends quarantine list)")
