"""Receive: bring in what the sources have. The inbox is committed before anything else happens (DESIGN 4.1)."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from amends.domain.contacts import mask
from amends.domain.feedback import FieldProblem, Rejected
from amends.domain.journey.sources import FileSource
from amends.store import cursors, restored
from connectors.file_kinds import plain
from connectors.file_roots import FileRoots
from connectors.files import FileProblem, read_feedback
from tasks.chunks import chunk_task
from tasks.intake import batches, take_in
from tasks.poll import poll_announced, poll_ratings
from tasks.sweep import Sweep
from tasks.webhooks import move_left_behind


async def receive(sweep: Sweep) -> None:
    """Take in new and changed files, webhooks that a dead desk has left behind, and ratings by poll."""
    for source in sweep.journey.sources:
        if isinstance(source, FileSource):
            await _take_in_files(sweep, source)
    move_left_behind(sweep)
    await poll_ratings(sweep)


async def read_files_again(sweep: Sweep) -> Counter[str]:
    """Read the files again that seem unchanged; returns the rows that nothing had brought, by source.

    A changed file is left to `receive`, and so is one that was last written before what is read back. Size and time
    of a file can stay the same while its rows do not: some exports write in place.
    """
    missed: Counter[str] = Counter()
    since = (sweep.now() - sweep.read_back).timestamp()
    for source in sweep.journey.sources:
        if isinstance(source, FileSource):
            for path, cursor, stamp in _files(sweep, source):
                if path.stat().st_mtime >= since and _read_up_to(sweep, cursor) == stamp:
                    missed[source.name] += await _take_in_file(sweep, source, path, cursor, stamp)
    return +missed


async def receive_news(sweep: Sweep) -> None:
    """What has just come by webhook is in the inbox already, but for ratings that Zalo has only announced."""
    await poll_announced(sweep)


def stamp_of(path: Path) -> str:
    """By which a changed file is known."""
    stat = path.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def cursor_of(journey: str, source: str, path: Path) -> str:
    """Under which it is remembered how far a file was read."""
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return f"file:{journey}:{source}:{place}"


def mark_of(cursor: str, stamp: str) -> str:
    """The fingerprint in quarantine of a file that could not be read: the same file again is the same entry."""
    return hashlib.sha256(f"{cursor}:{stamp}".encode()).hexdigest()


async def _take_in_files(sweep: Sweep, source: FileSource) -> None:
    for path, cursor, stamp in _files(sweep, source):
        if _read_up_to(sweep, cursor) != stamp:
            await _take_in_file(sweep, source, path, cursor, stamp)


def _files(sweep: Sweep, source: FileSource) -> Iterator[tuple[Path, str, str]]:
    """The source's files, each with the name of its cursor and what that is once the file has been read."""
    found = FileRoots(sweep.settings).matching(source.path)
    for problem in found.problems:
        sweep.tally("detect").reasons[f"{source.name}: {mask(str(problem))}"] += 1
    for path in found.files:
        try:
            stamp = stamp_of(path)
        except FileNotFoundError:  # taken away since
            continue
        yield path, cursor_of(sweep.journey.name, source.name, path), stamp


def _read_up_to(sweep: Sweep, cursor: str) -> str | None:
    with sweep.store.read() as tx:
        return cursors.get(tx, cursor)


def _given_by(sweep: Sweep, path: Path) -> datetime:
    """When undated rows of a file count as given: now, or at the restore if the file was there already.

    A restored database has forgotten what it has read, and what was read before must not look new.
    """
    with sweep.store.read() as tx:
        lost = restored.last_restore(tx)
    was_there = lost is not None and path.stat().st_mtime <= lost.until.timestamp()
    return lost.until if lost is not None and was_there else sweep.now()


@chunk_task("detect: take in file")
async def _take_in_file(sweep: Sweep, source: FileSource, path: Path, cursor: str, stamp: str) -> int:
    """Take in the rows; returns how many were new.

    The cursor moves last: a sweep that dies in mid-file reads it again, and the inbox knows what it has.

    A file that cannot be used, or not to its end, is itself an entry in quarantine; the rows before go through.
    """
    new = 0
    try:
        rows = read_feedback(
            path,
            columns=source.columns,
            now=_given_by(sweep, path),
            zone=sweep.journey.timezone,
            source=source.name,
        )
        for batch in batches(sweep.store, rows):
            new += take_in(sweep, batch)
    except FileProblem as problem:
        told = mask(str(problem))
        sweep.tally("detect").reasons[told] += 1
        wrong = FieldProblem("file", told, "correct the file and drop it again")
        name = plain(path.name)
        take_in(sweep, [Rejected(source.name, name, mark_of(cursor, stamp), (wrong,), {"file": name})])
    with sweep.store.begin() as tx:
        cursors.put(tx, cursor, stamp)
    return new
