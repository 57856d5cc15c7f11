"""What a customer may ask for by law: a copy, to be left alone, to be forgotten."""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from typer.testing import CliRunner

from amends.domain.effects import Step
from amends.domain.ratings import Scale
from amends.settings import Settings
from amends.store import inbox, ledger, surveys
from amends.store.engine import Store
from amends.store.migrate import StrangeSchema
from amends.store.schema import customers, effects, feedbacks, metadata, operator_log
from amends.store.spool import Arrived, Spool
from cli import privacy_work
from cli.main import app
from tests.cli.conftest import COLUMNS, PHONE, Invoke
from tests.conftest import CIPHER
from tests.domain.examples import NINE
from tests.store.rows import add_case, count, intent

MAIL = "lan.tran@example.com"
HERS = ("912345678", MAIL, "Trần Thị Lan", "Giao trễ 5 ngày")


@pytest.fixture
def imported(amends: Invoke, journey_file: Path, reviews: Path, store: Store) -> Invoke:
    """The reviews are in; hers has become a case with a message and a survey's note. Another row is quarantined."""
    amends("import", reviews, "--journey", journey_file, "--columns", COLUMNS)
    with store.begin() as tx:
        customer_id = inbox.find_customer(tx, PHONE)
        assert customer_id is not None
        case_id = add_case(tx, customer_id=customer_id)
        mine = feedbacks.update().where(feedbacks.c.customer_id == customer_id)
        tx.execute(mine.values(case_id=case_id, verdict="case"))
        note = f"Gọi {PHONE} nhé"
        said = surveys.Answer(case_id, 0, 1, Scale.FIVE_STARS, False, note, NINE, "survey answer")
        surveys.answered(tx, [said])
        sent = intent(case_id, customer_id=customer_id, step=Step.ACKNOWLEDGE)
        ledger.begin(tx, [sent], owner="one", now=NINE, lease_until=NINE)
        tx.execute(effects.update().values(state="accepted", provider_id="m-77", settled_at=NINE))
    return amends


def everything(store: Store) -> str:
    with store.read() as tx:
        return str([tuple(row) for table in metadata.sorted_tables for row in tx.execute(sa.select(table))])


