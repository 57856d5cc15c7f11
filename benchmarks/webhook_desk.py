"""A desk as the benchmark wants it: `python -m benchmarks.webhook_desk JOURNEY PORT inline|task`."""

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
from cli.keeping_desk import LINGER_SECONDS, respond_apart, run_desk
from deployments.parent import end_with_parent
from desk.serving import listen
from flows.rating_arrived import rating_arrived
from tasks.sweep import Runtime, use_runtime
from tasks.webhooks import doors_of


@task(name="rating-arrived-in-background", cache_policy=NO_CACHE, persist_result=False)
async def in_background(path: str) -> None:
    """The same flow, run by a task worker in a process of its own."""
    await rating_arrived(load_journey(Path(path)), LINGER_SECONDS)


def main(path: str, port: str, mode: str) -> None:
    """Serve until killed or until the parent ends."""
    end_with_parent()
    if mode == "worker":
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

    doors = doors_of([journey], settings)
    respond = respond_apart if mode == "inline" else delegate
    worker = None
    if mode == "task":
        command = [sys.executable, "-m", "benchmarks.webhook_desk", path, "0", "worker"]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - ourselves
    try:
        asyncio.run(run_desk(runtime, doors, [journey], respond, listen("127.0.0.1", int(port))))
    finally:
        if worker is not None:
            worker.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:4])
