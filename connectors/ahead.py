"""Reading ahead: the next parts are read while whoever asked for this one waits for the database."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Batches: with a single one, whoever reads waits whenever the database takes longer than usual, and the other way
round."""


def in_batches(rows: Iterator[T], size: int, finish: Callable[[list[T]], R]) -> Iterator[R]:
    """What `finish` makes of each `size` rows, and of those left at the end; the next are made in a thread meanwhile.

    Raises what `rows` or `finish` raises, after the rows before it.
    """

    def read() -> tuple[list[R], Exception | None]:
        batch: list[T] = []
        broken: Exception | None = None
        try:
            batch.extend(islice(rows, size))
        except Exception as error:
            broken = error
        try:
            return [finish(batch)] if batch else [], broken
        except Exception as error:
            return [], error

    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = deque([reader.submit(read)])
        while True:
            batch, error = coming.popleft().result()
            while error is None and batch and len(coming) < AHEAD:
                coming.append(reader.submit(read))
            yield from batch
            if error is not None:
                raise error
            if not batch:
                return
