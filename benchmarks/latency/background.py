"""A desk whose flow is a Prefect background task, for comparison (ADR 0009): `... background JOURNEY PORT`."""

import asyncio
import subprocess
import sys
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.task_worker import serve

from amends.clock import SystemClock
from amends.domain.journey import ComplaintJourney, load_journey
from amends.logs import set_up_logs
from amends.settings import Settings
from amends.store.opening import open_store
from cli.keeping_desk import LINGER_SECONDS, run_desk
from deployments.parent import end_with_parent
from desk.serving import listen
from flows.rating_arrived import rating_arrived
from tasks.sweep import Runtime, use_runtime
from tasks.webhooks import doors_of

WORKER = "worker"


@task(name="rating-arrived-in-background", cache_policy=NO_CACHE, persist_result=False)
async def in_background(path: str) -> None:
    """The same flow, run by a task worker in a process of its own."""
    await rating_arrived(load_journey(Path(path)), LINGER_SECONDS)


def main(path: str, port: str) -> None:
    """Serve until killed or until the parent ends; `port` `worker` makes it the task worker."""
    end_with_parent()
    if port == WORKER:
        serve(in_background)
        return
    settings, journey = Settings(), load_journey(Path(path))
    set_up_logs(settings.log)
    store = open_store(settings)
    store.migrate()
    runtime = Runtime(settings, store, SystemClock())
    use_runtime(runtime)

    async def delegate(_journey: ComplaintJourney) -> None:
        # Waiting for the end keeps it to one run at a time, as in the desk's own process: the kindest way to use it.
        future = in_background.delay(path)
        await asyncio.to_thread(future.wait, 60)

    command = [sys.executable, "-m", "benchmarks.latency.background", path, WORKER]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - ourselves
    doors = doors_of([journey], settings)
    try:
        asyncio.run(run_desk(runtime, doors, [journey], delegate, listen("127.0.0.1", int(port))))
    finally:
        worker.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:3])
