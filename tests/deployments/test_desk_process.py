"""The desk as a child: it gets its orders, is started again when it falls over, and ends with whoever started it."""

import json
import os
import queue
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.desk_process import running_desk

STAND_IN = """#!{python}
import json, os, sys
with open({book!r}, "a") as book:
    print(json.dumps([os.getpid(), sys.argv[1:], os.environ["PREFECT_API_URL"]]), file=book)
{work}
"""
PYTHON = sys.executable
"""The real one: tests put a stand-in in its place."""
UNTIL_STDIN_CLOSES = "sys.stdin.read()"
SECONDS = 120.0


class Desks:
    """A stand-in for the interpreter that notes how it is called; `told` hears of restarts."""

    def __init__(self, folder: Path) -> None:
        self.book = folder / "book"
        self.book.touch()
        self.told: queue.Queue[str] = queue.Queue()

    def calls(self) -> list[tuple[int, list[str], str]]:
        lines = self.book.read_text().splitlines(keepends=True)
        calls = [json.loads(line) for line in lines if line.endswith("\n")]
        return [(pid, words, api) for pid, words, api in calls]

    def started(self, number: int) -> int:
        """The process id of the number-th start, as soon as there is one."""
        until(lambda: len(self.calls()) >= number)
        return self.calls()[number - 1][0]

    @contextmanager
    def running(self) -> Iterator[None]:
        files = [Path("a.yaml"), Path("b.yaml")]
        with running_desk(
            files, host="127.0.0.1", port=4280, api_url="http://127.0.0.1:1/api", tell=self.told.put
        ):
            yield


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def desks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desks:
    desks = Desks(tmp_path)
    play(desks, monkeypatch)
    monkeypatch.setattr("deployments.desk_process.RESTART_SECONDS", 0.01)
    return desks


def play(desks: Desks, monkeypatch: pytest.MonkeyPatch, work: str = UNTIL_STDIN_CLOSES) -> None:
    program = desks.book.with_name("stand-in")
    program.write_text(STAND_IN.format(python=PYTHON, book=str(desks.book), work=work))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("deployments.desk_process.sys.executable", str(program))


def test_it_is_given_journeys_address_and_api_and_ends_with_the_block(desks: Desks) -> None:
    with desks.running():
        pid = desks.started(1)
    [(_, words, api)] = desks.calls()
    assert words == [
        *("-m", "cli.main", "desk", "a.yaml", "b.yaml", "--until-stdin-closes"),
        *("--host", "127.0.0.1", "--port", "4280"),
    ]
    assert api == "http://127.0.0.1:1/api"
    assert not alive(pid)
    assert desks.told.empty(), "an end that was asked for is no news"


def test_a_killed_desk_is_started_again_and_that_is_told(desks: Desks) -> None:
    with desks.running():
        os.kill(desks.started(1), signal.SIGKILL)
        assert desks.told.get(timeout=SECONDS) == "the desk ended (exit code -9); starting it again"
        second = desks.started(2)
        assert alive(second)
    assert not alive(second)
    assert len(desks.calls()) == 2


def test_a_desk_that_cannot_start_is_tried_at_intervals(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(desks, monkeypatch, work="sys.exit(2)")
    monkeypatch.setattr("deployments.desk_process.RESTART_SECONDS", 600.0)
    started = time.monotonic()
    with desks.running():
        assert "exit code 2" in desks.told.get(timeout=SECONDS)
    assert len(desks.calls()) == 1
    assert time.monotonic() - started < SECONDS, "the interval is cut short at the end"


def test_the_desk_learns_of_the_death_of_the_one_that_started_it(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = desks.book.with_name("ended")
    play(desks, monkeypatch, work=f"{UNTIL_STDIN_CLOSES}; open({str(ended)!r}, 'w')")
    program = (
        "import sys, time\nfrom deployments import desk_process\nsys.executable = sys.argv[1]\n"
        "with desk_process.running_desk([], host='127.0.0.1', port=1, api_url='', tell=print):\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([PYTHON, "-c", program, sys.executable], cwd=Path(__file__).parents[2])
    try:
        desks.started(1)
    finally:
        parent.kill()
        parent.wait()
    until(ended.exists)
