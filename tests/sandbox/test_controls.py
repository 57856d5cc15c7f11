import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import apprise
import httpx
import pytest

from sandbox.process import Sandbox, running_sandbox
from tests.sandbox.client import Caller


def test_an_apprise_notification_enters_the_book(caller: Caller) -> None:
    agent = apprise.Apprise()
    agent.add(f"{caller.sandbox.url.replace('http', 'json')}/notify/lan")

    assert agent.notify(title="Phiếu C-1", body="Khách chấm 1 sao", notify_type=apprise.NotifyType.WARNING)

    (entry,) = caller.sandbox.book(kind="agent_notification")
    assert (entry["contact"], entry["title"], entry["message"]) == ("lan", "Phiếu C-1", "Khách chấm 1 sao")
    assert entry["type"] == "warning"


def test_the_broken_contact_takes_nothing(caller: Caller) -> None:
    assert caller.http.post("/notify/out-of-order", json={"title": "x"}).status_code == 503
    assert caller.http.post("/notify/lan", content=b"not json").status_code == 400
    assert caller.sandbox.book() == []


def test_the_clock_stands_where_it_is_set_and_can_run_again(caller: Caller) -> None:
    caller.sandbox.set_clock(datetime.fromisoformat("2030-01-01T00:00:00+07:00"))
    stopped = caller.http.get("/sandbox/clock").json()
    assert stopped == {"now": "2029-12-31T17:00:00+00:00", "virtual": True}

    before = datetime.now(UTC)
    caller.sandbox.set_clock(None)
    running = caller.http.get("/sandbox/clock").json()
    assert before <= datetime.fromisoformat(running["now"]) <= datetime.now(UTC)


@pytest.mark.parametrize("body", [{"now": "2026-11-23T09:00:00"}, {"now": "noon"}, {}, []])
def test_a_bad_clock_time_is_refused(caller: Caller, body: object) -> None:
    answer = caller.http.post("/sandbox/clock", json=body)
    assert answer.status_code == 400
    assert answer.json()["problem"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"night_rule": 1},
        {"daily_quota": -1},
        {"refuse_sends_with": 137},
        {"template_status": {"1": "DISABLE"}},
        {"x": 1},
    ],
)
def test_a_bad_switch_is_refused(caller: Caller, body: object) -> None:
    assert caller.http.post("/sandbox/switches", json=body).status_code == 400


def test_the_book_filters_and_pages(caller: Caller) -> None:
    for phone in ("84900000000", "84900000118", "84900000001"):
        caller.send(phone)

    assert [entry["n"] for entry in caller.sandbox.book(kind="zns")] == [1, 3]
    assert [entry["n"] for entry in caller.sandbox.book(after="1", limit="1")] == [2]
    assert [entry["n"] for entry in caller.sandbox.book(code="-118")] == [2]
    with pytest.raises(httpx.HTTPStatusError):
        caller.sandbox.book(after="x")


def test_a_reset_sandbox_is_as_newly_started(caller: Caller) -> None:
    caller.send("84900000000")
    caller.sandbox.switch(night_rule=False)
    caller.sandbox.set_clock(None)

    caller.sandbox.reset()

    assert caller.sandbox.book() == []
    assert caller.http.get("/sandbox/clock").json()["now"] == "2026-11-23T02:00:00+00:00"
    assert caller.send("84900000000")["error"] == -124
    assert caller.refresh(refresh_token="sandbox-refresh-token")["access_token"]


def test_another_seed_makes_other_message_ids(caller: Caller, morning: datetime) -> None:
    with running_sandbox(seed=8, now=morning) as other, httpx.Client(base_url=other.url) as http:
        stranger = Caller(other, http)
        stranger.log_in()
        ids = {each.send("84900000000")["data"]["msg_id"] for each in (caller, stranger)}
    assert len(ids) == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{other.url}/sandbox/health")


def test_a_port_in_use_is_an_error(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(RuntimeError, match="did not start"), running_sandbox(seed=7, port=port):
        pass


def test_the_command_says_one_line_and_dies_with_its_starter() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--seed", "7", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    url = json.loads(child.stdout.readline())["url"]
    assert httpx.get(f"{url}/sandbox/health").json() == {"status": "ok", "seed": 7, "entries": 0}

    child.stdin.close()
    assert child.wait(timeout=60) == 0
    assert child.stdout.read() == b""


def test_the_help_teaches() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "sandbox", "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ).stdout
    for word in ("84900000999", "sandbox-refresh-token", "320003", "/sandbox/clock", "-133"):
        assert word in text
