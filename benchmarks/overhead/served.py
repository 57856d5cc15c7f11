"""Empty sweeps as they really run: `amends serve`, its schedule, and a process of Prefect's for each run."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import httpx
import psutil

from benchmarks.cpu import of, of_ended, of_tree
from benchmarks.latency.rig import Installation
from benchmarks.part import FailedRun

START_S, RUN_S, IDLE_S, SETTLE_S = 120.0, 180.0, 10.0, 5.0
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Served:
    """Seconds; `cpu` is of one run's process, `wall` from its start to its end as Prefect has recorded it."""

    cpu: float
    server: float
    """Of Prefect's server for one run."""
    wall: float
    idle_cpu: float
    """Of `amends serve` in a second in which nothing is due."""
    runs: int


def serve_empty(
    installation: Installation,
    server: psutil.Process,
    server_idle: float,
    runs: int,
    say: Callable[[str], None],
) -> Served:
    """Serve the journey and ask for so many runs, one after the other. Raises FailedRun when one does not complete.

    `server_idle` is what the server uses in a second in which nothing happens.
    """
    command = [sys.executable, "-m", "cli.main", "serve", str(installation.journey), "--every", "1440"]
    command += ["--verify-every", "0", "--desk-port", "0"]
    child = subprocess.Popen(  # noqa: S603 - our own module
        command,
        env=installation.environment() | {"PREFECT_RUNNER_POLL_FREQUENCY": "3"},
        stdout=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=installation.api, timeout=30) as client:
            deployment = _deployment(client, child)
            process = psutil.Process(child.pid)
            _run(client, deployment)  # the first one fills the page cache
            time.sleep(2)
            before = of(process)
            time.sleep(IDLE_S)
            idle = (of(process) - before) / IDLE_S
            cpu, wall = [], []
            before, began = of_tree(server), time.monotonic()
            for number in range(runs):
                used = of_ended(process)
                wall.append(_run(client, deployment))
                cpu.append(_after(process, used))
                say(f"served run {number + 1}: {cpu[-1]:.2f} s of processor time")
            time.sleep(SETTLE_S)
            recorded = of_tree(server) - before - server_idle * (time.monotonic() - began)
        return Served(median(cpu), recorded / runs, median(wall), idle, runs)
    finally:
        child.terminate()
        child.wait(timeout=60)


def _deployment(client: httpx.Client, child: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.poll() is None:
        found = client.post("/deployments/filter", json={}).raise_for_status().json()
        ids = {one["name"]: str(one["id"]) for one in found}
        if len(ids) == 2:  # the frequent and the daily one
            return next(id_ for name, id_ in ids.items() if name.endswith("-frequent"))
        time.sleep(0.2)
    raise FailedRun("amends serve did not start")


def _run(client: httpx.Client, deployment: str) -> float:
    """Ask for a run now and wait for its end; its seconds from pending, when its process starts, to completed."""
    made = _asked_for(client, deployment)
    deadline = time.monotonic() + RUN_S
    while time.monotonic() < deadline:
        run: dict[str, Any] = client.get(f"/flow_runs/{made['id']}").raise_for_status().json()
        if run["state"]["type"] in _ENDED:
            break
        time.sleep(1.0)  # seldom: asking is work of the server's, which is measured
    if run["state"]["type"] != "COMPLETED":
        raise FailedRun(f"a served run is {run['state']['name']}: {run['state']['message']}")
    states = client.get("/flow_run_states/", params={"flow_run_id": made["id"]}).raise_for_status().json()
    moments = {one["type"]: datetime.fromisoformat(one["timestamp"]) for one in reversed(states)}
    return (moments["COMPLETED"] - moments["PENDING"]).total_seconds()


def _asked_for(client: httpx.Client, deployment: str) -> Any:
    """The new run. While its SQLite is locked, Prefect's server answers 503 and has made none (ADR 0002)."""
    deadline = time.monotonic() + START_S
    while True:
        answer = client.post(f"/deployments/{deployment}/create_flow_run", json={})
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            return answer.raise_for_status().json()
        time.sleep(1.0)


def _after(process: psutil.Process, used: float) -> float:
    """What the run's process has used, once it has ended: that is a moment after the run."""
    deadline = time.monotonic() + START_S
    while (now := of_ended(process)) == used and time.monotonic() < deadline:
        time.sleep(0.05)
    return now - used
