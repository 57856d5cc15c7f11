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
from typer.testing import CliRunner

from cli.main import app
from cli.pretending import CONTACTS
from tests.cli.conftest import run_amends
from tests.sandbox.receiver import SECRET, receiving


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
        assert child.wait(timeout=120) == 0
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


def test_faults_and_webhooks_are_in_force_from_the_start(tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("- on: send\n  phone: '8490*'\n  fault: http_503\n", encoding="utf-8")
    amends = Path(sys.executable).with_name("amends")
    with receiving() as receiver:
        words = ["--port", "0", "--faults", "faults.yaml", "--webhooks", receiver.url]
        child = subprocess.Popen([amends, "sandbox", *words], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        try:
            assert child.stdout is not None
            lines = dict(child.stdout.readline().rstrip("\n").split("=", 1) for _ in range(9))
            url = lines["AMENDS_ZALO__BUSINESS_URL"]
            [rule] = httpx.get(f"{url}/sandbox/faults").json()
            assert (rule["on"], rule["phone"], rule["fault"]) == ("send", "8490*", "http_503")
            answer = httpx.post(f"{url}/sandbox/events", json={"event_name": "follow"})
            assert answer.json()["status"] == 200
            [received] = receiver.received
            assert lines["AMENDS_ZALO__WEBHOOK_SECRET"] == SECRET
            assert received.signed_with(SECRET)
            child.send_signal(signal.SIGTERM)
            assert child.wait(timeout=120) == 0
        finally:
            child.kill()
            child.wait()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "- on: send\n  fault: http_503\n- on: sent\n  fault: http_503\n",
            ("rule 2, on", "did you mean send?"),
        ),
        ("- on: send\n  fault: slow\n", ("rule 1, seconds", "add for example seconds: 4")),
        ("on: send", ("begin each with a dash",)),
        ("- on: [", ("line 1",)),
        (None, ("cannot be read",)),
    ],
)
def test_a_bad_script_of_faults_is_told_in_a_line(
    tmp_path: Path, script: str | None, told: tuple[str, ...]
) -> None:
    file = tmp_path / "faults.yaml"
    if script is not None:
        file.write_text(script, encoding="utf-8")
    done = CliRunner().invoke(app, ["sandbox", "--port", "0", "--faults", str(file)])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith(f"{file}: ")
    for words in told:
        assert words in done.stderr


def test_an_address_for_webhooks_that_is_none_is_told() -> None:
    done = CliRunner().invoke(app, ["sandbox", "--webhooks", "127.0.0.1:4280"])
    assert done.exit_code == 2
    assert "does not begin with http://" in done.stderr
