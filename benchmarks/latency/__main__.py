"""Webhook to agent told: at 10, 50 and 200 ratings a second, during a sweep, and beyond what the desk can take."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.cpu import child_with, of_tree
from benchmarks.databases import POSTGRES, SQLITE, empty_database
from benchmarks.latency.load import Sent
from benchmarks.latency.measure import SETTLE_S, Run, check, percentile, run_of, send, settle
from benchmarks.latency.rig import START_S, Installation
from benchmarks.part import Chart, FailedRun, Part, Say, Size, Table, main

WARM_UP, WARM_UP_RATE = 20, 10.0
"""Ratings before the first that counts: a desk's first run imports and connects."""
IN_SWEEP_RATE = 50.0
AGAIN_RATE = 50.0
"""At which ratings are sent again that the desk has refused."""


@dataclass(frozen=True)
class Plan:
    """How much of what; `overload` 0: none."""

    rounds: int
    seconds: float
    rates: tuple[float, ...]
    databases: tuple[str, ...]
    sweep_cases: int
    overload: float = 0
    background: bool = False


PLANS = {
    Size.SMOKE: Plan(1, 2, (10,), (SQLITE,), 300),
    Size.QUICK: Plan(1, 5, (10, 50, 200), (SQLITE, POSTGRES), 1_000),
    Size.FULL: Plan(1, 30, (10, 50, 200), (SQLITE, POSTGRES), 6_000, overload=500, background=True),
}
BACKGROUND, IN_SWEEP = "background task", "in a sweep"


@dataclass(frozen=True)
class Arm:
    """What one row of the table is about."""

    database: str
    rate: float
    what: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in (self.database, f"{self.rate:g}/s", self.what) if part)


@dataclass
class Session:
    """One installation with its desk open, and the ratings that have been sent to it so far."""

    installation: Installation
    url: str
    desk: psutil.Process
    server: psutil.Process
    marks: list[str] = field(default_factory=list)
    sent: int = 0

    @property
    def cases(self) -> int:
        return len(self.marks)

    def load(self, rate: float, count: int) -> Run:
        """So many ratings at this rate; returns when every agent has been told."""
        used = self._used()
        sent = self._send(rate, count)
        told = settle(self.installation, self.marks)
        return run_of(sent, told, *self._since(used))

    def load_in_sweep(self, rate: float, count: int, cases: int) -> Run:
        """The same while another process sweeps `cases` new ones; what was due before or after it does not count."""
        self.installation.drop_file(cases)
        self.marks += [f"f{number}" for number in range(cases)]
        with self.installation.sweep() as sweep, self.installation.store() as store:
            deadline = time.monotonic() + START_S
            while not self.installation.has_feedback(store, "export"):
                if sweep.poll() is not None or time.monotonic() > deadline:
                    raise FailedRun("the sweep did not begin")
                time.sleep(0.05)
            used = self._used()
            sent = self._send(rate, count)
            in_sweep = sweep.poll() is None
            told = settle(self.installation, self.marks)
            sweep.wait(START_S)
        if not in_sweep:
            last = max(moment for mark, moment in told.items() if mark.startswith("f"))
            sent = [one for one in sent if one.due < last]
        return run_of(sent, told, *self._since(used))

    def _send(self, rate: float, count: int) -> list[Sent]:
        """What became of each when it was first sent; returns when all have got their 200."""
        numbers = range(self.sent, self.sent + count)
        self.sent += count
        self.marks += map(str, numbers)
        sent = send(self.url, numbers, rate)
        self._send_again([one.number for one in sent if one.status != 200])
        return sent

    def _send_again(self, refused: list[int]) -> None:
        """As their senders do. Some may have been taken in all the same, and must not count twice."""
        deadline = time.monotonic() + SETTLE_S
        while refused:
            if time.monotonic() > deadline:
                raise FailedRun(f"{len(refused)} ratings were refused until the end")
            refused = [one.number for one in send(self.url, refused, AGAIN_RATE) if one.status != 200]

    def _used(self) -> tuple[float, float]:
        return of_tree(self.desk), of_tree(self.server)

    def _since(self, used: tuple[float, float]) -> tuple[float, float]:
        desk, server = self._used()
        return desk - used[0], server - used[1]


@contextmanager
def _session(api: str, database: str, *, in_background: bool = False) -> Iterator[Session]:
    from sandbox.process import running_sandbox

    with (
        tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True) as home,
        empty_database(database) as url,
        running_sandbox(7) as sandbox,
    ):
        installation = Installation(Path(home), url, api, sandbox)
        installation.prepare()
        with installation.desk(in_background=in_background) as (desk, process):
            session = Session(installation, desk, process, child_with("deployments.prefect_child"))
            session.load(WARM_UP_RATE, WARM_UP)
            yield session
        check(installation, session.marks)


