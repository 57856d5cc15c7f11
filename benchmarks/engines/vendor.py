"""The vendor as every system under test meets it: a sandbox of its own process, or one that answers from memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from benchmarks.engines.cases import BEST, SEED, SURVEY
from benchmarks.engines.memory import InMemory
from sandbox.process import Sandbox

OPEN_CALLS = 32
"""Calls each system may have open at the vendor."""
APP = {"app_id": "sandbox-app", "secret_key": "sandbox-secret", "refresh_token": "sandbox-refresh-token"}
"""The credentials that the sandbox knows."""


class Vendor(Protocol):
    """Zalo, and the service that agents are notified through."""

    @property
    def url(self) -> str: ...

    def set_clock(self, now: datetime) -> None: ...

    def book(self) -> list[Mapping[str, Any]]:
        """Every request that was accepted or refused, in order."""
        ...

    def rate(self, msg_id: str, mark: int) -> None:
        """The receiver of that survey answers it now."""
        ...


class _Remote:
    """The sandbox in its own process, over real HTTP."""

    def __init__(self, url: str) -> None:
        self._sandbox = Sandbox(url)
        self.url = url
        self._sandbox.reset()

    def set_clock(self, now: datetime) -> None:
        self._sandbox.set_clock(now)

    def book(self) -> list[Mapping[str, Any]]:
        return list(self._sandbox.book())

    def rate(self, msg_id: str, mark: int) -> None:
        self._sandbox.rate(msg_id, mark)


@contextmanager
def open_vendor(url: str | None) -> Iterator[Vendor]:
    """The sandbox at `url`, as newly started; None: one in memory, that answers this process's HTTP clients."""
    if url is not None:
        yield _Remote(url)
        return
    vendor = InMemory(SEED)
    with vendor.answering():
        yield vendor


def customers_answer(vendor: Vendor, known: int) -> int:
    """Everybody who was asked since the book had `known` entries gives the best mark; how many entries it has now."""
    book = vendor.book()
    for entry in book[known:]:
        if entry["kind"] == "zns" and entry["template_id"] == SURVEY:
            vendor.rate(entry["msg_id"], BEST)
    return len(book)
