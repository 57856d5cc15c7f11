"""A sandbox as a child process, for tests, benchmarks and demos."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox and its controls; the calls block. Each raises httpx.HTTPError when refused."""

    url: str

    def set_clock(self, now: datetime | None) -> None:
        """Stop the sandbox's clock at `now` (aware), or let it run with the machine's (None)."""
        self._post("clock", {"now": None if now is None else now.isoformat()})

    def book(self, **wanted: str) -> list[dict[str, Any]]:
        """The book's entries in order, filtered on fields, e.g. book(kind="zns", phone="84...")."""
        answer = _client().get(f"{self.url}/sandbox/book", params=wanted, timeout=60)
        entries: list[dict[str, Any]] = answer.raise_for_status().json()
        return entries

    def switch(self, **switches: object) -> None:
        """Turn night_rule, daily_quota, refuse_sends_with or template_status (`python -m sandbox --help`)."""
        self._post("switches", switches)

    def reset(self) -> None:
        """Forget everything since the start, tokens, clock and switches too."""
        self._post("reset", {})

    def _post(self, control: str, body: Mapping[str, object]) -> None:
        _client().post(f"{self.url}/sandbox/{control}", json=body, timeout=10).raise_for_status()


@cache
def _client() -> httpx.Client:
    """One client for all controls: a demo moves the clock hundreds of times."""
    return httpx.Client()


@contextmanager
def running_sandbox(seed: int, now: datetime | None = None, port: int = 0) -> Iterator[Sandbox]:
    """A sandbox that lives as long as the block, and not longer than this process even if that is killed.

    Raises RuntimeError when it does not start, for example on a port in use.
    """
    command = [sys.executable, "-m", "sandbox", "--seed", str(seed), "--port", str(port)]
    if now is not None:
        command += ["--now", now.isoformat()]
    child = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [*command, "--until-stdin-closes"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line:
            raise RuntimeError(f"the sandbox did not start (exit code {child.wait()})")
        yield Sandbox(json.loads(line)["url"])
    finally:
        child.kill()
        child.communicate()
