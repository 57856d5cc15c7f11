"""`amends check` finds what would not work with these settings, and says how to put it right."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Invoke

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def change(file: Path, **changes: object) -> None:
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**data, **changes}, allow_unicode=True), encoding="utf-8")


def test_a_journey_that_fits_the_settings_is_ready(amends: Invoke, journey_file: Path) -> None:
    result = amends("check", journey_file)
    assert result.exit_code == 0, result.stdout
    assert "Ready. Next: amends run" in result.stdout


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        (
            "AMENDS_CONTACTS",
            '{"lan": "json://host/x", "minh": "json://host/x"}',
            'add "thao" to AMENDS_CONTACTS',
        ),
        ("AMENDS_CONTACTS", '{"thao": "what://ever/sandbox-secret"}', 'correct "thao" in AMENDS_CONTACTS'),
        ("AMENDS_ZALO__REFRESH_TOKEN", "", "set AMENDS_ZALO__REFRESH_TOKEN"),
    ],
)
def test_a_missing_setting_is_named_with_the_fix(
    amends: Invoke, journey_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, fix: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = amends("check", journey_file)
    assert result.exit_code == 1
    assert fix in result.stdout


def test_without_zalo_every_credential_is_asked_for(
    amends: Invoke, journey_file: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name in environment:
        if name.startswith("AMENDS_ZALO"):
            monkeypatch.delenv(name)
    result = amends("check", journey_file)
    assert result.exit_code == 1
    for name in (
        "AMENDS_ZALO__APP_ID",
        "AMENDS_ZALO__SECRET_KEY",
        "amends zalo login",
        "amends sandbox",
    ):
        assert name in result.stdout


def test_mail_folder_and_voucher_pool(amends: Invoke, journey_file: Path) -> None:
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    reward = {**data["reward"], "codes": {"kind": "pool", "path": "codes.txt"}}
    sources = [{"kind": "file", "name": "till", "path": "no/such/*.csv"}]
    change(journey_file, channels=["zns", "email"], reward=reward, sources=sources)
    result = amends("check", journey_file, "--json")
    assert result.exit_code == 1
    found = {finding["field"]: finding["fix"] for finding in json.loads(result.stdout)["findings"]}
    assert "AMENDS_CUSTOMER_MAIL_URL" in found["channels"]
    assert "mkdir -p 'no/such'" in found["sources.till.path"]
    assert "one a line" in found["reward.codes.path"]


def test_every_problem_of_a_file_is_told(amends: Invoke, journey_file: Path) -> None:
    change(
        journey_file, brnd="x", timezone="Saigon", agents=[{"name": "lan", "contact": "mailto://u:hunter2@h"}]
    )
    result = amends("check", journey_file)
    assert result.exit_code == 2
    for told in ("brnd", "timezone", "agents.0.contact"):
        assert told in result.stderr
    assert "hunter2" not in result.stderr
    as_json = amends("check", journey_file, "--json")
    assert as_json.exit_code == 2
    assert len(json.loads(as_json.stdout)["problems"]) == 3
    assert "hunter2" not in as_json.stdout
