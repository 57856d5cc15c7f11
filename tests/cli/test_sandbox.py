"""`amends sandbox` prints settings with which an installation works, and ends cleanly."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from cli.pretending import CONTACTS
from tests.cli.conftest import run_amends


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_printed_settings_point_at_a_running_sandbox(tmp_path: Path, how: signal.Signals) -> None:
    amends = Path(sys.executable).with_name("amends")
    child = subprocess.Popen(
        [amends, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert child.stdout is not None
        lines = dict(child.stdout.readline().rstrip("\n").split("=", 1) for _ in range(6))
        answer = httpx.post(
            f"{lines['AMENDS_ZALO__OAUTH_URL']}/v4/oa/access_token",
            headers={"secret_key": lines["AMENDS_ZALO__SECRET_KEY"]},
            data={
                "app_id": lines["AMENDS_ZALO__APP_ID"],
                "grant_type": "refresh_token",
                "refresh_token": lines["AMENDS_ZALO__REFRESH_TOKEN"],
            },
        )
        assert answer.json()["access_token"]
        contacts = json.loads(lines["AMENDS_CONTACTS"].strip("'"))
        assert tuple(contacts) == CONTACTS
        os.kill(child.pid, how)
        assert child.wait(timeout=60) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{lines['AMENDS_ZALO__OAUTH_URL']}/sandbox/health")
    finally:
        child.kill()
        child.wait()


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_amends("sandbox", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr
    assert "Traceback" not in done.stderr
