"""`amends doctor` names what does not work, and its fix, and messages nobody."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from amends.encryption import Cipher, new_key
from amends.settings import Settings
from amends.store.engine import Store
from amends.store.opening import open_spool
from amends.store.schema import credentials, incidents
from amends.store.spool import Arrived
from sandbox.oauth import OA_ID, OA_SECRET
from sandbox.process import Sandbox
from tests.cli.conftest import PHONE, Invoke
from tests.connectors.rig import unused_port
from tests.connectors.smtp_rig import MailScript, mail_host
from tests.desk.rig import SECRET

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def nobody_is_messaged(
    environment: dict[str, str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A whole installation; the sandbox's book shows afterwards that every look was only a look."""
    monkeypatch.setenv("AMENDS_ZALO__OA_ID", OA_ID)
    monkeypatch.setenv("AMENDS_ZALO__WEBHOOK_SECRET", OA_SECRET)
    yield
    assert sandbox.book() == []


@pytest.fixture
def examine(amends: Invoke, journey_file: Path) -> Callable[[], dict[str, dict[str, str]]]:
    """What `amends doctor --json` finds wrong, by what it is about; the exit code is held against it."""

    def run() -> dict[str, dict[str, str]]:
        result = amends("doctor", journey_file, "--json")
        told = json.loads(result.stdout)
        problems = [one for one in told["findings"] if one["state"] == "problem"]
        assert result.exit_code == (1 if problems else 0)
        assert told["ok"] is not bool(problems)
        wrong = [one for one in told["findings"] if one["state"] != "ok"]
        assert all(one["fix"] for one in wrong), "every trouble comes with a fix"
        return {one["what"]: one for one in wrong}

    return run


Examine = Callable[[], dict[str, dict[str, str]]]


def change(file: Path, how: Change) -> None:
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    how(data)
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")


def test_when_all_is_well_it_says_so(amends: Invoke, journey_file: Path) -> None:
    result = amends("doctor", journey_file)
    assert result.exit_code == 0, result.stdout
    assert "PROBLEM" not in result.stdout
    assert result.stdout.rstrip().endswith("nothing to fix.")
    for looked_at in (
        "database: sqlite answers",
        "encryption keys:",
        "Zalo token:",
        f"Zalo official account: Sandbox ({OA_ID})",
        "Zalo template 310001:",
        "Zalo quota:",
        "Zalo webhook:",
        "staff contact lan:",
    ):
        assert looked_at in result.stdout


def test_the_shipped_journeys_are_meant_when_none_is_named(amends: Invoke) -> None:
    result = amends("doctor")
    assert "mail server: mail to customers is not set up" in result.stdout
    assert result.exit_code == 1


def test_a_disabled_template(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.switch(template_status={"310001": "DISABLE"})
    found = examine()
    assert list(found) == ["Zalo template 310001"]
    assert "DISABLE, used by acknowledge.zns.vi" in found["Zalo template 310001"]["told"]
    assert "approved" in found["Zalo template 310001"]["fix"]


def _params(data: dict[str, Any]) -> dict[str, str]:
    params: dict[str, str] = data["acknowledge"]["zns"]["vi"]["params"]
    return params


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda data: _params(data).update(brand="{{ brand }} " * 4), "at most 30 characters"),
        (lambda data: _params(data).pop("case_code"), "parameter case_code is missing"),
    ],
)
def test_parameters_that_the_template_would_refuse(
    examine: Examine, journey_file: Path, how: Change, told: str
) -> None:
    change(journey_file, how)
    found = examine()
    assert list(found) == ["Zalo template 310001"]
    assert told in found["Zalo template 310001"]["told"]
    assert "correct params." in found["Zalo template 310001"]["fix"]


