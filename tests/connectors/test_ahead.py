"""Reading ahead: the same rows in the same order, whatever happens on the way."""

from collections.abc import Iterator

import pytest

from connectors.ahead import in_batches


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_rows_come_in_order_and_none_is_missing(count: int, sizes: list[int]) -> None:
    batches = list(in_batches(iter(range(count)), 3, list))
    assert [len(batch) for batch in batches] == sizes
    assert [row for batch in batches for row in batch] == list(range(count))


def test_what_breaks_comes_after_the_rows_before_it() -> None:
    def rows() -> Iterator[int]:
        yield from range(4)
        raise OSError("the disk")

    batches = in_batches(rows(), 3, list)
    assert [next(batches), next(batches)] == [[0, 1, 2], [3]]
    with pytest.raises(OSError, match="the disk"):
        next(batches)


def test_no_more_than_two_batches_are_read_ahead() -> None:
    read = []

    def rows() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    batches = in_batches(rows(), 3, list)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # a generator, which the signature does not promise
    assert len(read) <= 9


def test_what_breaks_on_the_last_way_comes_after_the_rows_before_it() -> None:
    def finish(rows: list[int]) -> list[int]:
        if 4 in rows:
            raise OSError("no key")
        return rows

    batches = in_batches(iter(range(9)), 3, finish)
    assert next(batches) == [0, 1, 2]
    with pytest.raises(OSError, match="no key"):
        next(batches)
