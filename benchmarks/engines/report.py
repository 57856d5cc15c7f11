"""What the races say: a table each, and the ratios."""

from collections.abc import Sequence
from statistics import median

from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.engines.order import Measured
from benchmarks.engines.races import AMENDS, DBOS, FLOOR, FLOOR_AIOHTTP, NAIVE, PROCRASTINATE
from benchmarks.engines.running import Results
from benchmarks.part import Chart, Part, Table

_COLUMNS = (
    "system",
    "cases",
    "runs",
    "cases/s",
    "Amends' speed over its",
    "CPU s per 1,000 cases",
    "of servers",
    "peak MiB",
)
_NAMES = {
    AMENDS: "amends",
    FLOOR: "floor",
    FLOOR_AIOHTTP: "floor_over_aiohttp",
    DBOS: "dbos",
    PROCRASTINATE: "procrastinate",
    NAIVE[0]: "naive_prefect_in_turn",
    NAIVE[1]: "naive_prefect_at_once",
}
_DATABASES = {SQLITE: "SQLite", POSTGRES: "PostgreSQL"}


def report(results: Sequence[Results]) -> Part:
    """Every race as a table, and the figures for `latest.json`."""
    return Part([_table(each) for each in results], _figures(results))


def _table(results: Results) -> Table:
    race, runs = results.race, results.runs
    where = "over real HTTP" if race.over_http else "engine only"
    ours = _speed(runs[AMENDS])
    rows: list[tuple[str, ...]] = [
        (
            label,
            f"{measured[0].cases:,}",
            str(len(measured)),
            _short(_speed(measured)),
            _short(ours / _speed(measured)),
            _short(median(run.cpu_s_per_1000 for run in measured)),
            _short(median(run.server_cpu_s_per_1000 for run in measured)),
            f"{median(run.peak_mib for run in measured):.0f}",
        )
        for label, measured in runs.items()
        if label not in results.failed
    ]
    rows += [(label, "failed", *[""] * (len(_COLUMNS) - 2)) for label in sorted(results.failed)]
    chart = Chart(
        f"Cases per second, {where}, {_DATABASES[race.database]}",
        "cases/s",
        {
            _NAMES[label].replace("_", " "): _speed(measured)
            for label, measured in runs.items()
            if label not in results.failed
        },
    )
    where_from = (
        "The sandbox has a core and a process of its own" if race.over_http else "Answers come from memory"
    )
    note = (
        f"{where_from}; medians of the runs. The floor has no engine; naive Prefect is a flow run per case with a task "
        "per step. Servers: PostgreSQL's and Prefect's own processes, where the system uses them."
    )
    return Table(f"All eight steps, {where}, {_DATABASES[race.database]}", _COLUMNS, rows, note, chart)


def _figures(results: Sequence[Results]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for each in results:
        race = each.race
        sound = {label: runs for label, runs in each.runs.items() if label not in each.failed}
        for label, runs in sound.items():
            figures[f"{_NAMES[label]}_cases_per_s_{race.setting}_{race.database}"] = _round(_speed(runs))
        ours = sound[AMENDS]
        if race.over_http:
            for floor, name in ((FLOOR, "of_floor"), (FLOOR_AIOHTTP, "of_aiohttp_floor")):
                pairs = zip(ours, sound[floor], strict=True)
                figures[f"{name}_{race.database}"] = _round(median(us.wall_s / it.wall_s for us, it in pairs))
            continue
        naive = [_speed(sound[label]) for label in NAIVE if label in sound]
        if naive:
            figures[f"times_naive_prefect_{race.database}"] = _round(_speed(ours) / max(naive))
        if DBOS in sound:
            figures["times_dbos"] = _round(_speed(ours) / _speed(sound[DBOS]))
    for name, worst in (("of_floor", max), ("of_aiohttp_floor", max), ("times_naive_prefect", min)):
        found = [value for key, value in figures.items() if key.startswith(f"{name}_")]
        if found:
            figures[name] = worst(found)
    return figures


def _speed(runs: Sequence[Measured]) -> float:
    return median(run.per_second for run in runs)


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
