"""Python's search for unreachable objects, made seldom where a process imports much and keeps it."""

import gc


def collect_seldom() -> None:
    """For commands, Prefect's server, served sweeps, and what is measured in their place.

    They import two hundred thousand objects, or more, that stay. By default those are looked through again and again: a
    seventh of a command's start, a twentieth of an import.
    """
    gc.set_threshold(50_000, 20, 100)
