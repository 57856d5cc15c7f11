"""`amends check` finds what would not work with these settings, and says how to put it right."""

import json
from pathlib import Path

import pytest
import yaml

from sandbox.process import Sandbox
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


def test_files_and_hosts_that_the_operator_does_not_allow_are_told(
    amends: Invoke, journey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    reward = {**data["reward"], "codes": {"kind": "pool", "path": "/etc/hostname"}}
    sources = [{"kind": "file", "name": "till", "path": "/etc/*"}]
    change(journey_file, reward=reward, sources=sources)
    monkeypatch.setenv("AMENDS_ALLOWED_HOSTS", '["openapi.zalo.me"]')
    result = amends("check", journey_file, "--offline", "--json")
    assert result.exit_code == 1
    found = {finding["field"]: finding for finding in json.loads(result.stdout)["findings"]}
    for field in ("sources.till.path", "reward.codes.path"):
        assert "in none of the folders" in found[field]["problem"]
        assert "AMENDS_FILE_ROOTS" in found[field]["fix"]
    for field in ("AMENDS_ZALO__BUSINESS_URL", "AMENDS_ZALO__OAUTH_URL", '"lan" in AMENDS_CONTACTS'):
        assert "127.0.0.1 is not in AMENDS_ALLOWED_HOSTS" in found[field]["problem"]
        assert 'add "127.0.0.1:' in found[field]["fix"]
    looked_at = json.loads(amends("doctor", journey_file, "--json").stdout)["findings"]
    assert any("AMENDS_ZALO__BUSINESS_URL names it" in finding["told"] for finding in looked_at)
    monkeypatch.setenv("AMENDS_ALLOWED_HOSTS", '["https://openapi.zalo.me"]')
    refused = amends("check", journey_file, "--offline")
    assert refused.exit_code == 2
    assert "AMENDS_ALLOWED_HOSTS" in refused.stderr


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


ASKED = {"on": "any", "fault": "code", "code": -100, "skip": 1_000_000}
"""A rule of the sandbox that never strikes: it counts what it is asked."""


def test_zalo_is_asked_whether_its_templates_are_approved_and_fit(
    amends: Invoke, journey_file: Path, sandbox: Sandbox
) -> None:
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    acknowledge, survey = data["acknowledge"], data["survey"]
    acknowledge["zns"]["vi"] |= {"template_id": "390001"}
    acknowledge["zns"]["en"]["params"] |= {"brand": "{{ brand }} " * 4, "city": "Huế"}
    survey["message"]["zns"]["vi"] |= {"template_id": "330001"}
    change(journey_file, acknowledge=acknowledge, survey=survey)
    result = amends("check", journey_file, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ok"] is False
    found = [f"{one['field']}: {one['problem']} -> {one['fix']}" for one in told["findings"]]
    for words in (
        ("Zalo template 390001", "PENDING_REVIEW, used by acknowledge.zns.vi", "have it approved"),
        ("Zalo template 310002", "at most 30 characters", "correct params.brand of acknowledge.zns.en"),
        ("Zalo template 330001", "PROMOTION, but survey.message.zns.vi asks for a rating", "tag 2"),
        ("Zalo template 330001", "parameter voucher_code is missing", "correct params.voucher_code"),
    ):
        assert any(all(word in one for word in words) for one in found), words
    notes = [f"{one['field']}: {one['problem']}" for one in told["notes"]]
    assert any("no parameter city; it is not sent" in note for note in notes)
    text = amends("check", journey_file).stdout
    assert "- note, Zalo template 310002" in text
    assert "Ready" not in text
    assert sandbox.book() == [], "nobody is messaged"


def test_offline_asks_nobody(amends: Invoke, journey_file: Path, sandbox: Sandbox) -> None:
    sandbox.switch(template_status={"310001": "DISABLE"})
    sandbox.set_faults([ASKED])
    assert amends("check", journey_file, "--offline").exit_code == 0
    assert sandbox.faults()[0]["matched"] == 0
    assert amends("check", journey_file).exit_code == 1
    assert sandbox.faults()[0]["matched"] > 0


def test_a_zalo_that_is_away_is_a_note(amends: Invoke, journey_file: Path, sandbox: Sandbox) -> None:
    away = {"fault": "http_503", "retry_after": 600}
    sandbox.set_faults([{"on": "template", "template_id": "310001", **away}])
    result = amends("check", journey_file)
    assert result.exit_code == 0, result.stdout
    assert "- note, Zalo template 310001: could not be looked at now" in result.stdout
    assert "Ready" in result.stdout


def test_a_journey_that_zalo_has_no_part_in_asks_it_nothing(
    amends: Invoke, journey_file: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENDS_CUSTOMER_MAIL_URL", "mailto://127.0.0.1:1?from=shop@example.com")
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    off = {part: {**data[part], "enabled": False} for part in ("survey", "reward")}
    change(journey_file, channels=["email"], sources=data["sources"][:1], **off)
    sandbox.set_faults([ASKED])
    result = amends("check", journey_file)
    assert result.exit_code == 0, result.output
    assert sandbox.faults()[0]["matched"] == 0


def test_a_webhook_source_needs_a_secret_that_is_one(
    amends: Invoke, journey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = yaml.safe_load(journey_file.read_text(encoding="utf-8"))["sources"]
    change(journey_file, sources=[*sources, {"kind": "webhook", "name": "till"}])
    missing = amends("check", journey_file).stdout
    assert 'add "till" to AMENDS_WEBHOOK_SECRETS, e.g. whsec_' in missing
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", '{"till": "hunter2"}')
    wrong = amends("check", journey_file)
    assert wrong.exit_code == 1
    assert "hunter2" not in wrong.stdout
    suggested = missing.partition("e.g. ")[2].partition(".\n")[0].split()[0]
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", json.dumps({"till": suggested}))
    assert amends("check", journey_file).exit_code == 0
