"""`amends desk` as a process: what it has answered 200 to reaches an agent once, whatever dies or is away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import sqlalchemy as sa
import yaml

from amends.clock import SystemClock
from amends.domain.journey import ComplaintJourney, load_journey
from amends.encryption import cipher_of
from amends.settings import Settings
from amends.store import credentials, webhook_events
from amends.store.engine import Store
from amends.store.opening import open_spool
from amends.store.schema import feedbacks
from amends.store.spool import Arrived
from cli.keeping_desk import unlocked
from flows.complaint import complaint
from sandbox.oauth import OA_ID, OA_SECRET
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tasks.webhooks import doors_of
from tests.cli.conftest import Invoke, assert_discreet
from tests.connectors.rig import unused_port
from tests.desk.rig import SECRET, by_standard
from tests.flows.bench import NEVER_RATES

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

AMENDS = Path(sys.executable).with_name("amends")
NOWHERE = "http://127.0.0.1:1/api"
PHONE = "84912000001"


@pytest.fixture(autouse=True)
def taking_webhooks(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", json.dumps({"till": SECRET}))
    monkeypatch.setenv("AMENDS_ZALO__WEBHOOK_SECRET", OA_SECRET)
    monkeypatch.setenv("AMENDS_ZALO__OA_ID", OA_ID)


@pytest.fixture
def till(journey_file: Path) -> ComplaintJourney:
    """The journey's file gets a webhook source; nobody sleeps."""
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    data["sources"].append({"kind": "webhook", "name": "till"})
    data["quiet_hours"] = {"start": "00:00", "end": "00:00"}
    journey_file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return load_journey(journey_file)


def rating(number: int) -> bytes:
    """A bad rating by the number-th customer."""
    return json.dumps({"rating": 1, "text": "Giao trễ", "phone": f"{PHONE[:-2]}{number:02}"}).encode()


@dataclass
class Running:
    """A desk process. Its address is read from what it prints."""

    child: subprocess.Popen[str]
    url: str
    log: Path

    def post(self, number: int, attempt: int = 0) -> int:
        """A signed bad rating; the status it is answered. Each attempt has a timestamp of its own."""
        now = int(time.time()) + attempt
        raw, headers = by_standard(rating(number), key=f"msg_{number}", timestamp=now)
        return httpx.post(f"{self.url}/webhooks/in/till", content=raw, headers=headers).status_code

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """What it wrote on standard error."""
        self.child.send_signal(how)
        assert self.child.wait(timeout=120) == (-9 if how is signal.SIGKILL else 0), self.log.read_text()
        said = self.log.read_text(encoding="utf-8")
        assert_discreet(said)
        assert PHONE[2:8] not in said
        return said


