"""`python -m benchmarks.workers`: 1, 2 and 4 processes sweep the same due ratings on PostgreSQL at once."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from amends.settings import Settings
from amends.store.opening import open_store
from benchmarks.checks import same_book, verified
from benchmarks.databases import POSTGRES, empty_database
from benchmarks.part import Chart, FailedRun, Part, Say, Size, Table, main
from benchmarks.shop import (
    MONDAY,
    drop_reviews,
    entry_name,
    expected_of,
    journey_of,
    quiet_prefect,
    settings_of,
)
from sandbox.process import Sandbox, running_sandbox

WORKERS = (1, 2, 4)
CHUNK = 100
"""Cases of one task run: smaller than by default, so that there is something to share."""


@dataclass(frozen=True)
class Plan:
    """Ratings that wait, and runs of each number of processes."""

    due: int
    rounds: int


PLANS = {Size.SMOKE: Plan(40, 1), Size.QUICK: Plan(500, 1), Size.FULL: Plan(2_000, 3)}
NOTE = (
    "{due:,} bad ratings wait in the inbox; so many processes each run one sweep of the real flow (case, apology, "
    "ticket, agent told) in chunks of {chunk} against the sandbox. From the first start to the last end; medians of "
    "{rounds}, in turn. The vendor's book held each call just once, and `verify` was clean. Processes, PostgreSQL, the "
    "sandbox and Prefect's server share {cores} cores, which sets the limit: one sweep alone keeps more than one busy."
)


def run(size: Size, say: Say) -> Part:
    plan = PLANS[size]
    seconds: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    with (
        tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True) as folder,
        quiet_prefect(Path(folder) / "prefect") as api,
        running_sandbox(7, MONDAY) as sandbox,
    ):
        for round_ in range(plan.rounds):
            for workers in WORKERS if round_ % 2 == 0 else reversed(WORKERS):
                home = Path(folder) / f"{round_}-{workers}"
                seconds[workers].append(_together(workers, plan.due, home, sandbox, api))
                say(f"{workers} processes: {plan.due / seconds[workers][-1]:,.0f} cases a second")
    rates = {workers: plan.due / statistics.median(taken) for workers, taken in seconds.items()}
    rows: list[tuple[str, ...]] = [
        (str(workers), f"{rate:,.0f}", f"{rate / rates[1]:.2f}") for workers, rate in rates.items()
    ]
    note = NOTE.format(due=plan.due, chunk=CHUNK, rounds=plan.rounds, cores=os.cpu_count())
    bars = {str(workers): rate for workers, rate in rates.items()}
    chart = Chart("Processes that sweep at once", "cases a second", bars)
    table = Table("Workers, PostgreSQL", ("processes", "cases/s", "of one"), rows, note, chart)
    figures = {} if size is Size.SMOKE else {f"workers_{n}": round(rates[n] / rates[1], 3) for n in (2, 4)}
    return Part([table], figures)


def _together(workers: int, due: int, home: Path, sandbox: Sandbox, api: str) -> float:
    """Seconds until every process is done; raises FailedRun when anything was lost or doubled."""
    home.mkdir()
    sandbox.reset()
    sandbox.set_clock(MONDAY)
    with empty_database(POSTGRES) as url:
        settings = settings_of(home, url, sandbox)
        _fill_inbox(settings, home, due)
        environment = os.environ | _variables(settings) | {"PREFECT_API_URL": api}
        children = [_start(home, environment) for _ in range(workers)]
        try:
            for child in children:
                _line(child)  # it has imported everything and opened the database
            for child in children:
                _pipe(child.stdin).write("go\n")
                _pipe(child.stdin).flush()
            told = [json.loads(_line(child)) for child in children]
        finally:
            for child in children:
                child.stdin and child.stdin.close()
                child.wait(timeout=60)
        same_book(sandbox.book(), expected_of(range(due)), entry_name)
        store = open_store(settings)
        verified(store, MONDAY)
        store.close()
    return float(max(one["ended"] for one in told) - min(one["started"] for one in told))


def _fill_inbox(settings: Settings, home: Path, due: int) -> None:
    from connectors.files import read_feedback
    from tasks.intake import store_batch

    store, journey = open_store(settings), journey_of(home)
    store.migrate()
    drop_reviews(home, "waiting", range(due), MONDAY - timedelta(hours=1))
    file = home / "inbox" / "waiting.jsonl"
    rows = list(read_feedback(file, columns=None, now=MONDAY, zone=journey.timezone, source="bench"))
    store_batch(store, journey.name, rows, MONDAY)
    file.unlink()  # they are in the inbox: no process is to read them again
    store.close()


def _variables(settings: Settings) -> Mapping[str, str]:
    """The settings as the environment of a child."""
    zalo = (
        settings.zalo.model_dump(mode="python", exclude_none=True, exclude_defaults=True)
        if settings.zalo
        else {}
    )
    told = {
        f"AMENDS_ZALO__{name.upper()}": str(
            value.get_secret_value() if isinstance(value, SecretStr) else value
        )
        for name, value in zalo.items()
    }
    contacts = {name: url.get_secret_value() for name, url in settings.contacts.items()}
    return {
        "AMENDS_HOME": str(settings.home),
        "AMENDS_DATABASE_URL": settings.database(),
        "AMENDS_CHUNK_SIZE": str(CHUNK),
        "AMENDS_CONTACTS": json.dumps(contacts),
        **told,
    }


def _start(home: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.workers.sweeper", str(home)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)  # noqa: S603 - our own module


def _pipe(pipe: Any) -> Any:
    if pipe is None:
        raise FailedRun("a process has no pipe")
    return pipe


def _line(child: subprocess.Popen[str]) -> str:
    line = str(_pipe(child.stdout).readline())
    if not line:
        raise FailedRun(f"a process ended with code {child.wait()}")
    return line


if __name__ == "__main__":
    main(run, __doc__.splitlines()[0])