def _round(plan: Plan, api: str, database: str, sizes: list[float]) -> Iterator[tuple[Arm, Run]]:
    """Each load in turn; `sizes` gets the bytes that a case has taken in this round."""
    with _session(api, database) as session:
        cases, used = session.cases, session.installation.bytes_used()
        for rate in plan.rates:
            yield Arm(database, rate), session.load(rate, int(rate * plan.seconds))
        rate = min(IN_SWEEP_RATE, plan.rates[-1])
        yield (
            Arm(database, rate, IN_SWEEP),
            session.load_in_sweep(rate, int(rate * plan.seconds), plan.sweep_cases),
        )
        if plan.overload:
            # A third of the time is enough to fall behind in, and then it has all that to work off.
            yield (
                Arm(database, plan.overload),
                session.load(plan.overload, int(plan.overload * plan.seconds / 3)),
            )
        sizes.append((session.installation.bytes_used() - used) / (session.cases - cases))
    if plan.background:
        with _session(api, database, in_background=True) as session:
            rate = IN_SWEEP_RATE
            yield Arm(database, rate, BACKGROUND), session.load(rate, int(rate * plan.seconds))


def run(size: Size, say: Say) -> Part:
    """Measure every arm in turn, as many rounds as the size has."""
    plan = PLANS[size]
    home = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    from deployments.server import prefect_server

    runs: dict[Arm, list[Run]] = {}
    sizes: dict[str, list[float]] = {database: [] for database in plan.databases}
    with prefect_server(home / "server") as api:
        for _ in range(plan.rounds):
            for database in plan.databases:
                for arm, found in _round(plan, api, database, sizes[database]):
                    runs.setdefault(arm, []).append(found)
                    say(f"{arm}: p50 {found.wait(0.5):.2f} s, p99 {found.wait(0.99):.2f} s")
    figures = {f"bytes_per_new_case_{database}": round(median(found)) for database, found in sizes.items()}
    return Part([_table(runs, plan)], _figures(runs, plan) | figures)


def _of(runs: list[Run], share: float) -> float:
    return median(run.wait(share) for run in runs)


def _table(runs: dict[Arm, list[Run]], plan: Plan) -> Table:
    rows = []
    for arm, found in runs.items():
        numbers = [
            *(_of(found, share) for share in (0.5, 0.99, 0.999, 1.0)),
            *(median(percentile(one.answers, share) for one in found) for share in (0.5, 0.99)),
            median(percentile(one.late, 0.99) for one in found),
        ]
        told = median(one.notified_per_s for one in found)
        desk, server = (
            median(1000 * (one.desk_cpu_s, one.server_cpu_s)[place] for one in found) for place in (0, 1)
        )
        refused = sum(one.refused for one in found)
        count = sum(len(one.waits) for one in found)
        rows.append(
            (
                *(str(arm), f"{count:,}"),
                *(f"{number:.3f}" for number in numbers),
                *(f"{desk:.1f}", f"{server:.1f}", f"{told:.0f}", str(refused)),
            )
        )
    columns = ("ratings", "n", "p50 s", "p99 s", "p99.9 s", "max s", "200 p50 s", "200 p99 s")
    note = (
        f"From the moment a rating was due until the vendor has the agent's notification; {plan.seconds:g} s "
        f"a load, {plan.rounds} a row, medians of them. Open loop, in its own process: 'late' is how far it fell "
        "behind its own rate. 'No 200': refused at first, and sent again until they got theirs, which is in none of "
        "the times. CPU is a rating's, of the desk and of Prefect's server. Desk, sweep, Prefect's server, vendor and "
        "generator share the machine."
    )
    chart = Chart(
        "Webhook to agent told, p99", "seconds", {str(arm): _of(found, 0.99) for arm, found in runs.items()}
    )
    return Table(
        "Webhook to agent told",
        (*columns, "late p99 s", "desk CPU ms", "server CPU ms", "told/s", "no 200"),
        rows,
        note,
        chart,
    )


def _figures(runs: dict[Arm, list[Run]], plan: Plan) -> dict[str, float]:
    figures: dict[str, float] = {}
    for arm, found in runs.items():
        end = f"_at_{arm.rate:g}" + {"": "", IN_SWEEP: "_in_sweep", BACKGROUND: "_in_background"}[arm.what]
        end += "" if arm.database == SQLITE else f"_{arm.database}"
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            figures[f"webhook_{name}_s{end}"] = round(_of(found, share), 4)
        figures[f"webhook_answer_p99_s{end}"] = round(
            median(percentile(one.answers, 0.99) for one in found), 4
        )
        figures[f"webhook_desk_cpu_ms{end}"] = round(1000 * median(one.desk_cpu_s for one in found), 2)
        if arm.rate == plan.overload:
            figures[f"webhook_told_per_s{end}"] = round(median(one.notified_per_s for one in found), 1)
    return figures


if __name__ == "__main__":
    main(run, "webhook to agent told")
