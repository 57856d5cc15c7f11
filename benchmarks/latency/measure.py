"""One run: load the desk, wait until every agent has been told, count at the vendor's side, take the percentiles."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.checks import Entry, same_book, verified
from benchmarks.latency.load import Sent
from benchmarks.latency.rig import ROOT, Installation
from benchmarks.part import FailedRun

SETTLE_S = 300.0
"""The longest wait for the last agent; a run that needs it was overloaded, and its figures say so."""


@dataclass(frozen=True)
class Run:
    """One load and what came of it; all times in seconds, from the moment a rating was due."""

    waits: tuple[float, ...]
    """Until the agent's notification was in the vendor's book, in order of size."""
    answers: tuple[float, ...]
    """Until the desk's 200, in order of size."""
    late: tuple[float, ...]
    """Until the generator had really sent it, in order of size: how well it kept its rate."""
    refused: int
    """Ratings that got no 200 at first. They are sent again, but only how many they are counts."""
    notified_per_s: float
    """Agents told a second, from the first rating to the last agent."""
    desk_cpu_s: float
    server_cpu_s: float
    """Processor time a rating: of the desk and what it has started, and of Prefect's server."""

    def wait(self, share: float) -> float:
        return percentile(self.waits, share)


def percentile(ordered: Sequence[float], share: float) -> float:
    """By nearest rank: a value that was really measured. NaN of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def send(url: str, numbers: Sequence[int], rate: float) -> list[Sent]:
    """Let a process of its own post the ratings with these numbers, `rate` a second."""
    command = [sys.executable, "-m", "benchmarks.latency.load", url, "--rate", str(rate)]
    told = json.dumps(list(numbers))
    done = subprocess.run(command, cwd=ROOT, input=told, capture_output=True, text=True, check=True)  # noqa: S603
    return [Sent(**one) for one in json.loads(done.stdout)]


def told_of(book: Sequence[Entry]) -> dict[str, float]:
    """Mark of the rating (`f7`, or a number) to the moment its agent was first told, in seconds since 1970."""
    told: dict[str, float] = {}
    for entry in book:
        told.setdefault(_mark(entry), datetime.fromisoformat(entry["at"]).timestamp())
    return told


def settle(installation: Installation, marks: Sequence[str]) -> dict[str, float]:
    """Wait until every mark's agent has been told and every customer apologised to; when each agent was told.

    Raises FailedRun when it takes longer than five minutes.
    """
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        told = told_of(installation.book("agent_notification"))
        if len(told) >= len(marks) and len(_apologies(installation)) >= len(marks):
            return told
        time.sleep(0.5)
    raise FailedRun(f"{len(marks) - len(told)} of {len(marks)} ratings led to no notification, or no apology")


def run_of(sent: Sequence[Sent], told: Mapping[str, float], desk_cpu: float, server_cpu: float) -> Run:
    """The figures of these ratings; processor times in seconds for all of them."""
    kept = [one for one in sent if one.status == 200]
    moments = [told[str(one.number)] for one in kept]
    lasted = max(moments) - min(one.due for one in kept)
    return Run(
        waits=tuple(sorted(moment - one.due for one, moment in zip(kept, moments, strict=True))),
        answers=tuple(sorted(one.answered - one.due for one in kept)),
        late=tuple(sorted(one.sent - one.due for one in sent)),
        refused=len(sent) - len(kept),
        notified_per_s=len(kept) / lasted,
        desk_cpu_s=desk_cpu / len(sent),
        server_cpu_s=server_cpu / len(sent),
    )


def check(installation: Installation, marks: Sequence[str]) -> None:
    """One notification and one apology for each mark in the vendor's book, and books that agree. Raises FailedRun."""
    same_book(installation.book("agent_notification"), dict.fromkeys(marks, 1), _mark)
    phones = {f"849{'3' if mark[0] == 'f' else '1'}{int(mark.lstrip('f')):07d}": 1 for mark in marks}
    same_book(_apologies(installation), phones, lambda entry: str(entry["phone"]))
    with installation.store() as store:
        verified(store, datetime.now(UTC))


def _apologies(installation: Installation) -> list[Entry]:
    """Asked of the vendor, who refuses some: a few people of the sandbox have no Zalo account."""
    return [*installation.book("zns"), *installation.book("zns_refused")]


def _mark(entry: Entry) -> str:
    return str(entry["message"]).split("#")[1]
