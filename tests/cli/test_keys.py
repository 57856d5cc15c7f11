"""`amends key`: a new key to print, the change of keys, and what is told of them: never a key."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.encryption import Cipher, cipher_of, new_key
from amends.settings import Settings
from amends.store import credentials, inbox, operator_log, resealing
from amends.store.credentials import Credentials
from amends.store.engine import Store
from amends.store.opening import open_spool
from amends.store.schema import customers
from amends.store.spool import Arrived
from tests.cli.conftest import PHONE, Invoke
from tests.conftest import CIPHER, KEY
from tests.domain.examples import NINE
from tests.store.rows import feedback

NEW = new_key()


@pytest.fixture
def used(store: Store, environment: dict[str, str]) -> Store:
    """A store with a customer, and tokens sealed under the first key."""
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [feedback(phone="84912345678", customer_name="Trần Thị Lan")], NINE)
        tokens = Credentials(CIPHER.seal("access"), CIPHER.seal("refresh"), NINE)
        credentials.save(tx, "zalo:app-1", tokens)
    return store


def use(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setenv("AMENDS_ENCRYPTION_KEYS", json.dumps(keys))


def status(amends: Invoke) -> dict[str, object]:
    result = amends("key", "status", "--json")
    assert result.exit_code == 0, result.stderr
    assert not any(key in result.stdout for key in (KEY, NEW))
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_printed_key_seals_and_opens(amends: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (amends("key").stdout.strip() for _ in range(2))
    assert first != second
    use(monkeypatch, second, first)
    both = cipher_of(Settings())
    assert both.open(Cipher([first]).seal("token")) == "token"
    assert Cipher([second]).open(both.seal("token")) == "token"


def test_after_rotate_the_old_key_can_be_taken_out_of_the_setting(
    amends: Invoke, used: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, NEW)
    refused = amends("status")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("no key of AMENDS_ENCRYPTION_KEYS")
    assert len(refused.stderr.splitlines()) == 1
    use(monkeypatch, NEW, KEY)
    assert status(amends)["keyring_by_key"] == [0, 2]
    assert status(amends)["tokens_by_key"] == [0, 2]
    rotated = amends("key", "rotate", "--by", "lan")
    assert rotated.exit_code == 0, rotated.stderr
    assert "All but the first key of AMENDS_ENCRYPTION_KEYS can be taken out" in rotated.stdout
    assert not any(key in rotated.stdout for key in (KEY, NEW))
    use(monkeypatch, NEW)
    found = status(amends)
    assert (found["keyring_by_key"], found["tokens_by_key"], found["tokens_lost"]) == ([2], [2], 0)
    assert amends("status").exit_code == 0
    alone = Store(Settings().database(), Cipher([NEW]))
    with alone.read() as tx:
        assert inbox.find_customer(tx, PHONE) is not None
        assert tx.execute(sa.select(customers.c.name)).scalar_one() == "Trần Thị Lan"
        stored = credentials.load(tx, "zalo:app-1")
        assert stored is not None
        assert Cipher([NEW]).open(stored.access_token) == "access"
        assert [(deed.actor, deed.action) for deed in operator_log.of_subject(tx, "keyring")] == [
            ("lan", "key.rotate")
        ]
    alone.close()


def test_webhooks_that_wait_may_need_the_old_key(
    amends: Invoke, used: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(Settings())
    spool.put([Arrived("webhook:till", "k1", NINE, b"{}")])
    spool.close()
    use(monkeypatch, NEW, KEY)
    told = amends("key", "rotate").stdout
    assert "1 webhooks wait on disk" in told
    assert "can be taken out" not in told


def test_a_new_data_key_reaches_every_row(amends: Invoke, used: Store) -> None:
    told = amends("key", "rotate", "--data").stdout
    assert "Data key 3 is new" in told
    assert "Every row is sealed under the newest data key." in told
    assert "There is one key" in told
    found = status(amends)
    assert found["data_key"] == 3
    assert {s["table"]: s["rows"] - s["older"] - s["clear"] for s in found["tables"]}["customers"] == 1  # type: ignore[attr-defined]
    shown = amends("key", "status").stdout
    assert "1. seals 3 of the keyring and 2 tokens" in shown
    assert "amends key rotate" not in shown


def test_rows_in_clear_are_told_and_sealed(amends: Invoke, used: Store) -> None:
    with used.begin() as tx:
        tx.execute(customers.update().values(name=sa.type_coerce("Trần Thị Lan", sa.Text)))
    shown = amends("key", "status").stdout
    assert [line.split() for line in shown.splitlines() if "customers" in line] == [
        ["customers", "0", "0", "1"]
    ]
    assert "Run `amends key rotate`" in shown
    assert amends("key", "rotate").exit_code == 0
    assert "amends key rotate" not in amends("key", "status").stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rotation_that_was_killed_goes_on(
    amends: Invoke, used: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with used.begin() as tx:
        inbox.receive(tx, "complaint", [feedback(str(n), phone=f"8491{n:07}") for n in range(100)], NINE)
    program = (
        "import os, signal\nfrom amends.store import resealing\nfrom cli import rotation\nfrom cli.main import app\n"
        "rotation.BATCH, reseal, calls = 10, resealing.reseal, []\n"
        "def dying(tx, limit):\n"
        "    calls.append(reseal(tx, limit))\n"
        "    if len(calls) == 4:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return calls[-1]\n"
        "resealing.reseal = dying\napp(['key', 'rotate', '--data'])\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, cwd=Path.cwd())
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with used.read() as tx:
        (people,) = (s for s in resealing.states(tx) if s.table == "customers")
    assert people.older == 101 - 30
    told = amends("key", "rotate", "--data").stdout
    assert "was not finished; going on with it" in told
    assert status(amends)["data_key"] == 3
    with used.read() as tx:
        assert not any(state.left for state in resealing.states(tx))
    with sqlite3.connect(str(used.engine.url.database)) as raw:
        assert raw.execute(
            "SELECT count(*) FROM customers WHERE phone NOT LIKE 'sealed1:3:%'"
        ).fetchone() == (0,)


def test_a_key_that_is_none_is_told_by_its_setting(amends: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_ENCRYPTION_KEYS", '["hunter2"]')
    result = amends("key", "status")
    assert result.exit_code == 2
    assert result.stderr.startswith("AMENDS_ENCRYPTION_KEYS: each key must be 32 bytes")
    assert "hunter2" not in result.stderr
