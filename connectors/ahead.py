"""Reading ahead: the next part is read while whoever asked for this one waits for the database."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_batches(rows: Iterator[T], size: int) -> Iterator[list[T]]:
    """The rows in lists of `size`, the last one shorter; one list is made ahead, in a thread.

    Raises what `rows` raises, after the rows before it.
    """

    def read() -> tuple[list[T], Exception | None]:
        batch: list[T] = []
        try:
            batch.extend(islice(rows, size))
        except Exception as error:
            return batch, error
        return batch, None

    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = reader.submit(read)
        while True:
            batch, error = coming.result()
            if error is None and batch:
                coming = reader.submit(read)
            if batch:
                yield batch
            if error is not None:
                raise error
            if not batch:
                return
