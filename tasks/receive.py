"""Receive: bring in what the sources have. The inbox is committed before anything else happens (DESIGN 4.1)."""

import hashlib
import os
from pathlib import Path

from amends.domain.contacts import mask
from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.journey.sources import FileSource
from amends.store import cursors
from connectors.file_kinds import plain
from connectors.file_roots import FileRoots
from connectors.files import FileProblem, read_feedback
from tasks.chunks import chunk_task
from tasks.intake import BATCH, take_in
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


async def receive_news(sweep: Sweep) -> None:
    """What has just come by webhook is in the inbox already, but for ratings that Zalo has only announced."""
    await poll_announced(sweep)


async def _take_in_files(sweep: Sweep, source: FileSource) -> None:
    found = FileRoots(sweep.settings).matching(source.path)
    for problem in found.problems:
        sweep.tally("detect").reasons[f"{source.name}: {mask(str(problem))}"] += 1
    for path in found.files:
        try:
            stat = path.stat()
        except FileNotFoundError:  # taken away since
            continue
        stamp = f"{stat.st_size}:{stat.st_mtime_ns}"
        place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        cursor = f"file:{sweep.journey.name}:{source.name}:{place}"
        with sweep.store.read() as tx:
            seen = cursors.get(tx, cursor)
        if seen != stamp:
            await _take_in_file(sweep, source, path, cursor, stamp)


@chunk_task("detect: take in file")
async def _take_in_file(sweep: Sweep, source: FileSource, path: Path, cursor: str, stamp: str) -> None:
    """The cursor moves last: a sweep that dies in mid-file reads it again, and the inbox knows what it has.

    A file that cannot be used, or not to its end, is itself an entry in quarantine; the rows before go through.
    """
    batch: list[Feedback | Rejected] = []
    try:
        rows = read_feedback(
            path, columns=source.columns, now=sweep.now(), zone=sweep.journey.timezone, source=source.name
        )
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                take_in(sweep, batch)
                batch = []
    except FileProblem as problem:
        told = mask(str(problem))
        sweep.tally("detect").reasons[told] += 1
        wrong = FieldProblem("file", told, "correct the file and drop it again")
        mark = hashlib.sha256(f"{cursor}:{stamp}".encode()).hexdigest()
        name = plain(path.name)
        batch.append(Rejected(source.name, name, mark, (wrong,), {"file": name}))
    take_in(sweep, batch)
    with sweep.store.begin() as tx:
        cursors.put(tx, cursor, stamp)
