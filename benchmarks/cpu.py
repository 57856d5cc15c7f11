"""Processor time of other processes, in seconds, user and system."""

import psutil


def of_tree(process: psutil.Process) -> float:
    """Of a process and all that it has running now."""
    return sum(of(one) for one in (process, *process.children(recursive=True)))


def of_ended(process: psutil.Process) -> float:
    """Of all that have ended below a process, told by whoever has waited for them: it, or one it still has running."""
    return sum(_of_ended_children(one) for one in (process, *process.children(recursive=True)))


def _of_ended_children(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.children_user + times.children_system)


def of(process: psutil.Process) -> float:
    """Of the process alone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def child_with(words: str) -> psutil.Process:
    """Our child whose command line has these words. Raises LookupError."""
    for process in psutil.Process().children():
        if words in " ".join(process.cmdline()):
            return process
    raise LookupError(words)
