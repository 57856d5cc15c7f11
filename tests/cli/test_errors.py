"""A mistake in settings or words ends in one clear line with the fix, and never shows a password."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from amends.store import webhook_events
from cli.main import app
from tests.cli.conftest import Invoke


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AMENDS_DATABASE_URL", "no-url", "write sqlite:///"),
        ("AMENDS_DATABASE_URL", "mysql://u:hunter2@host/db", "mysql is not supported"),
        ("AMENDS_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/db", "the database does not answer"),
        ("AMENDS_CONTACTS", "{'lan': 'mailto://u:hunter2@host'}", "AMENDS_CONTACTS"),
        ("AMENDS_CHUNK_SIZE", "0", "AMENDS_CHUNK_SIZE: Input should be greater"),
        ("AMENDS_ZALO__TIMEOUT_SECONDS", "hunter2", "AMENDS_ZALO__TIMEOUT_SECONDS"),
        ("AMENDS_HOME", "/proc/nowhere", "set AMENDS_HOME"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_wrong_setting_is_one_line(
    amends: Invoke, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    if variable == "AMENDS_HOME":
        monkeypatch.delenv("AMENDS_DATABASE_URL")
    monkeypatch.setenv(variable, value)
    result = amends("status")
    assert result.exit_code != 0
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "hunter2" not in result.stdout + result.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_is_no_database(amends: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, just words\n" * 100)
    monkeypatch.setenv("AMENDS_DATABASE_URL", f"sqlite:///{tmp_path / 'notes.txt'}")
    result = amends("status")
    assert result.exit_code == 1
    assert "AMENDS_DATABASE_URL" in result.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check", "nowhere.yaml"], "no such file"),
        (["run", "nowhere.yaml"], "no such file"),
        (["serve", "nowhere.yaml"], "no such file"),
        (["import", "x.csv", "--journey", "nowhere.yaml"], "no such file"),
        (["chek"], "Did you mean 'check'?"),
        (["status", "--jsn"], "No such option"),
        (["case", "x42"], "write it as 42 or AM000042"),
        (["case", "42"], "there is no case AM000042"),
        (["ticket", "take", "7", "--agent", "lan"], "there is no ticket 7"),
        (["serve", "--daily-at", "noon"], "write it as 06:30"),
    ],
)
def test_a_wrong_word_is_told_with_the_fix(amends: Invoke, words: list[str], told: str) -> None:
    result = amends(*words)
    assert result.exit_code != 0
    assert told in result.stderr


def test_a_bug_tells_its_traceback_and_nothing_private(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment["AMENDS_DATABASE_URL"]
    phone, mail, password = "0912345678", "lan.tran@example.com", "hunter2"

    def talkative(*_: object) -> None:
        raise KeyError(f"{phone} {mail} postgresql://amends:{password}@db/amends")

    monkeypatch.setattr(webhook_events, "counts", talkative)
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "KeyError: '84912***678 l***@example.com postgresql://***" in result.stderr
    assert not [private for private in (phone, phone[1:], mail, password) if private in result.output]