def test_the_export_holds_everything_in_clear_for_its_owner_alone(
    imported: Invoke, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "lan.json"
    file.write_text("old and longer than nothing")
    file.chmod(0o644)
    result = imported("export", "0912 345 678", "--by", "mai", "--output", file, "--why", "request 12")
    assert result.exit_code == 0, result.stderr
    assert "personal data" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document = json.loads(file.read_text(encoding="utf-8"))
    text = json.dumps(document, ensure_ascii=False)
    for wanted in (*HERS, "m-77", f"Gọi {PHONE} nhé", "reviews.csv line 4"):
        assert wanted in text, wanted
    assert "987654321" not in text
    [who] = document["who you are to us"]
    assert (who["phone"], who["mail"], who["name"]) == ("84912345678", MAIL, "Trần Thị Lan")
    [case] = document["your cases"]
    assert case["opened at"] == "2026-11-02T09:00:00+07:00"
    assert case["messages and notifications"][0]["channel"] == "zns"
    assert document["times are of"] == "Asia/Ho_Chi_Minh"
    with store.read() as tx:
        line = tx.execute(sa.select(operator_log)).one()
    assert (line.actor, line.action, line.detail) == ("mai", "export", "request 12")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_export_of_a_stranger_is_empty_and_a_bad_path_is_told(imported: Invoke, tmp_path: Path) -> None:
    result = imported("export", "0903000111", "--by", "mai", "--output", tmp_path / "no" / "file.json")
    assert result.exit_code == 2
    assert "--output" in result.stderr
    imported("export", "0903000111", "--by", "mai", "--output", tmp_path / "file.json")
    document = json.loads((tmp_path / "file.json").read_text(encoding="utf-8"))
    assert [rows for rows in document.values() if isinstance(rows, list)] == [[]] * 7


def test_forgetting_tells_what_goes_and_leaves_nothing(
    imported: Invoke, store: Store, journey_file: Path, reviews: Path
) -> None:
    held = everything(store)
    rehearsed = json.loads(imported("forget", PHONE, "--by", "mai", "--dry-run", "--json").stdout)
    assert everything(store) == held
    told = imported("forget", PHONE, "--by", "mai", "--why", "request 12")
    assert told.exit_code == 0, told.stderr
    assert "84912***678 has been forgotten" in told.stdout
    assert "backups" in told.stdout
    counts = {"customers": 1, "feedbacks": 1, "surveys": 1, "cases": 1, "quarantine": 1}
    assert rehearsed["removed"] == counts
    assert [trace for trace in HERS if trace in everything(store)] == []
    again = imported("import", reviews, "--journey", journey_file, "--columns", COLUMNS, "--json")
    assert (json.loads(again.stdout)["files"][0]["new"], again.exit_code) == (0, 0)
    assert [trace for trace in HERS if trace in everything(store)] == []
    assert "Nothing is held about 84912***678" in imported("forget", PHONE, "--by", "mai").stdout
    shown = imported("case", "1")
    assert "no contact known\nPersonal data removed" in shown.stdout


def test_a_program_older_than_the_schema_forgets_nothing(imported: Invoke, store: Store) -> None:
    held = everything(store)
    with store.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9007'"))
    with pytest.raises(StrangeSchema):
        privacy_work.forget_person(Settings(), store, PHONE, "mai", "", dry_run=False)
    assert everything(store) == held


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_sealed_of_hers_is_not_left_in_the_file_either(
    imported: Invoke, store: Store, tmp_path: Path
) -> None:
    """With the keys at hand, what lies in a free part of the file or in its log could still be opened."""

    def files_with(sealed: list[str]) -> list[str]:
        return [
            file.name
            for file in tmp_path.glob("amends.db*")
            if any(text.encode() in file.read_bytes() for text in sealed)
        ]

    with store.read() as tx:
        hers = {"id": inbox.find_customer(tx, PHONE)}
        sealed = list(tx.execute(sa.text("SELECT phone FROM customers WHERE id = :id"), hers).scalars())
    store.close()
    assert files_with(sealed)
    assert imported("forget", PHONE, "--by", "mai").exit_code == 0
    assert files_with(sealed) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_webhooks_wait_nothing_changes(
    imported: Invoke, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy_work, "PATIENCE_SECONDS", 0.0)
    spool = Spool(tmp_path / "home" / "webhooks.spool", CIPHER)
    spool.put([Arrived("webhook:till", "k1", datetime.now(UTC), b"{}")])
    held = everything(store)
    result = imported("forget", PHONE, "--by", "mai")
    assert result.exit_code == 1
    assert "1 webhooks wait" in result.stderr
    assert everything(store) == held
    spool.drop([row.id for row in spool.peek(9)])
    spool.close()
    assert imported("forget", PHONE, "--by", "mai").exit_code == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_a_message_is_on_its_way_nothing_changes(imported: Invoke, store: Store) -> None:
    with store.begin() as tx:
        tx.execute(effects.update().values(state="sending", lease_until=datetime(2099, 1, 1, tzinfo=UTC)))
    held = everything(store)
    result = imported("forget", PHONE, "--by", "mai")
    assert (result.exit_code, "Try again in a moment" in result.stderr) == (1, True)
    assert everything(store) == held


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_opting_out_and_in_again(imported: Invoke, store: Store) -> None:
    out = json.loads(imported("optout", MAIL, "--by", "mai", "--json").stdout)
    assert (out["contact"], out["opted_out"], out["changed"]) == ("l***@example.com", True, 2)
    assert "nothing has changed" in imported("optout", MAIL, "--by", "mai").stdout
    assert "Opted out" in imported("case", "1").stdout
    assert "may get messages" in imported("optout", MAIL, "--by", "mai", "--undo").stdout
    with store.read() as tx:
        assert count(tx, customers, customers.c.opted_out_at.is_not(None)) == 0
        actions = tx.execute(sa.select(operator_log.c.action)).scalars().all()
    assert sorted(set(actions)) == ["opt in", "opt out"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_no_contact_is_told_without_being_repeated(amends: Invoke) -> None:
    for command in ("forget", "export", "optout"):
        result = amends(command, "028 3829 1234", "--by", "mai")
        assert (result.exit_code, result.stderr.partition(":")[0]) == (2, "PHONE|MAIL")
        assert "3829" not in result.stderr
        assert amends(command, PHONE, "--by", " ").stderr == "--by: say who does it\n"


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("quiet_logs")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_contact_may_come_by_standard_input(imported: Invoke) -> None:
    result = CliRunner().invoke(app, ["optout", "-", "--by", "mai"], input=f"{PHONE}\n")
    assert result.stdout.startswith("84912***678 gets no more messages")
