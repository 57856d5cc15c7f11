"""Receive: bring in what the sources have. The inbox is committed before anything else happens (DESIGN 4.1)."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amends.domain.contacts import mask
from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.intake import storable
from amends.domain.journey.messages import CustomerMessage
from amends.domain.journey.sources import FileSource, ZnsRatingSource
from amends.domain.ratings import Scale
from amends.store import cursors, inbox, journeys
from amends.store.engine import Store
from connectors.errors import VendorUnavailable
from connectors.files import FileProblem, read_feedback
from connectors.ports import RatingAnswer
from tasks.chunks import chunk_task
from tasks.sweep import Sweep

BATCH = 1_000
"""Feedbacks stored in one transaction."""
POLL_OVERLAP = timedelta(hours=2)
"""A rating may appear in the vendor's list later than its own time says; windows overlap, the inbox dedupes."""
FIRST_POLL = timedelta(days=7)
POLLED = "zns_rating"
"""Under this key a polled rating keeps the vendor's row; a file's own columns can never be taken for it."""


async def receive(sweep: Sweep) -> None:
    """Take in new and changed files, and poll for ratings."""
    for source in sweep.journey.sources:
        if isinstance(source, FileSource):
            await _take_in_files(sweep, source)
    if "zns" in sweep.connectors.ratings:
        for template_id, name in _templates_to_poll(sweep).items():
            await _poll_template(sweep, template_id, name)


def _matching(pattern: str) -> list[Path]:
    """The files of a pattern, absolute or relative to the working directory, in a stable order."""
    path = Path(pattern)
    found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return sorted(file for file in found if file.is_file())


async def _take_in_files(sweep: Sweep, source: FileSource) -> None:
    for path in _matching(source.path):
        stat = path.stat()
        stamp = f"{stat.st_size}:{stat.st_mtime_ns}"
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
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
        batch.append(Rejected(source.name, path.name, mark, (wrong,), {"file": path.name}))
    take_in(sweep, batch)
    with sweep.store.begin() as tx:
        cursors.put(tx, cursor, stamp)


def take_in(sweep: Sweep, batch: Sequence[Feedback | Rejected]) -> None:
    """Commit a batch and count it in the sweep's tally."""
    new, rejected = store_batch(sweep.store, sweep.journey.name, batch, sweep.now())
    results = sweep.tally("detect").results
    results["received"] += new
    results["quarantined"] += rejected


def store_batch(
    store: Store, journey: str, batch: Sequence[Feedback | Rejected], now: datetime
) -> tuple[int, int]:
    """Commit the good rows to the inbox and the bad ones to quarantine; returns how many of each were new."""
    good = [row for row in batch if isinstance(row, Feedback)]
    bad = [row for row in batch if isinstance(row, Rejected)]
    with store.begin() as tx:
        return inbox.receive(tx, journey, good, now), inbox.reject(tx, journey, bad, now)


def _templates_to_poll(sweep: Sweep) -> dict[str, str]:
    """Template id to source name: the journey's rating sources, and every survey template that may be answered."""
    templates = {
        source.template_id: source.name
        for source in sweep.journey.sources
        if isinstance(source, ZnsRatingSource)
    }
    longest = timedelta(hours=sweep.journey.survey.answer_window_hours) + timedelta(days=30)
    with sweep.store.read() as tx:
        versions = journeys.recent(tx, sweep.journey.name, sweep.now() - longest)
        messages: list[CustomerMessage] = [sweep.version(tx, id_).survey.message for id_ in versions]
    for message in messages:
        for template in message.zns.values():
            templates.setdefault(template.template_id, f"survey-{template.template_id}")
    return templates


async def _poll_template(sweep: Sweep, template_id: str, source: str) -> None:
    now = sweep.now()
    cursor = f"ratings:{sweep.journey.name}:{template_id}"
    with sweep.store.read() as tx:
        stored = cursors.get(tx, cursor)
    since = datetime.fromisoformat(stored) - POLL_OVERLAP if stored else now - FIRST_POLL
    since = min(since, now - sweep.read_back)
    try:
        answers = await sweep.connectors.ratings["zns"].ratings(template_id, since, now)
    except VendorUnavailable as trouble:
        sweep.tally("detect").reasons[mask(str(trouble))] += 1
        return
    take_in(sweep, [as_feedback(answer, source) for answer in answers])
    with sweep.store.begin() as tx:
        cursors.put(tx, cursor, now.astimezone(UTC).isoformat())


def as_feedback(answer: RatingAnswer, source: str) -> Feedback | Rejected:
    """The answer as feedback; one on a scale we do not know, or outside it, is kept in quarantine."""
    known = answer.option in list(Scale)
    if not known or not Scale(answer.option).accepts(answer.rate):
        wrong = ("rate", f"{answer.rate} is no mark of the scale {answer.option}", "ask Zalo what it means")
        if not known:
            wrong = ("option", f"{answer.option!r} is no scale we know", "add the scale to Amends")
        return Rejected(
            source=source,
            location=f"rating of message {answer.msg_id}",
            fingerprint=f"rating:{answer.msg_id}"[:64],
            problems=(FieldProblem(*wrong),),
            raw=storable({**asdict(answer), "submitted_at": answer.submitted_at.isoformat()}),
        )
    return Feedback(
        source=source,
        external_id=answer.msg_id,
        occurred_at=answer.submitted_at,
        scale=Scale(answer.option),
        rating=float(answer.rate),
        text=storable(answer.note),
        raw=storable({POLLED: {**asdict(answer), "submitted_at": answer.submitted_at.isoformat()}}),
    )
