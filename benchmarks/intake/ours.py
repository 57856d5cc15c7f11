"""`python -m benchmarks.intake.ours FILE HOME`: one import in a process of its own, as `amends import` does it."""

import json
import resource
import sys
import time
from pathlib import Path

from amends.domain.journey import load_journey
from amends.garbage import collect_seldom
from amends.settings import Settings
from amends.store.opening import open_store
from cli.importing import import_files

ROOT = Path(__file__).resolve().parents[2]


def main(file: str, home: str) -> None:
    """Print seconds, rows and this process's peak memory in KiB. The database is that of AMENDS_DATABASE_URL."""
    settings = Settings(home=Path(home))
    store = open_store(settings)
    store.migrate()
    journey = load_journey(ROOT / "deployments" / "journeys" / "complaint.yaml")
    started, used = time.perf_counter(), time.process_time()
    (imported,) = import_files([Path(file)], store, journey, source="marketplace")
    told = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - used,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "new": imported.new,
        "known": imported.known,
        "quarantined": imported.quarantined,
        "problem": imported.problem,
    }
    store.close()
    print(json.dumps(told))


if __name__ == "__main__":
    collect_seldom()
    main(*sys.argv[1:3])
