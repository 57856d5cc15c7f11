"""Secrets and people are planted everywhere, everything goes wrong, and then all that anybody can read is searched."""

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import structlog
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from pydantic import SecretStr

from amends.domain.journey import ComplaintJourney
from amends.encryption import new_key
from amends.logs import set_up_logs
from amends.store import agenda
from amends.store.schema import customers, quarantine
from cli.guard import explain
from connectors.mail import CustomerMail
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.cli.conftest import Invoke
from tests.connectors.rig import unused_port
from tests.connectors.smtp_rig import MailScript, mail_host

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SECRETS = {
    name: f"hunter2-{name}"
    for name in ("key", "webhook", "mail", "contact", "path", "header", "database", "verifier")
} | {"app": "sandbox-secret", "refresh": "sandbox-refresh-token"}
PEOPLE = [
    (f"0938{number:06d}", f"mai.{number}@example.com", f"Lê Thị Tuyết Mai {number}", f"Hộp bánh thứ {number} bị móp")
    for number in range(100_001, 100_007)
]  # fmt: skip
BRANCHES = ("Nắng Store Quận 1", "Nắng Store Cầu Giấy")
"""Their agents are lan, who can be told, and minh, who cannot."""
PRIVATE = [
    *SECRETS.values(),
    *(part for person in PEOPLE for part in person),
    *(phone[1:] for phone, *_ in PEOPLE),
]


