"""`amends serve` for real: deployments, schedules, a run in a child process, and nothing private at Prefect."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import time as time_of_day
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from amends.domain.journey import ComplaintJourney, version_of
from deployments.serving import deployments_of, running_server, verify_deployment
from sandbox.process import Sandbox
from tests.conftest import CONTACTS

PHONE = "0912345678"
PRIVATE = (
    PHONE[1:],
    "lan.tran@example.com",
    "Trần Thị Lan",
    "sandbox-secret",
    "sandbox-refresh-token",
    "/notify/lan",
)


def test_each_journey_is_a_frequent_and_a_daily_deployment(journey: ComplaintJourney) -> None:
    frequent, daily = deployments_of(journey, timedelta(minutes=5), time_of_day(6, 30))
    assert (frequent.name, daily.name) == ("complaint-frequent", "complaint-daily")
    assert frequent.parameters["read_back_days"] == 0
    assert daily.parameters["read_back_days"] == 3
    assert ComplaintJourney.model_validate(frequent.parameters["journey"]) == journey
    assert frequent.schedules is not None
    assert daily.schedules is not None
    often, once = frequent.schedules[0].schedule, daily.schedules[0].schedule
    assert often is not None
    assert once is not None
    assert often.model_dump()["interval"] == timedelta(minutes=5)
    assert (once.model_dump()["cron"], once.model_dump()["timezone"]) == ("30 6 * * *", "Asia/Ho_Chi_Minh")
    assert version_of(journey) in str(frequent.description)
    assert (frequent.version, frequent.concurrency_limit) == (version_of(journey), 1)


def test_the_audit_is_one_deployment_for_the_installation() -> None:
    audit = verify_deployment(timedelta(minutes=60))
    assert (audit.name, audit.flow_name, audit.concurrency_limit) == ("verify", "verify", 1)
    assert audit.schedules is not None
    hourly = audit.schedules[0].schedule
    assert hourly is not None
    assert hourly.model_dump()["interval"] == timedelta(hours=1)
    assert audit.parameters == {}


def test_prefects_form_has_titles_and_bounds(journey: ComplaintJourney) -> None:
    frequent, _ = deployments_of(journey, timedelta(minutes=5), time_of_day(6, 30))
    models = frequent._parameter_openapi_schema.definitions
    brand = models["ComplaintJourney"]["properties"]["brand"]
    assert (brand["title"], brand["maxLength"]) == ("Brand", 30)
    survey = models["Survey"]["properties"]["delay_hours"]
    assert (survey["minimum"], survey["maximum"]) == (0, 720)


class Served:
    """A running `amends serve` and what its API tells."""

    def __init__(self, api: str, child: subprocess.Popen[bytes], home: Path, log: Path) -> None:
        self.api, self.child, self.home, self.log = api, child, home, log

    def ask(self, path: str, **body: object) -> Any:
        return httpx.post(f"{self.api}/{path}", json=body, timeout=30).raise_for_status().json()

    def wait_for(
        self, path: str, seconds: float, enough: Callable[[list[Any]], bool] = bool, **body: object
    ) -> list[Any]:
        """The first answer that is enough: one that is not empty, if nothing else is said."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                break
            try:
                if enough(found := self.ask(path, **body)):
                    return list(found)
            except httpx.HTTPError:
                pass
            time.sleep(0.25)
        raise AssertionError(f"{path} {body} never was enough; the log:\n{self.log.read_text()}")


def told_of_all(artifacts: list[Any]) -> bool:
    """Whether the sweeps' tables name every step that the one review in the inbox goes through."""
    steps = {row["step"] for artifact in artifacts for row in json.loads(artifact["data"])}
    return steps >= {"detect", "acknowledge", "open ticket"}


