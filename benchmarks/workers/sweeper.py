"""`python -m benchmarks.workers.sweeper HOME`: one sweep in a process of its own, begun by a line on stdin."""

import asyncio
import json
import sys
import time
from pathlib import Path

from amends.clock import VirtualClock
from amends.garbage import collect_seldom
from amends.logs import set_up_logs
from amends.settings import Settings
from amends.store.opening import open_store
from benchmarks.shop import MONDAY, journey_of
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime


def main(home: str) -> None:
    """Say `ready`, sweep, and print when that began and ended, by the clock that all processes share."""
    collect_seldom()
    set_up_logs("error")
    settings = Settings()
    store = open_store(settings)
    use_runtime(Runtime(settings, store, VirtualClock(MONDAY)))
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    asyncio.run(complaint(journey_of(Path(home))))
    print(json.dumps({"started": started, "ended": time.monotonic()}), flush=True)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
