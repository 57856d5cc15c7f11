"""What our server settings save: the same flow of five tasks, in turn on Prefect's defaults and on ours."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, SWEEPS = 3, 10
"""Processes per server, in turn, and sweeps each makes one after the other: the recorder lags behind the last one."""


async def _sweeps() -> list[float]:
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    @task(cache_policy=NO_CACHE)
    async def step(number: int) -> int:
        return number

    @flow
    async def sweep() -> None:
        for number in range(5):
            await step(number)

    taken = []
    for _ in range(SWEEPS + 1):
        started = time.perf_counter()
        await sweep()
        taken.append(time.perf_counter() - started)
    return taken[1:]


def _in_child(url: str) -> list[float]:
    """A process of its own per server: Prefect's event client stays with the first server it has met."""
    command = [sys.executable, "-m", "benchmarks.prefect_settings", "--child"]
    environment = {**os.environ, "PREFECT_API_URL": url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return [float(seconds) for seconds in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Print median seconds per sweep and the ratio."""
    home = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    from deployments.server import SERVER_SETTINGS, prefect_server

    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    taken: dict[str, list[float]] = {"defaults": [], "ours": []}
    with (
        prefect_server(home / "defaults", settings=quiet) as defaults,
        prefect_server(home / "ours", settings=SERVER_SETTINGS) as ours,
    ):
        for _ in range(ROUNDS):
            for name, url in (("defaults", defaults), ("ours", ours)):
                taken[name] += _in_child(url)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, values in taken.items():
        spread = f"min {min(values):.3f}, max {max(values):.3f}, n={len(values)}"
        print(f"{name:9} median {medians[name]:.3f} s per sweep of five tasks  ({spread})")
    print(f"ratio defaults / ours: {medians['defaults'] / medians['ours']:.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        print(json.dumps(asyncio.run(_sweeps())))
    else:
        main()