@pytest.fixture
def heard(prefect_api: str) -> Iterator[list[str]]:
    """Every line of every logger of this process, at its most talkative, tracebacks too."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter().format(record))

    ear, root = Ear(), logging.getLogger()
    talkative = (
        "",
        "prefect",
        "apprise",
        "httpx",
        "httpcore",
        "urllib3",
        "sqlalchemy",
        "sqlalchemy.engine",
        "asyncio",
    )
    before = {name: logging.getLogger(name).level for name in talkative}
    for name in talkative:
        logging.getLogger(name).setLevel(logging.DEBUG)
    for logger in (root, logging.getLogger("prefect")):
        logger.addHandler(ear)
    set_up_logs("debug")
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    yield lines
    structlog.reset_defaults()
    for logger in (root, logging.getLogger("prefect")):
        logger.removeHandler(ear)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def what_prefect_knows(api: str) -> dict[str, Any]:
    """Flow runs, task runs, their states and parameters, logs, artifacts, events and deployments."""
    APILogWorker.drain_all()
    EventsWorker.drain_all()
    told: dict[str, Any] = {}
    with httpx.Client(base_url=api, timeout=30) as client:
        for path in ("flow_runs", "task_runs", "logs", "artifacts", "deployments", "variables", "events"):
            limit = 50 if path == "events" else 200
            told[path] = client.post(f"/{path}/filter", json={"limit": limit}).raise_for_status().json()
        for run in told["flow_runs"]:
            states = client.get("/flow_run_states/", params={"flow_run_id": run["id"]})
            told[run["id"]] = states.raise_for_status().json()
    return told


def assert_discreet(text: str, where: str) -> None:
    for private in PRIVATE:
        assert private not in text, (
            f"{private} in {where}: ...{text[max(0, text.find(private) - 300) :][:500]}"
        )


def planted(runtime: Runtime, sandbox: Sandbox, mail_port: int) -> Runtime:
    """The runtime with a secret in every secret setting, all of them in use."""
    assert runtime.settings.zalo is not None
    zalo = runtime.settings.zalo.model_copy(
        update={
            "webhook_secret": SecretStr(SECRETS["webhook"]),
            "code_verifier": SecretStr(SECRETS["verifier"]),
            "prove_secret": True,
        }
    )
    host = sandbox.url.removeprefix("http://")
    url = f"json://lan:{SECRETS['contact']}@{host}/notify/{SECRETS['path']}?+X-Token={SECRETS['header']}"
    dead = f"json://lan:{SECRETS['contact']}@127.0.0.1:{unused_port()}/{SECRETS['path']}?+X-Token={SECRETS['header']}"
    contacts = {name: SecretStr(url if name == "lan" else dead) for name in runtime.settings.contacts}
    mail = SecretStr(f"mailto://care:{SECRETS['mail']}@127.0.0.1:{mail_port}?from=care@shop.vn")
    changes = {
        "zalo": zalo,
        "contacts": contacts,
        "customer_mail_url": mail,
        "encryption_keys": [SecretStr(new_key())],
    }
    ready = Runtime(runtime.settings.model_copy(update=changes), runtime.store, runtime.clock)
    use_runtime(ready)
    return ready


@pytest.mark.slow
@ONE_DATABASE
async def test_no_secret_and_nobody_is_in_anything_that_can_be_read(
    prefect_api: str,
    amends: Invoke,
    environment: dict[str, str],
    runtime: Runtime,
    journey: ComplaintJourney,
    journey_file: Path,
    sandbox: Sandbox,
    heard: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inbox = runtime.settings.home / "inbox"
    rows = ["id,rating,text,phone,email,customer_name,date,branch"]
    rows += [
        f'r{n},1,"{text}",{phone},{mail},{name},2026-11-02,{BRANCHES[n % 2]}'
        for n, (phone, mail, name, text) in enumerate(PEOPLE)
    ]
    (inbox / "good.csv").write_text("\n".join(rows), encoding="utf-8")
    phone, mail, name, text = PEOPLE[0]
    (inbox / "headless.csv").write_text(f"1,{phone},{mail},x\n2,{phone},{mail},y\n", encoding="utf-8")
    (inbox / "bad.csv").write_text(f"rating,text,date\n{phone},{text},{mail}\n", encoding="utf-8")
    (inbox / "broken.json").write_text(f'[{{"rating": 1, "text": "{text} {phone}"', encoding="utf-8")
    script = MailScript(recipient=f"550 <{mail}> {name} is unknown, {SECRETS['mail']}")
    with mail_host(script, password=SECRETS["mail"]):
        planted(runtime, sandbox, script.port)
        # Refused with the customer's number, lost, cut off, no JSON, and a connector with a bug that tells all.
        sandbox.set_faults(
            [
                {"on": "send", "fault": "code", "code": -118, "times": 1},
                {"on": "send", "fault": "not_json", "times": 1},
                {"on": "send", "fault": "reset_after_accept", "times": 1},
                {"on": "send", "fault": "http_500", "times": 1},
                {"on": "rating", "fault": "http_502", "times": 2},
                {"on": "notify", "fault": "http_500", "times": 1},
            ]
        )
        assert (await complaint(journey, return_state=True)).is_completed()

        async def buggy(self: CustomerMail, message: Any) -> Any:
            raise RuntimeError(f"{message.recipient.email} {phone} {SECRETS['mail']}")

        monkeypatch.setattr(CustomerMail, "send", buggy)
        sandbox.set_faults([{"on": "token", "fault": "code", "code": -14014}])
        assert (await complaint(journey, return_state=True)).is_completed()

        def talkative(*_: Any, **__: Any) -> Any:
            raise KeyError(f"{name} {mail} {phone} {SECRETS['database']}")

        # Bugs of our own outside connectors: in a task, and in the flow between its tasks.
        with monkeypatch.context() as bugs:
            bugs.setattr(agenda, "is_due", lambda *_: True)
            bugs.setattr(agenda, "claim", talkative)
            assert (await complaint(journey, return_state=True)).is_failed()
            bugs.setattr(agenda, "is_due", talkative)
            assert (await complaint(journey, return_state=True)).is_failed()

    # Everything was in use: customers were written to, agents told, the mail server logged in to, rows refused.
    assert {entry["kind"] for entry in sandbox.book()} >= {"zns", "agent_notification"}
    assert script.recipients
    with runtime.store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(quarantine)).scalar_one() >= 3

    known = await asyncio.to_thread(what_prefect_knows, prefect_api)
    assert all(known[path] for path in ("flow_runs", "task_runs", "artifacts", "events"))
    assert_discreet(json.dumps(known, ensure_ascii=False), "Prefect")
    assert len(heard) > 100
    assert_discreet("\n".join(heard), "the logs")
    printed = capfd.readouterr()
    assert_discreet(printed.out + printed.err, "standard output and error")

    # What the command prints. Names and words of a case are for the agents who read it; numbers and addresses are not.
    numbers = [*SECRETS.values(), *(part for person in PEOPLE for part in (person[0][1:], person[1]))]
    shown = [
        amends(*words).output for words in (("status",), ("status", "--json"), ("case", "AM000001", "--json"))
    ]
    shown += [amends("ticket", "list", "--json").output, amends("ticket", "list", "--csv", "-").output]
    monkeypatch.setenv("AMENDS_CONTACTS", json.dumps({"lan": f"nonsense://{SECRETS['contact']}"}))
    monkeypatch.setenv("AMENDS_CUSTOMER_MAIL_URL", f"mailto://a:{SECRETS['mail']}@127.0.0.1:1?from=a@shop.vn")
    monkeypatch.setenv("AMENDS_ENCRYPTION_KEYS", json.dumps([SECRETS["key"]]))
    examined = await asyncio.to_thread(amends, "doctor", journey_file)
    shown += [examined.output, amends("check", journey_file, "--offline").output]
    bad = inbox / "bad.yaml"
    bad.write_text(
        f"name: {SECRETS['app']}{phone}\nbrand: [{mail}]\nagents: mailto://x:{SECRETS['mail']}@h\n"
    )
    shown.append(amends("check", bad).output.replace(SECRETS["app"], ""))
    url = f"postgresql+psycopg://amends:{SECRETS['database']}@127.0.0.1:1/amends"
    for wrong in (url, f"mysql://a:{SECRETS['database']}@h/x", SECRETS["database"]):
        monkeypatch.setenv("AMENDS_DATABASE_URL", wrong)
        shown.append(amends("status").output)
    for one in shown:
        assert not [private for private in numbers if private in one], one
    assert len(shown) == 11


def test_what_the_database_says_of_a_row_stays_with_it(runtime: Runtime) -> None:
    """PostgreSQL quotes the row in an error's DETAIL; the error goes into tracebacks, and into Prefect's states."""
    phone, _, name, _ = PEOPLE[0]
    row = {"key": f"phone:84{phone[1:]}", "phone": f"84{phone[1:]}", "name": name}
    with runtime.store.begin() as tx:
        tx.execute(customers.insert().values(**row))
    with pytest.raises(sa.exc.DBAPIError) as caught, runtime.store.begin() as tx:
        tx.execute(customers.insert().values(**row))
    told = "".join(traceback.format_exception(caught.value)) + str(explain(caught.value))
    assert phone[1:] not in told
    assert name not in told
    wrong = sa.text("SELECT CAST(:mail AS integer) / no_such_column")
    with pytest.raises(sa.exc.DBAPIError) as caught, runtime.store.begin() as tx:
        tx.execute(wrong, {"mail": PEOPLE[0][1]})
    assert PEOPLE[0][1] not in "".join(traceback.format_exception(caught.value))
