"""Prefect's own server as a child process, for the demo, for `serve` on one machine, and for the tests."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 120
"""A first start creates Prefect's database: 12 to 18 s on two cores with an empty home."""

# On SQLite Prefect's recorder of task runs commits every event by itself and so makes the API answer 503, which
# clients repeat after two seconds: a sweep of five tasks took 1.8 s. In batches it takes 0.2 s (ADR 0002).
SERVER_SETTINGS = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


class ServerProblem(RuntimeError):
    """Prefect's server did not start; the message says where its log is."""


@contextmanager
def prefect_server(
    home: Path, *, port: int = 0, host: str = "127.0.0.1", settings: Mapping[str, str] = SERVER_SETTINGS
) -> Iterator[str]:
    """Run `prefect server` with its database in `home`; yields the API URL and stops it at the end.

    `port` 0 takes a free one; `settings` are Prefect's, as environment variables. Raises ServerProblem when it is
    not up within two minutes.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    url = f"http://{host}:{port}/api"
    log = home / "server.log"
    environment = {**os.environ, **settings, "PREFECT_HOME": str(home.resolve())}
    for inherited in ("PREFECT_API_URL", "PREFECT_PROFILE"):
        environment.pop(inherited, None)
    child = [sys.executable, "-m", "deployments.prefect_child"]
    command = [*child, "server", "start", "--host", host, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and fixed words
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal must reach us alone: whoever uses the server ends first, and needs it for that.
            start_new_session=True,
        )
        try:
            _wait_until_up(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerProblem(f"Prefect's server stopped at once; see {log}")
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise ServerProblem(f"Prefect's server was not up within {START_SECONDS} s; see {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
