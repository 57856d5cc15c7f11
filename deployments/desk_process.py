"""The desk as a child of `amends serve`: started with it, restarted when it falls over, ended with it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RESTART_SECONDS = 2.0
"""Between a fall and the next start: a desk that cannot start must not burn a core."""


@contextmanager
def running_desk(
    journeys: Sequence[Path], *, host: str, port: int, api_url: str, tell: Callable[[str], None]
) -> Iterator[None]:
    """Run `amends desk` for these journey files as long as the block lasts; `tell` is told of every restart."""
    command = [sys.executable, "-m", "cli.main", "desk", *map(str, journeys), "--until-stdin-closes"]
    command += ["--host", host, "--port", str(port)]
    keeper = _Keeper(command, {**os.environ, "PREFECT_API_URL": api_url}, tell)
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


class _Keeper(threading.Thread):
    def __init__(self, command: list[str], environment: dict[str, str], tell: Callable[[str], None]) -> None:
        super().__init__(name="desk keeper", daemon=True)
        self._command, self._environment, self._tell = command, environment, tell
        self._stopping = threading.Event()
        self._changing = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        while not self._stopping.is_set():
            with self._changing:
                if self._stopping.is_set():
                    return
                # The child ends when our end of its standard input closes, even when we are killed.
                child = self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and fixed words
                    self._command, env=self._environment, stdin=subprocess.PIPE, start_new_session=True
                )
            code = child.wait()
            if not self._stopping.is_set():
                self._tell(f"the desk ended (exit code {code}); starting it again")
                self._stopping.wait(RESTART_SECONDS)

    def stop(self) -> None:
        self._stopping.set()
        with self._changing:
            child = self._child
        if child is not None:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.join(timeout=5)
