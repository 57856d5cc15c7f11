"""Running races: every run a process of its own, round after round, so that no system has the machine at its best."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.engines.cases import SEED
from benchmarks.engines.order import Measured, Order
from benchmarks.engines.races import Race, Runner
from benchmarks.engines.servers import Databases, Prefect, databases, on_core, prefect, two_cores
from benchmarks.part import FailedRun, Say
from deployments.api import one_certificate
from sandbox.process import running_sandbox

WARM_UP = 32
LONGEST_S = 1_200
"""After so many seconds a run is taken for hung."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Results:
    """All runs of one race by the runner's label, in the order of the rounds."""

    race: Race
    runs: dict[str, list[Measured]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    """Labels of peers that broke off, lost or doubled something: they have no figures."""


@dataclass(frozen=True)
class Surroundings:
    """What stays up for all races."""

    home: Path
    sandbox: str
    databases: dict[str, Databases]
    prefects: dict[str, Prefect]
    """Prefect's server, on each kind of database."""
    core: int | None
    """The system under test's, over HTTP; the sandbox has another."""


@contextmanager
def surroundings(kinds: Sequence[str]) -> Iterator[Surroundings]:
    """The sandbox, and for each kind of database its server, if it has one, and Prefect's."""
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True)
        home = Path(stack.enter_context(folder))
        os.environ |= {"PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
        ours, theirs = two_cores()
        with on_core(theirs):
            sandbox = stack.enter_context(running_sandbox(SEED))
        opened = {kind: stack.enter_context(databases(kind)) for kind in kinds}
        prefects = {
            kind: stack.enter_context(prefect(home / f"prefect-{kind}", base))
            for kind, base in opened.items()
        }
        yield Surroundings(home, sandbox.url, opened, prefects, ours)


def run_race(race: Race, around: Surroundings, say: Say) -> Results:
    """Round after round, every runner that has one left. Raises FailedRun when Amends' or the floor's is one."""
    results = Results(race)
    for round_ in range(max(runner.rounds for runner in race.runners)):
        for runner in race.runners:
            if round_ >= runner.rounds:
                continue
            if not runner.ready:
                say(f"{runner.label} is not installed and left out: `make .venv/.peers`")
                continue
            try:
                run = _run(race, runner, around)
            except FailedRun as failure:
                if not runner.is_peer:
                    raise
                results.failed.add(runner.label)
                say(str(failure))
                continue
            results.runs.setdefault(runner.label, []).append(run)
            say(f"{race.setting}, {race.database}, {runner.label}: {run.per_second:,.1f} cases/s")
    return results


def _run(race: Race, runner: Runner, around: Surroundings) -> Measured:
    with tempfile.TemporaryDirectory(dir=around.home, ignore_cleanup_errors=True) as folder:
        home, base = Path(folder), around.databases[race.database]
        server = around.prefects[race.database]
        order = Order(
            arm=runner.arm,
            cases=runner.cases,
            warm_up=min(WARM_UP, runner.cases),
            at_once=runner.at_once,
            home=folder,
            database=base.new(home),
            vendor=around.sandbox if race.over_http else None,
            prefect=server.api,
            servers=_servers(runner, server, base),
            core=around.core if race.over_http else None,
            script=str(around.home / f"{race.setting}-{race.database}.script"),
        )
        order.write(home / "order.json")
        out = home / "measured.json"
        command = [sys.executable, "-m", "benchmarks.engines.child", str(home / "order.json"), str(out)]
        environment = os.environ | {
            "PREFECT_API_URL": server.api,
            "PREFECT_HOME": f"{folder}/prefect",
            # As the `amends` command does it, and for all who use Prefect: the API is plain HTTP.
            "PREFECT_API_SSL_CERT_FILE": one_certificate(around.home),
        }
        where = f"{runner.label} on {race.database}, {race.setting}"
        try:
            subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=LONGEST_S)  # noqa: S603 - our own
        except subprocess.TimeoutExpired:
            raise FailedRun(f"{where}: not done after {LONGEST_S:,} s") from None
        except subprocess.CalledProcessError:
            raise FailedRun(f"{where}: see above") from None
        return Measured(**json.loads(out.read_text("utf-8")))


def _servers(runner: Runner, server: Prefect, base: Databases) -> tuple[int, ...]:
    """The servers that work for this runner."""
    found = [] if base.server is None else [base.server]
    return (*found, server.server) if runner.arm in ("amends", "prefect") else tuple(found)
