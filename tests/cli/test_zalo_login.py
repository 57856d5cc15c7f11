"""`amends zalo login`: consent in a browser, tokens sealed in the database, and what waits until then."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.encryption import cipher_of, is_sealed
from amends.settings import Settings
from amends.store import credentials, incidents
from amends.store.engine import Store
from amends.store.schema import effects
from cli.consent import log_in
from cli.guard import Trouble
from cli.main import app
from connectors.zalo.oauth import challenge_of, new_verifier
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.cli.conftest import Invoke, assert_discreet
from tests.connectors.rig import unused_port
from tests.flows.bench import move, review

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ACCOUNT = "zalo:sandbox-app"
LATER = timedelta(hours=1)
"""More than a stopped channel rests."""
Browse = Callable[[Callable[[str], str]], None]


@pytest.fixture(autouse=True)
def callback(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """An installation that was never logged in; returns where Zalo sends the browser."""
    address = f"http://127.0.0.1:{unused_port()}/zalo"
    monkeypatch.setenv("AMENDS_ZALO__REDIRECT_URI", address)
    monkeypatch.delenv("AMENDS_ZALO__REFRESH_TOKEN")
    return address


@pytest.fixture
def browse(monkeypatch: pytest.MonkeyPatch) -> Browse:
    """Let the browser that is opened go to what a function makes of the printed address."""

    def set_up(where: Callable[[str], str]) -> None:
        def visit(url: str) -> int:
            Thread(target=httpx.get, args=(where(url),), kwargs={"follow_redirects": True}).start()
            return 0

        monkeypatch.setattr("cli.consent.typer.launch", visit)

    return set_up


def allow(url: str) -> str:
    """The administrator's click."""
    return f"{url}&approve=1"


def stored(store: Store) -> credentials.Credentials | None:
    with store.read() as tx:
        return credentials.load(tx, ACCOUNT)


def test_consent_in_the_browser_ends_with_sealed_tokens(
    environment: dict[str, str], store: Store, sandbox: Sandbox
) -> None:
    amends = Path(sys.executable).with_name("amends")
    child = subprocess.Popen(
        [amends, "zalo", "login", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        said = [child.stdout.readline(), child.stdout.readline()]
        page = said[1].strip()
        assert page.startswith(f"{sandbox.url}/v4/oa/permission?")
        assert "Allow" in httpx.get(page).text
        arrived = httpx.get(allow(page), follow_redirects=True)
        assert "You may close this page" in arrived.text
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, err
    assert "tokens of account default are stored, sealed" in out
    assert "Set AMENDS_ZALO__OA_ID=sandbox-oa" in out
    found = stored(store)
    assert found is not None
    assert is_sealed(found.access_token)
    assert is_sealed(found.refresh_token)
    opened = cipher_of(Settings()).open(found.access_token)
    quota = httpx.get(f"{sandbox.url}/message/quota", headers={"access_token": opened})
    assert quota.json()["error"] == 0
    code = parse_qs(urlsplit(str(arrived.url)).query)["code"][0]
    for secret in (opened, code):
        assert secret not in out + err
    assert_discreet("".join(said) + out + err)
    assert sandbox.book() == []


def test_consent_for_another_official_account_is_refused(
    amends: Invoke, browse: Browse, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENDS_ZALO__OA_ID", "oa-of-the-brand")
    browse(allow)
    result = amends("zalo", "login")
    assert result.exit_code == 1
    assert "given for Official Account sandbox-oa, the settings say oa-of-the-brand" in result.stderr
    assert stored(store) is None


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"code": "stolen", "state": "another"}, "its state differs"),
        ({"code": "stolen", "state": "trạng thái"}, "its state differs"),
        ({"error": "access_denied"}, "consent was refused"),
        ({"code": "no-such-code"}, "Zalo gave no tokens"),
    ],
)
def test_what_did_not_come_from_this_consent_is_refused(
    amends: Invoke, browse: Browse, callback: str, store: Store, query: dict[str, str], told: str
) -> None:
    browse(lambda _: f"{callback}?{urlencode(query)}")
    result = amends("zalo", "login")
    assert result.exit_code == 1
    assert told in result.stderr
    found = stored(store)
    assert found is None or not found.refresh_token


