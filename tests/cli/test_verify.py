"""`amends verify` as a person runs it: exit code, violations with their fix, and JSON for programs."""

import json

import pytest

from amends.domain.journey import ComplaintJourney
from amends.store.audit import RULES
from amends.store.schema import agenda
from tasks.sweep import Runtime
from tests.cli.conftest import Invoke, assert_discreet, run_amends


def test_an_empty_installation_is_clean(amends: Invoke) -> None:
    done = amends("verify", "--offline")
    assert (done.exit_code, done.stdout) == (0, f"verify: {len(RULES)} rules, clean\n")


def test_a_violation_is_told_with_its_case_and_what_to_do(
    amends: Invoke, one_case: ComplaintJourney, runtime: Runtime
) -> None:
    assert amends("verify", "--no-prefect").exit_code == 0
    with runtime.store.begin() as tx:
        tx.execute(agenda.delete().where(agenda.c.step == "watch_sla"))
    done = amends("verify", "--offline")
    assert done.exit_code == 1
    for wanted in (
        "VIOLATED clock.watched: 2 times",
        "case AM000001",
        "What to do: The daily sweep puts it back",
    ):
        assert wanted in done.stdout
    assert done.stdout.endswith(f"verify: {len(RULES)} rules, 1 violated\n")
    found = json.loads(amends("verify", "--offline", "--json").stdout)
    assert found["clean"] is False
    [broken] = [rule for rule in found["rules"] if rule["violated"]]
    assert (broken["rule"], broken["count"]) == ("clock.watched", 2)
    assert broken["examples"][0]["case"] == "AM000001"


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_is_a_run_at_prefect(environment: dict[str, str], prefect_api: str, runtime: Runtime) -> None:
    with runtime.store.begin() as tx:
        tx.exec_driver_sql("INSERT INTO budgets VALUES ('complaint', 1, 0)")
    done = run_amends("verify", PREFECT_API_URL=prefect_api)
    assert done.returncode == 1
    assert "VIOLATED voucher.budget: 1 times" in done.stdout
    assert_discreet(done.stdout + done.stderr)
