"""Python's search for unreachable objects, made seldom: for every process of ours."""

import gc


def collect_seldom() -> None:
    """A process of ours imports two hundred thousand objects, or more, that stay.

    By default they are looked through again and again: a seventh of a command's start, a twentieth of an import.
    """
    gc.set_threshold(50_000, 20, 100)
