"""What an operator does to entries of the quarantine, on the store."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from amends.domain.columns import Columns, parse_columns
from amends.domain.contacts import mask
from amends.domain.journey import ComplaintJourney, load_journey
from amends.store import quarantine
from amends.store.engine import Store, Tx
from amends.store.quarantine import EntryState, QuarantineEntry, QuarantineProblem
from cli.guard import Trouble, warn
from cli.quarantine_view import journey_of
from tasks import quarantine as reading_again
from tasks.quarantine import Requeued

SHOWN_REASONS = 5
PAGE = 200
"""Entries read at once by `requeue --all`."""

Read = Callable[[Tx, QuarantineEntry, ComplaintJourney, Columns | None, str, datetime], Requeued]


class _NotReally(Exception):
    """Rolls a dry run back."""


class Reader:
    """Reads entries again the way it was typed: with which journey and columns, by whom, and whether really."""

    def __init__(
        self, store: Store, by: str, *, journey: Path | None, columns: str | None, dry_run: bool
    ) -> None:
        """Raises Trouble or JourneyProblem for columns or a journey that cannot be read."""
        self.store, self.by, self.dry_run = store, by, dry_run
        self.given = load_journey(journey) if journey else None
        self.journeys = {self.given.name: self.given} if self.given else {}
        try:
            self.columns = parse_columns(columns) if columns else None
        except ValueError as error:
            raise Trouble(f"--columns: {error}", 2) from None

    def read(self, entry_id: int, read: Read) -> Requeued | None:
        """Read the entry again in a transaction of its own; None when it is in the inbox already.

        A dry run does it and rolls it back, so that what is told is what would happen. Raises QuarantineProblem.
        """
        done: list[Requeued] = []
        try:
            with self.store.begin() as tx:
                entry = quarantine.entry(tx, entry_id)
                if entry.state is EntryState.REQUEUED:
                    return None
                journey = self._journey(tx, entry)
                done.append(read(tx, entry, journey, self.columns, self.by, datetime.now(UTC)))
                if self.dry_run:
                    raise _NotReally
        except _NotReally:
            pass
        return done[0]

    def _journey(self, tx: Tx, entry: QuarantineEntry) -> ComplaintJourney:
        if entry.journey in self.journeys:
            return self.journeys[entry.journey]
        if self.given:
            raise QuarantineProblem(
                f"entry {entry.id} is of the journey {entry.journey}, not of {self.given.name}"
            )
        found = journey_of(tx, entry.journey)
        if found is None:
            raise QuarantineProblem(
                f"entry {entry.id}: the journey {entry.journey} has never been swept; name its file with --journey"
            )
        self.journeys[entry.journey] = found
        return found

    def told(self, entry_id: int, done: Requeued | None) -> str:
        """What came of it, in words."""
        if done is None:
            return f"Entry {entry_id} was requeued already; nothing is changed."
        would = "Would requeue entry" if self.dry_run else "Requeued entry"
        if not done.new and not done.known:
            return f"{would} {entry_id}: {done.note}."
        known = f"; {done.known:,} known before" if done.known else ""
        bad = f"; {done.rejected:,} still bad, entries of their own" if done.rejected else ""
        judged = "; the next sweep judges it" if done.new else ""
        return f"{would} {entry_id}: {done.new:,} new feedback{known}{bad}{judged}."


def fix_entry(reader: Reader, entry_id: int, cells: Mapping[str, str]) -> str:
    """Put one right; returns what to tell. Raises Trouble when it cannot be used with these cells either."""

    def fix(
        tx: Tx,
        entry: QuarantineEntry,
        journey: ComplaintJourney,
        columns: Columns | None,
        by: str,
        now: datetime,
    ) -> Requeued:
        return reading_again.fix(tx, entry, cells, journey, columns, by, now)

    try:
        return reader.told(entry_id, reader.read(entry_id, fix))
    except QuarantineProblem as problem:
        raise Trouble(str(problem)) from None


def requeue_entries(reader: Reader, entry_ids: Sequence[int]) -> bool:
    """Try each again; tells what came of it. Returns whether all of them could be used."""
    refused = 0
    for entry_id in dict.fromkeys(entry_ids):
        try:
            typer.echo(reader.told(entry_id, reader.read(entry_id, reading_again.requeue)))
        except QuarantineProblem as problem:
            warn(str(problem))
            refused += 1
    return refused == 0


def requeue_all(reader: Reader, source: str | None) -> None:
    """Try every open entry again, oldest first; tells how many there were of each kind, and the first reasons."""
    requeued = new = stayed = 0
    after: int | None = None
    while page := _open_ids(reader, source, after):
        after = page[-1]
        for entry_id in page:
            try:
                done = reader.read(entry_id, reading_again.requeue)
                requeued += 1
                new += done.new if done else 0
            except QuarantineProblem as problem:
                stayed += 1
                if stayed <= SHOWN_REASONS:
                    warn(str(problem))
    if stayed > SHOWN_REASONS:
        warn(f"... and {stayed - SHOWN_REASONS:,} more (amends quarantine list)")
    would = "Would requeue" if reader.dry_run else "Requeued"
    typer.echo(f"{would} {requeued:,}, {new:,} new feedback; {stayed:,} stay in quarantine.")


def _open_ids(reader: Reader, source: str | None, after: int | None) -> list[int]:
    with reader.store.read() as tx:
        page = quarantine.list_entries(
            tx,
            limit=PAGE,
            journey=reader.given.name if reader.given else None,
            source=source,
            state=EntryState.OPEN,
            after_id=after,
            oldest_first=True,
        )
    return [entry.id for entry in page]


def drop_entries(store: Store, entry_ids: Sequence[int], by: str, why: str) -> bool:
    """Drop each; tells what was done. Returns whether all of them could be."""
    refused = 0
    for entry_id in dict.fromkeys(entry_ids):
        try:
            typer.echo(_drop(store, entry_id, by, why))
        except QuarantineProblem as problem:
            warn(str(problem))
            refused += 1
    return refused == 0


def _drop(store: Store, entry_id: int, by: str, why: str) -> str:
    with store.begin() as tx:
        entry = quarantine.entry(tx, entry_id)
        if entry.state is EntryState.DROPPED:
            return f"Entry {entry_id} was dropped already, by {entry.settled_by}; nothing is changed."
        if entry.state is EntryState.REQUEUED:
            raise QuarantineProblem(f"entry {entry_id} is in the inbox already; nothing is changed")
        quarantine.settle(tx, entry, EntryState.DROPPED, by=by, why=mask(why), now=datetime.now(UTC))
    return f"Dropped entry {entry_id} ({mask(entry.location)})."
