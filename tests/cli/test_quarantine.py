"""An operator works through the quarantine: list, show, fix, requeue, drop."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from amends.store import operator_log, reports
from amends.store.engine import Store
from amends.store.schema import feedbacks
from cli.main import app
from tests.cli.conftest import COLUMNS, PHONE, Invoke
from tests.conftest import MONDAY
from tests.store.rows import count

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BY = ("--by", "hoa")


@pytest.fixture
def imported(amends: Invoke, journey_file: Path, reviews: Path) -> Path:
    """The three reviews are imported, the third with a mark that does not exist; the journey's file."""
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    data["sources"][0]["columns"] = dict(part.split("=") for part in COLUMNS.split(","))
    journey_file.write_text(yaml.safe_dump(data), encoding="utf-8")
    result = amends("import", reviews, "--journey", journey_file, "--source", "marketplace")
    assert "1 quarantined" in result.stdout
    return journey_file


def listed(amends: Invoke, *words: str) -> list[dict[str, Any]]:
    result = amends("quarantine", "list", *words, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["entries"]
    return found


def received(store: Store) -> int:
    with store.read() as tx:
        return count(tx, feedbacks)


def test_list_show_fix(amends: Invoke, imported: Path, store: Store) -> None:
    (entry,) = listed(amends)
    assert (entry["location"], entry["source"], entry["state"]) == (
        "reviews.csv line 4",
        "marketplace",
        "open",
    )
    assert "reviews.csv line 4" in amends("quarantine", "list").stdout
    shown = json.loads(amends("quarantine", "show", "1", "--json").stdout)
    assert shown["row"]["words"] == "Gọi 84912***678 ngay"
    assert "fix it" in shown["what_can_be_done"]
    assert "What can be done" in amends("quarantine", "show", "1").stdout

    words = ("quarantine", "fix", "1", "--journey", imported, *BY)
    bad = amends(*words, "--set", "rating=7")
    assert bad.exit_code == 1
    assert "the rating is outside 1 to 5" in bad.stderr
    rehearsed = amends(*words, "--set", "rating=1", "--dry-run")
    assert rehearsed.stdout == "Would requeue entry 1: 1 new feedback; the next sweep judges it.\n"
    assert (received(store), len(listed(amends))) == (2, 1)
    fixed = amends(*words, "--set", "rating=1")
    assert fixed.stdout == "Requeued entry 1: 1 new feedback; the next sweep judges it.\n"
    assert (received(store), listed(amends)) == (3, [])
    again = amends(*words, "--set", "rating=1")
    assert (again.exit_code, again.stdout) == (0, "Entry 1 was requeued already; nothing is changed.\n")
    assert listed(amends, "--state", "requeued")[0]["settled_by"] == "hoa"

    with store.read() as tx:
        assert [deed.action for deed in operator_log.of_subject(tx, "quarantine 1")] == ["requeued"]
        assert reports.funnel(tx, "complaint", MONDAY).quarantined == 0
    status = json.loads(amends("status", "--json").stdout)["journeys"][0]
    assert (status["quarantine_open"], status["quarantine"]) == (0, [])


@ONE_DATABASE
def test_the_whole_row_only_on_demand(amends: Invoke, imported: Path) -> None:
    shown = json.loads(amends("quarantine", "show", "1", "--json").stdout)
    assert PHONE not in json.dumps(shown)
    whole = CliRunner().invoke(app, ["quarantine", "show", "1", "--unmasked", "--json"])
    assert json.loads(whole.stdout)["row"]["mobile"] == PHONE


@ONE_DATABASE
def test_requeue_takes_what_can_be_used_by_now(amends: Invoke, imported: Path, store: Store) -> None:
    one = amends("quarantine", "requeue", "1", "77", "--journey", imported, *BY)
    assert one.exit_code == 1
    assert one.stderr.splitlines()[0].startswith("entry 1 still cannot be used: rating: '9'")
    assert "there is no entry 77" in one.stderr
    still = amends("quarantine", "requeue", "--all", "--journey", imported, *BY)
    assert (still.exit_code, still.stdout) == (0, "Requeued 0, 0 new feedback; 1 stay in quarantine.\n")

    data = yaml.safe_load(imported.read_text(encoding="utf-8"))
    data["sources"][0]["columns"]["scale"] = "ten_points"
    imported.write_text(yaml.safe_dump(data), encoding="utf-8")
    other = amends("quarantine", "requeue", "--all", "--source", "till", "--journey", imported, *BY)
    assert "Requeued 0, 0 new feedback; 0 stay" in other.stdout
    words = ("quarantine", "requeue", "--all", "--source", "marketplace", "--journey", imported, *BY)
    rehearsed = amends(*words, "--dry-run")
    assert rehearsed.stdout == "Would requeue 1, 1 new feedback; 0 stay in quarantine.\n"
    assert received(store) == 2
    assert amends(*words).stdout == "Requeued 1, 1 new feedback; 0 stay in quarantine.\n"
    assert received(store) == 3


@ONE_DATABASE
def test_columns_by_hand(amends: Invoke, imported: Path, store: Store) -> None:
    ten = f"{COLUMNS},scale=ten_points"
    done = amends("quarantine", "requeue", "1", "--journey", imported, "--columns", ten, *BY)
    assert done.stdout == "Requeued entry 1: 1 new feedback; the next sweep judges it.\n"
    wrong = amends("quarantine", "requeue", "1", "--columns", "ratng=x", *BY)
    assert (wrong.exit_code, "did you mean 'rating'?" in wrong.stderr) == (2, True)


@ONE_DATABASE
def test_drop(amends: Invoke, imported: Path, reviews: Path, store: Store) -> None:
    why = ("--why", f"a test of {PHONE}")
    done = amends("quarantine", "drop", "1", "77", *BY, *why)
    assert (done.exit_code, done.stdout) == (1, "Dropped entry 1 (reviews.csv line 4).\n")
    again = amends("quarantine", "drop", "1", *BY, *why)
    assert again.stdout == "Entry 1 was dropped already, by hoa; nothing is changed.\n"
    assert "Quarantine" not in amends("status").stdout
    amends("import", reviews, "--journey", imported, "--source", "marketplace")
    assert listed(amends) == [], "the same bad row again does not wait again"
    with store.read() as tx:
        (deed,) = operator_log.of_subject(tx, "quarantine 1")
    assert (deed.action, deed.detail) == ("dropped", "a test of 84912***678")
    # A row dropped by mistake can still be put right, one in the inbox cannot be dropped.
    assert amends("quarantine", "fix", "1", "--set", "stars=1", "--journey", imported, *BY).exit_code == 0
    late = amends("quarantine", "drop", "1", *BY, *why)
    assert (late.exit_code, late.stderr) == (1, "entry 1 is in the inbox already; nothing is changed\n")


@ONE_DATABASE
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["list", "--state", "opn"], 2, "did you mean 'open'?"),
        (["show", "77"], 1, "there is no entry 77"),
        (["fix", "1", "--set", "rating", *BY], 2, "write each as FIELD=VALUE"),
        (["fix", "77", "--set", "rating=1", *BY], 1, "there is no entry 77"),
        (["requeue", *BY], 2, "name entries, or say --all"),
        (["requeue", "1", "--all", *BY], 2, "name entries, or say --all"),
        (["requeue", "1", "--source", "till", *BY], 2, "--source goes with --all"),
        (["requeue", "--all", "--by", " "], 2, "--by: give your name"),
        (["drop", "1", *BY], 2, "--why"),
    ],
)
def test_a_wrong_word_is_told_with_the_fix(amends: Invoke, words: list[str], code: int, told: str) -> None:
    result = amends("quarantine", *words)
    assert result.exit_code == code
    assert told in result.stderr
