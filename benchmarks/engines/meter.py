"""What a run has cost: wall time, CPU of the system under test and of its servers, and peak memory."""

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Meter:
    """Adds up what happens inside `running()`; what people do between two of these costs a system nothing.

    `servers` are the process ids of the database's and Prefect's servers, with all their children. Times in seconds.
    """

    servers: Sequence[int] = ()
    wall_s: float = 0.0
    cpu_s: float = 0.0
    server_cpu_s: float = field(default=0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, cpu, servers = time.perf_counter(), _own_cpu(), self._servers()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += _own_cpu() - cpu
        self.server_cpu_s += self._servers() - servers

    def _servers(self) -> float:
        return sum(_cpu_of_tree(psutil.Process(pid)) for pid in self.servers)


def _own_cpu() -> float:
    """User and system time of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _cpu_of_tree(root: psutil.Process) -> float:
    """A process, all below it that live, and all that have ended and were waited for."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])  # user, system, and the same of ended children
        except psutil.NoSuchProcess:
            continue  # has ended just now: its parent has counted it or is about to
    return total


def peak_mib() -> float:
    """The most memory this process has had resident, in MiB.

    Not `ru_maxrss` where the kernel says better: that one starts with what the parent had when it forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