def test_a_quota_that_is_nearly_used_up_is_no_failure(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.set_faults([{"on": "quota", "fault": "quota_out", "times": 1}])
    examine()
    found = examine()
    assert {what: one["state"] for what, one in found.items()} == {"Zalo quota": "warning"}
    assert found["Zalo quota"]["told"].startswith("0 of ")


def test_an_account_without_a_cloud_account(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.switch(oa_linked=False)
    found = examine()
    assert "no Zalo Cloud Account is linked" in found["Zalo official account"]["told"]
    assert "-105" in found["Zalo template 310001"]["told"]
    assert found["Zalo template 310001"]["state"] == "problem"


def test_tokens_of_another_account(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_ZALO__OA_ID", "oa-of-the-brand")
    found = examine()
    assert f"belong to Official Account {OA_ID}" in found["Zalo official account"]["told"]
    assert "amends zalo login" in found["Zalo official account"]["fix"]


def test_no_consent_yet(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENDS_ZALO__REFRESH_TOKEN")
    found = examine()
    assert list(found) == ["Zalo token"]
    assert "amends zalo login" in found["Zalo token"]["fix"]


def test_a_consent_that_has_died(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.set_faults(
        [
            {"on": "quota", "fault": "burn_refresh_token", "times": 1},
            {"on": "quota", "fault": "expire_token", "times": 1},
        ]
    )
    examine()
    assert "-14014" in json.dumps(examine())


def test_zalo_that_is_not_set_up(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name in (*environment, "AMENDS_ZALO__OA_ID", "AMENDS_ZALO__WEBHOOK_SECRET"):
        if name.startswith("AMENDS_ZALO"):
            monkeypatch.delenv(name)
    found = examine()
    assert list(found) == ["Zalo default"]
    assert "acknowledge.zns.vi" in found["Zalo default"]["told"]
    assert "AMENDS_ZALO__APP_ID" in found["Zalo default"]["fix"]


def test_tokens_that_no_key_opens(examine: Examine, store: Store) -> None:
    assert examine() == {}
    stranger = Cipher([new_key()])
    with store.begin() as tx:
        tokens = {"access_token": stranger.seal("access"), "refresh_token": stranger.seal("refresh")}
        tx.execute(credentials.update().values(tokens))
    found = examine()
    assert any("no key of AMENDS_ENCRYPTION_KEYS opens" in one["told"] for one in found.values())
    assert all(one["what"].startswith("Zalo") for one in found.values())


def test_a_mail_server_that_does_not_answer(
    examine: Examine, journey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(journey_file, lambda data: data["channels"].append("email"))
    assert "AMENDS_CUSTOMER_MAIL_URL" in examine()["mail server"]["fix"]
    port = unused_port()
    monkeypatch.setenv("AMENDS_CUSTOMER_MAIL_URL", f"mailto://127.0.0.1:{port}?from=shop@example.com")
    found = examine()
    assert list(found) == [f"mail server 127.0.0.1:{port}"]
    assert "does not answer" in found[f"mail server 127.0.0.1:{port}"]["told"]


def test_a_mail_server_that_answers_gets_no_mail(
    examine: Examine, journey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(journey_file, lambda data: data["channels"].append("email"))
    with mail_host(MailScript()) as host:
        monkeypatch.setenv(
            "AMENDS_CUSTOMER_MAIL_URL", f"mailto://127.0.0.1:{host.port}?from=shop@example.com&mode=insecure"
        )
        assert examine() == {}
    assert host.recipients == []
    assert host.raw == []


def test_contacts_without_an_address_with_a_wrong_one_and_with_a_dead_one(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    contacts = json.loads(environment["AMENDS_CONTACTS"])
    del contacts["thao"]
    contacts["lan"] = "what://ever"
    contacts["minh"] = f"json://127.0.0.1:{unused_port()}/x"
    monkeypatch.setenv("AMENDS_CONTACTS", json.dumps(contacts))
    found = examine()
    assert sorted(found) == ["staff contact lan", "staff contact minh", "staff contact thao"]
    assert 'add "thao" to AMENDS_CONTACTS' in found["staff contact thao"]["fix"]
    assert 'correct "lan"' in found["staff contact lan"]["fix"]
    assert "does not answer" in found["staff contact minh"]["told"]


def test_a_webhook_source_without_a_secret_and_with_a_bad_one(
    examine: Examine, journey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(journey_file, lambda data: data["sources"].append({"kind": "webhook", "name": "till"}))
    found = examine()
    assert list(found) == ["webhook source till"]
    assert 'add "till" to AMENDS_WEBHOOK_SECRETS' in found["webhook source till"]["fix"]
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", '{"till": "hunter2"}')
    found = examine()
    assert list(found) == ["webhook source till"]
    assert "hunter2" not in json.dumps(found)
    monkeypatch.setenv("AMENDS_WEBHOOK_SECRETS", json.dumps({"till": SECRET}))
    assert examine() == {}


def test_webhooks_that_wait_on_disk_are_worth_a_look(examine: Examine, environment: dict[str, str]) -> None:
    spool = open_spool(Settings())
    spool.put([Arrived("webhook:till", "k1", datetime.now(UTC), b"{}")])
    spool.close()
    found = examine()
    assert {what: one["state"] for what, one in found.items()} == {"webhooks": "warning"}
    assert found["webhooks"]["told"].startswith("1 wait on disk")
    assert "amends desk" in found["webhooks"]["fix"]


def test_an_open_incident(examine: Examine, store: Store) -> None:
    now = datetime.now(UTC)
    detail = f"the template is disabled, last for {PHONE}"
    with store.begin() as tx:
        tx.execute(
            incidents.insert().values(
                stopped="zns:310001", code="-146", detail=detail, times=7, opened_at=now, last_seen_at=now
            )
        )
    found = examine()
    assert list(found) == ["incident zns:310001"]
    assert "[-146], 7 times since" in found["incident zns:310001"]["told"]


def test_a_journey_that_cannot_be_read_is_exit_code_2(amends: Invoke) -> None:
    result = amends("doctor", "nowhere.yaml")
    assert result.exit_code == 2
    assert "no such file" in result.stderr
