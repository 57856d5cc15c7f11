"""`python -m tests.chaos --kills 1000`: kill the real sweep again and again, and count at the vendor's side."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

DATABASES = {"sqlite": ["sqlite"], "postgres": ["postgres"], "both": ["sqlite", "postgres"]}


def main() -> int:
    """Exit code 1: something was sent twice, lost, or left uncertain unexplained. 2: a sweep failed by itself."""
    arguments, started = _arguments(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="amends-chaos-", ignore_cleanup_errors=True) as folder,
        _progress(arguments.kills) as advance,
    ):
        # Before anything of Prefect is imported.
        os.environ |= {"PREFECT_HOME": str(Path(folder) / "prefect"), "DO_NOT_TRACK": "1"}
        from amends.logs import set_up_logs
        from tests.chaos.harness import kill
        from tests.chaos.report import good, json_line, show
        from tests.chaos.stage import set_stage
        from tests.chaos.world import ChaosProblem

        set_up_logs("critical")  # trouble is what the sweeps are here for
        try:
            with set_stage(Path(folder), DATABASES[arguments.database]) as (sites, prefect):
                results = kill(sites, prefect, kills=arguments.kills, seed=arguments.seed, progress=advance)
        except ChaosProblem as problem:
            print(f"chaos: {problem}", file=sys.stderr)
            return 2
    if not arguments.json:
        show(Console(), results)
    print(json_line(results, seed=arguments.seed, seconds=time.monotonic() - started))
    return 0 if good(results) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=main.__doc__)
    add = parser.add_argument
    add("--kills", type=int, default=1000, help="sweeps to kill, over all databases (1000)")
    add("--seed", type=int, default=1, help="decides what people do and which points come next (1)")
    add("--database", choices=DATABASES, default="both", help="both side by side, or one (both)")
    add("--json", action="store_true", help="only the line of JSON")
    arguments = parser.parse_args()
    if arguments.kills < 1:
        parser.error("--kills must be at least 1")
    return arguments


@contextmanager
def _progress(kills: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("killing sweeps"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=kills)
        yield lambda: progress.advance(bar)


if __name__ == "__main__":
    sys.exit(main())
