"""`python -m benchmarks.growth`: one sweep over the same due cases, with more and more idle ones around them."""

import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.growth.idle import MODELS, rows_per_case
from benchmarks.part import Chart, Part, Say, Size, Table, main
from benchmarks.shop import quiet_prefect

if TYPE_CHECKING:
    from benchmarks.growth.stage import Stage


@dataclass(frozen=True)
class Plan:
    """How many idle cases, how many due ones in each sweep, and how many sweeps count."""

    idle: tuple[int, ...]
    due: int
    rounds: int


PLANS = {
    Size.SMOKE: Plan((100, 1_000), 20, 1),
    Size.QUICK: Plan((1_000, 10_000), 500, 2),
    Size.FULL: Plan((1_000, 10_000, 100_000, 1_000_000), 1_000, 7),
}
_SHORT = {1_000_000: "1m", 100_000: "100k", 10_000: "10k"}
NOTE = (
    "One sweep of the real flow over {due:,} new bad ratings (rating to case, apology, ticket, agent told) against "
    "the sandbox, amid idle cases (closed, with an agent, or waiting for their survey), {rows:.0f} rows each. All "
    "databases are there at once and swept in turn; medians of {rounds} rounds after one that does not count, also of "
    "the ratios to the first database in the same round. Each sweep's cases stay, so by the end every database has "
    "{more:,} more. `verify` was clean on each, and the vendor's book was as expected after every sweep. Idle sweep: "
    "with nothing due."
)


@dataclass(frozen=True)
class Measured:
    """Median seconds of a sweep, and the median of its ratios to the first database's sweep in the same round."""

    cases: int
    due: float
    due_ratio: float
    idle: float
    idle_ratio: float


def run(size: Size, say: Say) -> Part:
    plan, tables, figures = PLANS[size], [], {}
    with (
        tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True) as folder,
        quiet_prefect(Path(folder) / "prefect"),
    ):
        for kind in (SQLITE, POSTGRES):
            measured, rows = _measure(kind, plan, Path(folder) / kind, say)
            tables.append(_table(kind, plan, measured, rows))
            for wanted, one in zip(plan.idle, measured, strict=True):
                if wanted in _SHORT:
                    figures[f"growth_{_SHORT[wanted]}_{kind}"] = round(one.due_ratio, 3)
    return Part(tables, figures)


def _measure(kind: str, plan: Plan, home: Path, say: Say) -> tuple[list[Measured], float]:
    from benchmarks.growth.stage import opened_stage  # it imports Prefect

    home.mkdir()
    stages: list[Stage] = []
    with ExitStack() as opened:
        for idle in plan.idle:
            started = time.monotonic()
            stages.append(opened.enter_context(opened_stage(kind, idle, home / str(idle))))
            say(f"{kind}: {stages[-1].cases:,} idle cases, loaded in {time.monotonic() - started:.0f} s")
        due: dict[int, list[float]] = {idle: [] for idle in plan.idle}
        nothing: dict[int, list[float]] = {idle: [] for idle in plan.idle}
        for round_ in range(plan.rounds + 1):
            first = MODELS + round_ * plan.due
            for stage in stages if round_ % 2 else reversed(stages):
                taken = stage.sweep(f"round{round_}", range(first, first + plan.due))
                idle_s = stage.sweep("none", range(0))
                if round_:  # the first one warms up
                    due[stage.wanted].append(taken)
                    nothing[stage.wanted].append(idle_s)
            if round_:
                told = ", ".join(f"{due[idle][-1]:.2f}" for idle in plan.idle)
                say(f"{kind}: round {round_} of {plan.rounds}: {told} s")
        for stage in stages:
            started = time.monotonic()
            stage.check()
            say(f"{kind}: verify of {stage.cases:,} cases is clean, {time.monotonic() - started:.0f} s")
        measured = [
            Measured(
                stage.cases,
                statistics.median(due[stage.wanted]),
                _ratio(due[stage.wanted], due[plan.idle[0]]),
                statistics.median(nothing[stage.wanted]),
                _ratio(nothing[stage.wanted], nothing[plan.idle[0]]),
            )
            for stage in stages
        ]
        return measured, rows_per_case(stages[0].runtime.store)


def _ratio(these: list[float], first: list[float]) -> float:
    """Of sweeps a few seconds apart, so that what a machine's slow minute adds to both stays out of it."""
    return statistics.median(one / other for one, other in zip(these, first, strict=True))


def _table(kind: str, plan: Plan, measured: list[Measured], rows: float) -> Table:
    cells: list[tuple[str, ...]] = [
        (
            f"{one.cases:,}",
            f"{one.due:.2f}",
            f"{one.due_ratio:.2f}",
            f"{one.idle * 1000:.0f}",
            f"{one.idle_ratio:.2f}",
        )
        for one in measured
    ]
    columns = ("idle cases", f"sweep of {plan.due:,} due, s", "ratio", "idle sweep, ms", "ratio")
    note = NOTE.format(due=plan.due, rows=rows, rounds=plan.rounds, more=plan.due * (plan.rounds + 1))
    bars = {f"{one.cases:,}": one.due for one in measured}
    title = f"Growth, {'PostgreSQL' if kind == POSTGRES else 'SQLite'}"
    return Table(title, columns, cells, note, Chart(f"{title}: one sweep", "seconds", bars))


if __name__ == "__main__":
    main(run, __doc__.splitlines()[0])
