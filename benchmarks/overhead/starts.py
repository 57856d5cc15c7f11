"""How long the `amends` command takes to say something, in a process of its own each time."""

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "amends --help": ("-m", "cli.main", "--help"),
    "amends status --help": ("-m", "cli.main", "status", "--help"),
    "amends import --help": ("-m", "cli.main", "import", "--help"),
}
"""The first is what no Python program can do without."""


@dataclass(frozen=True)
class Start:
    """Medians of `times` starts, in seconds."""

    wall: float
    cpu: float
    times: int


def measure(times: int) -> dict[str, Start]:
    """Each command so many times, in turn; once before, so that all is in the page cache."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(times + 1):
        for name, arguments in COMMANDS.items():
            taken[name].append(_once(arguments))
    return {
        name: Start(median(wall for wall, _ in kept[1:]), median(cpu for _, cpu in kept[1:]), times)
        for name, kept in taken.items()
    }


def _once(arguments: tuple[str, ...]) -> tuple[float, float]:
    began, used = time.perf_counter(), _cpu()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    return time.perf_counter() - began, _cpu() - used


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