@contextmanager
def desk(file: Path, **environment: str) -> Iterator[Running]:
    log = file.with_name(f"desk{time.monotonic_ns()}.log")
    with log.open("w") as errors:
        child = subprocess.Popen(
            [AMENDS, "desk", file, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
        )
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            assert line.startswith("Webhooks: http://127.0.0.1:"), log.read_text()
            yield Running(child, line.removeprefix("Webhooks: ").partition("/webhooks")[0], log)
        finally:
            child.kill()
            child.wait()


def until(what: Callable[[], bool], seconds: float = 120) -> None:
    """Look again and again, at another process's work."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def health(url: str) -> dict[str, object]:
    told: dict[str, object] = httpx.get(f"{url}/health").json()
    return told


def taken_in(store: Store) -> int:
    with store.read() as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(feedbacks)).scalar_one())


def notified(sandbox: Sandbox) -> list[str]:
    return [str(entry["title"]) for entry in sandbox.book(kind="agent_notification")]


@pytest.mark.slow
def test_a_webhook_reaches_an_agent_through_prefect_by_both_doors(
    prefect_api: str,
    amends: Invoke,
    till: ComplaintJourney,
    journey_file: Path,
    sandbox: Sandbox,
    store: Store,
) -> None:
    sandbox.set_clock(None)
    sandbox.switch(night_rule=False)
    assert amends("check", journey_file).exit_code == 0
    with desk(journey_file, PREFECT_API_URL=prefect_api) as running:
        assert running.post(1) == 200
        until(lambda: len(notified(sandbox)) == 1)
        assert "urgent ticket" in notified(sandbox)[0]
        assert running.post(1, attempt=1) == 200, "a repeated delivery is as welcome"

        # Another system asks for a rating after a purchase, the customer gives it, and Zalo tells us.
        with store.read() as tx:
            pair = credentials.load(tx, "zalo:sandbox-app")
        assert pair is not None
        asked = httpx.post(
            f"{sandbox.url}/message/template",
            headers={"access_token": cipher_of(Settings()).open(pair.access_token)},
            json={
                "phone": NEVER_RATES,  # by itself
                "template_id": "320003",
                "template_data": {"customer_name": "Lan", "case_code": "HD1", "brand": "Nắng Store"},
                "tracking_id": "purchase-1",
            },
        ).json()
        sandbox.webhooks(f"{running.url}/webhooks/zalo")
        sandbox.rate(asked["data"]["msg_id"], 1, "Đóng gói cẩu thả")
        until(lambda: len(notified(sandbox)) == 2)
        assert health(running.url)["status"] == "ok"
        sandbox.webhooks(None)
        running.stop()
    assert len(notified(sandbox)) == 2
    assert taken_in(store) == 2
    with store.read() as tx:
        counts = webhook_events.counts(tx, SystemClock().now().date())
    assert (counts["webhook:till", "accepted"], counts["webhook:till", "duplicate"]) == (1, 1)
    assert counts["zalo:default", "accepted"] >= 1


async def test_a_desk_killed_after_its_200_loses_nothing_and_doubles_nothing(
    prefect_api: str, till: ComplaintJourney, journey_file: Path, sandbox: Sandbox, store: Store
) -> None:
    with desk(journey_file, PREFECT_API_URL=NOWHERE) as running:
        assert [running.post(number) for number in range(1, 6)] == [200] * 5
        said = running.stop(signal.SIGKILL)
    assert "nothing answers at PREFECT_API_URL yet" in said
    use_runtime(Runtime(Settings(), store, SystemClock()))
    await complaint(till)
    assert len(notified(sandbox)) == 5
    assert taken_in(store) == 5
    # The vendor repeats what it got no answer to, and a later desk takes it for new.
    spool = open_spool(Settings())
    spool.forget(SystemClock().now())
    assert spool.put([Arrived("webhook:till", "msg_3", SystemClock().now(), rating(3))]) == [True]
    spool.close()
    await complaint(till)
    assert len(notified(sandbox)) == 5
    assert taken_in(store) == 5


def test_a_database_that_is_away_costs_no_webhook(
    till: ComplaintJourney, journey_file: Path, store: Store
) -> None:
    away = "postgresql://amends:hunter2@127.0.0.1:1/amends"
    with desk(journey_file, AMENDS_DATABASE_URL=away) as running:
        assert running.post(1) == 200
        until(lambda: health(running.url)["trouble"] == {"database": "OperationalError"})
        assert health(running.url)["status"] == "trouble"
        assert health(running.url)["spool_waiting"] == 1
        said = running.stop(signal.SIGINT)
    assert "the database does not answer" in said
    assert "hunter2" not in said
    with desk(journey_file) as running:
        until(lambda: health(running.url)["spool_waiting"] == 0)
        assert health(running.url)["status"] == "ok"
        said = running.stop(signal.SIGHUP)
    assert "webhooks wait for the next sweep" in said
    assert taken_in(store) == 1


def test_a_busy_port_is_told(amends: Invoke, till: ComplaintJourney, journey_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = amends("desk", journey_file, "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "choose another with --port" in result.stderr


def test_a_secret_that_is_none_is_told_and_not_shown(
    amends: Invoke, journey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", '{"till": "hunter2"}')
    for words in (("desk", journey_file, "--port", "0"), ("serve", journey_file)):
        result = amends(*words)
        assert result.exit_code == 2
        assert "the webhook secret of till is not one" in result.stderr
        assert "hunter2" not in result.stderr


def test_two_journeys_with_one_webhook_source_are_told(
    amends: Invoke, till: ComplaintJourney, journey_file: Path
) -> None:
    second = journey_file.with_name("second.yaml")
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    second.write_text(yaml.safe_dump(data | {"name": "second"}), encoding="utf-8")
    for words in (("desk", "--port", "0"), ("serve",)):
        result = amends(*words, journey_file, second)
        assert result.exit_code == 2
        assert "two journeys have a webhook source 'till'" in result.stderr


def test_each_door_that_stays_shut_is_named(
    till: ComplaintJourney,
    journey: ComplaintJourney,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
) -> None:
    assert unlocked(doors_of([till], Settings()), Settings()) == []
    monkeypatch.delenv("AMENDS_ZALO__WEBHOOK_SECRET")
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", "{}")
    named = unlocked(doors_of([till], Settings()), Settings())
    assert [words.partition(":")[0] for words in named] == ["Zalo account default", "webhook source till"]
    for name in (*environment, "AMENDS_ZALO__OA_ID"):
        if name.startswith("AMENDS_ZALO"):
            monkeypatch.delenv(name)
    [told] = unlocked(doors_of([journey], Settings()), Settings())
    assert "nothing can come in" in told


@pytest.mark.slow
def test_serve_starts_a_desk_restarts_it_when_it_dies_and_stops_it(
    prefect_api: str, till: ComplaintJourney, journey_file: Path, tmp_path: Path, store: Store
) -> None:
    port = unused_port()
    url, log = f"http://127.0.0.1:{port}", tmp_path / "serve.log"
    words = ["serve", str(journey_file), "--every", "1440", "--desk-port", str(port)]
    with log.open("w") as output:
        child = subprocess.Popen(
            [AMENDS, *words],
            stdout=output,
            stderr=output,
            text=True,
            env={**os.environ, "PREFECT_API_URL": prefect_api},
            start_new_session=True,
        )
    running = Running(child, url, log)
    try:
        until(lambda: answers(url))
        assert running.post(1) == 200
        os.kill(desk_of(child.pid), signal.SIGKILL)
        until(lambda: "the desk ended (exit code -9); starting it again" in log.read_text())
        until(lambda: answers(url))
        assert running.post(2) == 200
        until(lambda: taken_in(store) == 2)
        said = running.stop()
    finally:
        child.kill()
        child.wait()
    assert not answers(url)
    assert said.count("the desk ended") == 1


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/webhooks/zalo").status_code == 200
    except httpx.HTTPError:
        return False


def desk_of(parent: int) -> int:
    """The process id of the desk that a `serve` has started."""
    [found] = [child for child in psutil.Process(parent).children() if "desk" in child.cmdline()]
    return int(found.pid)
