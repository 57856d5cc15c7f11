"""An empty sweep's fixed cost, in one process and as `amends serve` runs it; what that allows; and the CLI's start."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import yaml

from benchmarks.cpu import child_with, of_tree
from benchmarks.databases import SQLITE, empty_database
from benchmarks.latency.rig import ROOT, Installation
from benchmarks.overhead import starts
from benchmarks.overhead.served import Served, serve_empty
from benchmarks.part import FailedRun, Part, Say, Size, Table, main

EVERY_S, SHARE = 300.0, 0.5
"""A sweep every five minutes; so much of the processors may go into sweeps that do nothing."""
IDLE_S, SETTLE_S = 8.0, 5.0


@dataclass(frozen=True)
class Plan:
    sweeps: int
    served: int
    starts: int


PLANS = {Size.SMOKE: Plan(3, 1, 1), Size.QUICK: Plan(20, 2, 5), Size.FULL: Plan(100, 5, 15)}


@dataclass(frozen=True)
class Empty:
    """An empty sweep in a process that has made others before; seconds, `server` being Prefect's part of it."""

    wall: float
    cpu: float
    server: float
    calls: Mapping[str, float]
    sweeps: int
    server_idle: float
    """Of Prefect's server in a second in which nobody asks it anything."""


def sweep_empty(installation: Installation, server: psutil.Process, sweeps: int) -> Empty:
    """So many sweeps one after the other, in one process of its own. Raises FailedRun."""
    before = of_tree(server)
    time.sleep(IDLE_S)
    idle = (of_tree(server) - before) / IDLE_S
    command = [sys.executable, "-m", "benchmarks.overhead.sweeps", str(installation.journey), str(sweeps)]
    with subprocess.Popen(  # noqa: S603 - our own module
        command,
        cwd=ROOT,
        env=installation.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        if child.stdout is None or not any(line == "ready\n" for line in child.stdout):
            raise FailedRun("the process that sweeps did not start")
        time.sleep(SETTLE_S)  # what the server still has to write of the sweeps that warmed up
        before, began = of_tree(server), time.monotonic()
        told, _ = child.communicate("go\n")
        time.sleep(SETTLE_S)
        used, lasted = of_tree(server) - before, time.monotonic() - began
    if child.returncode:
        raise FailedRun("an empty sweep failed")
    found = json.loads(told.splitlines()[-1])
    calls = {name: count / sweeps for name, count in sorted(found["calls"].items())}
    return Empty(
        median(found["wall"]), median(found["cpu"]), (used - idle * lasted) / sweeps, calls, sweeps, idle
    )


def run(size: Size, say: Say) -> Part:
    """Measure the three in turn."""
    plan = PLANS[size]
    home = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    from deployments.server import prefect_server
    from sandbox.process import running_sandbox

    started = starts.measure(plan.starts)
    say(f"amends --help: {started['amends --help'].wall:.2f} s")
    with (
        prefect_server(home / "server") as api,
        running_sandbox(7) as sandbox,
        empty_database(SQLITE) as database,
    ):
        installation = Installation(home, database, api, sandbox)
        _prepare(installation)
        server = child_with("deployments.prefect_child")
        empty = sweep_empty(installation, server, plan.sweeps)
        say(
            f"empty sweep: {empty.wall:.2f} s; processor {empty.cpu:.2f} s, and {empty.server:.2f} s of the server"
        )
        served = serve_empty(installation, server, empty.server_idle, plan.served, say)
    return Part(_tables(empty, served, started), _figures(empty, served, started))


def _prepare(installation: Installation) -> None:
    """The journey as it is shipped: a folder that is looked into, and a template whose ratings are polled."""
    data = yaml.safe_load((ROOT / "deployments/journeys/complaint.yaml").read_text("utf-8"))
    data["sources"][0]["path"] = str(installation.home / "inbox" / "*")
    installation.journey.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")


def journeys_at(cpu_per_sweep: float, idle_cpu: float) -> int:
    """How many journeys swept every five minutes use half of this machine's processors, when nobody is due."""
    return int(((os.cpu_count() or 1) * SHARE - idle_cpu) * EVERY_S / cpu_per_sweep)


def _costs(empty: Empty, served: Served) -> dict[str, tuple[float, int]]:
    """Processor seconds a sweep, and journeys that allows: as served, and if one process made all sweeps."""
    idle = empty.server_idle + served.idle_cpu
    as_served, in_one = served.cpu + served.server, empty.cpu + empty.server
    return {
        "amends serve, forked": (as_served, journeys_at(as_served, idle)),
        "all runs in one process": (in_one, journeys_at(in_one, idle)),
    }


def _tables(empty: Empty, served: Served, started: Mapping[str, starts.Start]) -> list[Table]:
    walls = {"amends serve, forked": served.wall, "all runs in one process": empty.wall}
    servers = {"amends serve, forked": served.server, "all runs in one process": empty.server}
    clients = {"amends serve, forked": served.cpu, "all runs in one process": empty.cpu}
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{walls[name]:.2f}",
            f"{clients[name]:.2f}",
            f"{servers[name]:.2f}",
            f"{cpu:.2f}",
            f"{journeys:,}",
        )
        for name, (cpu, journeys) in _costs(empty, served).items()
    ]
    calls = ", ".join(f"{count:.3g} {name}" for name, count in empty.calls.items())
    sweep = Table(
        "A sweep in which nobody is due",
        ("way", "s", "CPU s", "server CPU s", "CPU s in all", "journeys at 5 min"),
        rows,
        f"The shipped journey, SQLite; medians of {served.runs} and {empty.sweeps} sweeps. 'Server' is Prefect's part "
        f"of the work. Journeys: half of {os.cpu_count()} processors, less what Prefect's "
        f"server ({empty.server_idle:.3f} s a second) and `amends serve` ({served.idle_cpu:.3f}) use when nothing is "
        f"due. Calls of Prefect's API a sweep: {sum(empty.calls.values()):.1f} ({calls}).",
    )
    start = Table(
        "Starting the command",
        ("command", "s", "CPU s"),
        [(name, f"{one.wall:.3f}", f"{one.cpu:.3f}") for name, one in started.items()],
        f"Medians of {started['amends --help'].times}, in turn.",
    )
    return [sweep, start]


def _figures(empty: Empty, served: Served, started: Mapping[str, starts.Start]) -> dict[str, float]:
    (_, as_served), (_, in_one) = _costs(empty, served).values()
    return {
        "empty_sweep_s": round(empty.wall, 4),
        "empty_sweep_cpu_s": round(empty.cpu, 4),
        "empty_sweep_server_cpu_s": round(empty.server, 4),
        "empty_sweep_served_server_cpu_s": round(served.server, 4),
        "empty_sweep_served_s": round(served.wall, 3),
        "empty_sweep_served_cpu_s": round(served.cpu, 3),
        "prefect_calls_per_empty_sweep": round(sum(empty.calls.values()), 1),
        "prefect_server_idle_cpu": round(empty.server_idle, 4),
        "journeys_at_5_minutes": as_served,
        "journeys_at_5_minutes_in_one_process": in_one,
        "help_s": round(started["amends --help"].wall, 3),
        "help_cpu_s": round(started["amends --help"].cpu, 3),
        "status_help_s": round(started["amends status --help"].wall, 3),
        "import_help_s": round(started["amends import --help"].wall, 3),
    }


if __name__ == "__main__":
    main(run, "what an empty sweep and the start of the command cost")