@pytest.fixture
def served(tmp_path: Path, sandbox: Sandbox, journey: ComplaintJourney) -> Iterator[Served]:
    """`amends serve` in a folder of its own, far from the repository, with one review in the inbox."""
    sandbox.switch(night_rule=False)
    data = journey.model_dump(mode="json")
    data["sources"] = [
        {
            "kind": "file",
            "name": "till",
            "path": "inbox/*",  # relative: the runs must find the working directory
            "columns": {
                "external_id": "id",
                "rating": "stars",
                "text": "words",
                "phone": "mobile",
                "customer_name": "who",
            },
        }
    ]
    data |= {"channels": ["zns"], "quiet_hours": {"start": "00:00", "end": "00:00"}}
    # `amends serve` lives by the machine's clock, and at night Zalo takes transactional templates only.
    data["acknowledge"]["zns"]["vi"]["template_id"] = "310003"
    (tmp_path / "journey.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    (tmp_path / "inbox" / "till.csv").write_text(
        f'id,stars,words,mobile,who\nr1,1,"Gọi {PHONE}, lan.tran@example.com",{PHONE},Trần Thị Lan\n',
        encoding="utf-8",
    )
    notify = sandbox.url.replace("http://", "json://") + "/notify/"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AMENDS_"))
    }
    environment |= {
        "AMENDS_ZALO__APP_ID": "sandbox-app",
        "AMENDS_ZALO__SECRET_KEY": "sandbox-secret",
        "AMENDS_ZALO__REFRESH_TOKEN": "sandbox-refresh-token",
        "AMENDS_ZALO__OAUTH_URL": sandbox.url,
        "AMENDS_ZALO__BUSINESS_URL": sandbox.url,
        "AMENDS_ZALO__OPENAPI_URL": sandbox.url,
        "AMENDS_CONTACTS": json.dumps({name: notify + name for name in CONTACTS}),
    }
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path / "serve.log"
    command = [
        str(Path(sys.executable).with_name("amends")),
        "serve",
        "journey.yaml",
        "--every",
        "1",
        "--port",
        str(port),
        "--verify-every",
        "0",
    ]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield Served(f"http://127.0.0.1:{port}/api", child, tmp_path / ".amends" / "prefect", log)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                child.wait(timeout=60)


@pytest.mark.slow
def test_served_journeys_run_on_schedule_and_nothing_private_reaches_prefect(
    served: Served, sandbox: Sandbox
) -> None:
    served.wait_for("deployments/filter", 150, deployments={"name": {"any_": ["complaint-daily"]}})
    deployments = {found["name"]: found for found in served.ask("deployments/filter")}
    assert deployments["complaint-frequent"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert deployments["complaint-frequent"]["global_concurrency_limit"]["limit"] == 1
    assert all(found["schedules"][0]["active"] and not found["paused"] for found in deployments.values())

    # Prefect itself has planned the next sweeps.
    planned = {"deployment_id": {"any_": [deployments["complaint-frequent"]["id"]]}}
    later = served.wait_for(
        "flow_runs/filter", 90, flow_runs={**planned, "state": {"type": {"any_": ["SCHEDULED"]}}}
    )
    assert all(run["auto_scheduled"] for run in later)

    served.ask(f"deployments/{deployments['complaint-daily']['id']}/create_flow_run")
    done = served.wait_for("flow_runs/filter", 120, flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})
    # When the full minute strikes meanwhile, the scheduled run finds some of the work, or all of it.
    artifacts = served.wait_for("artifacts/filter", 120, enough=told_of_all)
    tasks = served.wait_for("task_runs/filter", 90)
    logs = served.wait_for("logs/filter", 90, limit=200)
    events = served.ask("events/filter", limit=50)
    assert {artifact["key"] for artifact in artifacts} == {"sweep-complaint"}
    # The customer really was sent the apology, once, and the agent was told, once.
    assert len(sandbox.book(kind="zns")) == 1
    assert len(sandbox.book(kind="agent_notification")) == 1

    seen = json.dumps(
        [done, later, tasks, artifacts, logs, events, list(deployments.values())], ensure_ascii=False
    )
    for private in PRIVATE:
        assert private not in seen, private
        assert private not in served.log.read_text(encoding="utf-8"), private

    # The run was forked from a process that had imported everything: a new Python costs ten times an empty sweep.
    family = [" ".join(each.cmdline()) for each in psutil.Process(served.child.pid).children(recursive=True)]
    assert any("multiprocessing.forkserver" in command for command in family), family
    assert not any("prefect.engine" in command for command in family), family

    assert running_server(served.home) is not None
    # As a terminal does it: the whole group gets Ctrl-C at once.
    os.killpg(served.child.pid, signal.SIGINT)
    assert served.child.wait(timeout=90) == 0
    assert running_server(served.home) is None
    log = served.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "Webhooks are off: set AMENDS_ZALO__WEBHOOK_SECRET" in log
    assert log.rstrip().endswith("`amends serve` resumes the schedules")