def test_other_pages_of_the_callback_address_do_not_end_the_wait(
    amends: Invoke, callback: str, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    def visit(url: str) -> int:
        def tabs() -> None:
            assert httpx.get(callback.replace("/zalo", "/favicon.ico")).status_code == 404
            httpx.get(allow(url), follow_redirects=True)

        Thread(target=tabs).start()
        return 0

    monkeypatch.setattr("cli.consent.typer.launch", visit)
    result = amends("zalo", "login")
    assert result.exit_code == 0, result.stderr
    assert stored(store) is not None


def test_the_address_can_be_pasted_and_zalo_may_leave_the_state_out(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, store: Store, sandbox: Sandbox
) -> None:
    redirect_uri, verifier = "http://localhost/behind/a/proxy", new_verifier()
    monkeypatch.setenv("AMENDS_ZALO__REDIRECT_URI", redirect_uri)
    monkeypatch.setenv("AMENDS_ZALO__CODE_VERIFIER", verifier)
    asked = {
        "app_id": "sandbox-app",
        "redirect_uri": redirect_uri,
        "code_challenge": challenge_of(verifier),
        "approve": "1",
    }
    address = httpx.get(f"{sandbox.url}/v4/oa/permission", params=asked).headers["location"]
    words = ["zalo", "login", "--paste", "--no-browser"]
    result = CliRunner().invoke(app, words, input=f"  {address}\n")
    assert result.exit_code == 0, result.output
    assert "code=" not in result.output.partition("permission?")[2].partition("\n")[2]
    assert stored(store) is not None


def test_nonsense_pasted_is_told(environment: dict[str, str]) -> None:
    words = ["zalo", "login", "--paste", "--no-browser"]
    result = CliRunner().invoke(app, words, input="http://[nonsense\n")
    assert result.exit_code == 1
    assert "the address has no code" in result.stderr


@pytest.mark.parametrize("missing", ["AMENDS_ZALO__APP_ID", "AMENDS_ZALO__SECRET_KEY"])
def test_an_app_that_is_not_set_is_asked_for(
    amends: Invoke, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    result = amends("zalo", "login")
    assert result.exit_code == 2
    assert "set its app_id and secret_key first" in result.stderr


def test_an_account_that_is_not_set_is_told(amends: Invoke) -> None:
    result = amends("zalo", "login", "--account", "hanoi")
    assert result.exit_code == 2
    assert "there is no Zalo account 'hanoi'" in result.stderr
    assert "AMENDS_ZALO_ACCOUNTS" in result.stderr


def test_a_busy_port_is_told(amends: Invoke, callback: str) -> None:
    port = urlsplit(callback).port
    with socket.create_server(("127.0.0.1", port or 0)):
        result = amends("zalo", "login")
    assert result.exit_code == 1
    assert f"port {port} of AMENDS_ZALO__REDIRECT_URI cannot be used" in result.stderr
    assert "--paste" in result.stderr


def test_nobody_consenting_ends_it(environment: dict[str, str], store: Store, callback: str) -> None:
    with pytest.raises(Trouble, match="nobody gave consent in time"):
        log_in(Settings(), store, "default", paste=False, browser=False, minutes=0.001)
    assert stored(store) is None
    socket.create_server(("127.0.0.1", urlsplit(callback).port or 0)).close()


async def test_a_dead_refresh_token_is_one_incident_and_a_new_login_sends_what_waited(
    prefect_api: str,
    amends: Invoke,
    browse: Browse,
    journey: ComplaintJourney,
    store: Store,
    sandbox: Sandbox,
    clock: VirtualClock,
    tmp_path: Path,
) -> None:
    browse(allow)
    assert (await asyncio.to_thread(amends, "zalo", "login")).exit_code == 0
    use_runtime(Runtime(Settings(), store, clock))
    sandbox.set_faults(
        [
            {"on": "send", "fault": "burn_refresh_token", "times": 1},
            {"on": "send", "fault": "expire_token", "times": 1},
        ]
    )

    def drop(name: str, *numbers: int) -> None:
        rows = [review(n, phone=f"8491200000{n}") for n in numbers]
        (tmp_path / "inbox" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    drop("a.jsonl", 1)
    await complaint(journey)
    assert len(sandbox.book(kind="zns")) == 1
    drop("b.jsonl", 2, 3, 4)
    await complaint(journey)
    assert len(sandbox.book(kind="agent_notification")) == 4, "agents hear of it all the same"
    with store.read() as tx:
        assert [one.stopped for one in incidents.still_open(tx)] == ["zns"]
    move(clock, sandbox, LATER)
    await complaint(journey)

    assert len(sandbox.book(kind="zns")) == 1
    with store.read() as tx:
        of_sending = [one for one in incidents.still_open(tx) if one.stopped == "zns"]
        states = tx.execute(sa.select(effects.c.state).where(effects.c.channel == "zns")).scalars().all()
    assert [(one.code, one.times) for one in of_sending] == [("-14014", 6)], "one, renewed by every try"
    assert "amends zalo login" in of_sending[0].detail
    assert sorted(states) == ["accepted", "waiting", "waiting", "waiting"]

    login = await asyncio.to_thread(amends, "zalo", "login")
    assert login.exit_code == 0, login.stderr
    move(clock, sandbox, LATER)
    await complaint(journey)
    assert sorted(entry["phone"] for entry in sandbox.book(kind="zns")) == [
        f"8491200000{n}" for n in (1, 2, 3, 4)
    ]
    with store.read() as tx:
        assert incidents.still_open(tx) == []
