"""`amends run`: one real sweep in a process of its own, recorded by a Prefect server."""

import json
from pathlib import Path

import httpx
import pytest

from sandbox.process import Sandbox
from tests.cli.conftest import COLUMNS, Invoke, assert_discreet, run_amends
from tests.prefect_homes import PrefectHomes


@pytest.mark.slow
def test_a_sweep_on_a_server_that_is_up(
    amends: Invoke, prefect_api: str, journey_file: Path, reviews: Path, sandbox: Sandbox
) -> None:
    sandbox.switch(night_rule=False)
    amends("import", reviews, "--journey", journey_file, "--columns", COLUMNS)
    done = run_amends("run", journey_file, "--json", PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    assert_discreet(done.stdout + done.stderr)
    swept = json.loads(done.stdout)
    assert swept["results"]["detect"]["case"] == 1
    assert swept["results"]["open_ticket"] == {"opened": 1}
    assert "detect" in {row["step"] for row in swept["report"]}
    recorded = httpx.get(f"{prefect_api}/flow_runs/{swept['flow_run']}").raise_for_status().json()
    assert recorded["state"]["type"] == "COMPLETED"
    assert len(sandbox.book(kind="agent_notification")) == 1
    table = run_amends("run", journey_file, PREFECT_API_URL=prefect_api).stdout
    assert "Sweep of complaint" in table or "Nothing was due" in table


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_a_server_it_starts_one_and_says_so(
    environment: dict[str, str], journey_file: Path, prefect_homes: PrefectHomes
) -> None:
    prefect_homes.furnish(Path(environment["AMENDS_HOME"]) / "prefect")  # from nothing: test_serving.py
    done = run_amends("run", journey_file, "--json", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "starting Prefect's server for this run" in done.stderr
    assert json.loads(done.stdout)["journey"] == "complaint"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_does_not_answer_is_told_in_a_line(
    environment: dict[str, str], journey_file: Path
) -> None:
    done = run_amends(
        "run", journey_file, PREFECT_API_URL="http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES="0"
    )
    assert done.returncode == 1
    assert "PREFECT_API_URL" in done.stderr
    assert_discreet(done.stdout + done.stderr)
