"""Empty sweeps in one process, for as long as they are asked for: `python -m benchmarks.overhead.sweeps JOURNEY COUNT`.

Prints `ready` once it is warm, waits for a line, sweeps, and prints what each sweep cost.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import httpx

from amends.clock import SystemClock
from amends.domain.journey import load_journey
from amends.settings import Settings
from amends.store.opening import open_store
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime

WARM_UP = 3
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def main(path: str, count: str) -> None:
    """One JSON object: `wall` and `cpu` of each sweep in seconds, and `calls` of the API over all of them."""
    journey, settings = load_journey(Path(path)), Settings()
    store = open_store(settings)
    store.migrate()
    use_runtime(Runtime(settings, store, SystemClock()))
    calls = _counted()

    async def sweep_all() -> dict[str, Any]:
        for _ in range(WARM_UP):
            await complaint(journey)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        calls.clear()
        wall, cpu = [], []
        for _ in range(int(count)):
            began, used = perf_counter(), process_time()
            await complaint(journey)
            wall.append(perf_counter() - began)
            cpu.append(process_time() - used)
        return {"wall": wall, "cpu": cpu, "calls": dict(calls)}

    outcome = asyncio.run(sweep_all())
    store.close()
    print(json.dumps(outcome), flush=True)


def _counted() -> Counter[str]:
    """Every request this process makes to Prefect's API from now on, by method and path; retries count, too."""
    calls: Counter[str] = Counter()

    def note(request: httpx.Request) -> None:
        if "/api/" in request.url.path:
            calls[f"{request.method} {_ID.sub('ID', request.url.path.partition('/api')[2])}"] += 1

    asynchronous, synchronous = (
        httpx.AsyncHTTPTransport.handle_async_request,
        httpx.HTTPTransport.handle_request,
    )

    async def ask_async(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        note(request)
        return await asynchronous(transport, request)

    def ask(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        note(request)
        return synchronous(transport, request)

    # At the transport, below every client that Prefect makes for itself: nothing can be asked past it.
    setattr(httpx.AsyncHTTPTransport, "handle_async_request", ask_async)  # noqa: B010 - mypy refuses the assignment
    setattr(httpx.HTTPTransport, "handle_request", ask)  # noqa: B010
    return calls


if __name__ == "__main__":
    main(*sys.argv[1:3])
