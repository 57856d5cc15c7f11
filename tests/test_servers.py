"""The servers that workers share: started once, stopped after the last has left."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.servers import shared


def test_the_first_starts_it_and_stops_it_after_the_last_has_left(tmp_path: Path) -> None:
    told: list[str] = []

    @contextmanager
    def server() -> Iterator[str]:
        told.append("started")
        yield f"address {told.count('started')}"
        told.append("stopped")

    first, second = ExitStack(), ExitStack()
    assert first.enter_context(shared(tmp_path, server)) == "address 1"
    assert second.enter_context(shared(tmp_path, server)) == "address 1"
    with ThreadPoolExecutor() as pool:
        leaving = pool.submit(first.close)
        told.append("the second leaves")
        second.close()
        leaving.result(60)
    assert told == ["started", "the second leaves", "stopped"]
    with shared(tmp_path, server) as address:
        assert address == "address 2"


def test_a_server_that_does_not_start_is_tried_by_the_next(tmp_path: Path) -> None:
    @contextmanager
    def broken() -> Iterator[str]:
        raise OSError("no port")
        yield ""

    @contextmanager
    def sound() -> Iterator[str]:
        yield "address"

    with pytest.raises(OSError, match="no port"), shared(tmp_path, broken):
        pass
    with shared(tmp_path, sound) as address:
        assert address == "address"
