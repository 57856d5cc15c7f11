"""`amends demo` as a person runs it: the same seed gives the same figures, on either database."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from amends.settings import Settings
from amends.store import inbox
from amends.store.opening import open_store
from cli.demo.audit import audit
from cli.demo.command import SAMPLE
from deployments.serving import announced
from tests.conftest import MONDAY
from tests.store.rows import feedback

AMENDS = str(Path(sys.executable).with_name("amends"))
WANTED = (
    *("feedback", "quarantined", "low_ratings", "cases", "merged", "tickets", "acknowledged", "notified"),
    *(
        "sla_met",
        "sla_breached",
        "escalations",
        "surveys_sent",
        "surveys_answered",
        "vouchers",
        "closed",
        "open",
    ),
    *("vendor_requests", "duplicate_requests", "lost", "seconds"),
)


@pytest.fixture
def home(tmp_path: Path, prefect_api: str) -> Iterator[Path]:
    """A home in which the tests' Prefect server counts as the running one, so that no demo starts its own."""
    (tmp_path / ".amends" / "prefect").mkdir(parents=True)
    with announced(tmp_path / ".amends" / "prefect", prefect_api):
        yield tmp_path


def demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ours = {name for name in os.environ if name.startswith(("PREFECT_", "AMENDS_"))}
    kept = {name: os.environ[name] for name in os.environ.keys() - ours | {"PREFECT_API_SSL_CERT_FILE"}}
    return subprocess.run(
        [AMENDS, "demo", *arguments], cwd=home, env=kept, capture_output=True, text=True, timeout=400
    )


def figures(home: Path, *arguments: str) -> dict[str, Any]:
    done = demo(home, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_on_both_databases(home: Path, postgres_url: str) -> None:
    """One day: every review comes in, and some cases have gone all the way to a voucher and their close."""
    first = figures(home, "--days", "1")
    assert set(WANTED) <= set(first)
    assert all(first[name] > 0 for name in set(WANTED) - {"duplicate_requests", "lost"})
    assert first["feedback"] == 494
    assert first["quarantined"] == 6
    assert first["low_ratings"] == 130
    assert first["cases"] + first["merged"] == first["low_ratings"]
    assert first["tickets"] == first["notified"] == first["cases"]
    assert (first["duplicate_requests"], first["lost"]) == (0, 0)
    again = figures(home, "--days", "1", "--database", postgres_url)
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


@pytest.mark.slow
def test_it_shows_the_funnel_the_service_levels_a_story_and_where_to_look_next(home: Path) -> None:
    few = SAMPLE.read_text("utf-8").splitlines(keepends=True)[:60]
    (home / "few.tsv").write_text("".join(few), "utf-8")
    done = demo(home, "--days", "1", "--seed", "3", "--reviews", "few.tsv")
    assert done.returncode == 0, done.stderr
    for wanted in ("ratings received", "first response", "nothing sent twice", "amends status"):
        assert wanted in done.stdout
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_used_is_named_and_nothing_is_done(home: Path) -> None:
    (home / "odd.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    for arguments, told in ((("--reviews", "nope.csv"), "nope.csv"), (("--reviews", "odd.csv"), "--columns")):
        done = demo(home, *arguments)
        assert done.returncode == 2
        assert told in done.stderr
        assert done.stdout == ""
        assert not (home / ".amends" / "demo").exists()


def test_a_database_with_somebodys_data_is_refused(home: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    theirs = open_store(Settings(home=home / ".amends", database_url=SecretStr(url)))
    theirs.migrate()
    with theirs.begin() as tx:
        inbox.receive(tx, "complaint", [feedback()], MONDAY)
    theirs.close()
    done = demo(home, "--days", "1", "--json", "--database", url)
    assert done.returncode == 2
    assert "holds feedback already" in done.stderr


def test_the_audit_finds_what_was_sent_twice_and_whom_nobody_told() -> None:
    from amends.store.reports import CaseContact

    contacts = [CaseContact(n, f"8491234567{n}", MONDAY, 1) for n in (1, 2, 3)]

    def zns(code: str, phone: str, tracking: str, kind: str = "custom") -> dict[str, Any]:
        params = {"case_code": code}
        return {
            "kind": "zns",
            "template_type": kind,
            "tracking_id": tracking,
            "phone": phone,
            "params": params,
        }

    def told(code: str) -> dict[str, Any]:
        return {"kind": "agent_notification", "contact": "lan", "title": f"[{code}] urgent ticket"}

    clean = [
        zns("AM000001", "84912345671", "a"),
        {**zns("AM000002", "84912345672", "b"), "kind": "zns_refused"},
        zns("AM000003", "84912345673", "c"),
        *(told(f"AM00000{n}") for n in (1, 2, 3)),
    ]
    fine = audit(clean, contacts, max_reopens=1)
    assert (fine.requests, fine.duplicates, fine.lost) == (6, (), ())
    twice = audit([*clean, clean[0], clean[3]], contacts, max_reopens=1)
    assert len(twice.duplicates) == 3  # two apologies, one tracking id twice, one notice twice
    stranger = audit([*clean, zns("AM000001", "84999999999", "d", "voucher")], contacts, max_reopens=1)
    assert stranger.duplicates == ("AM000001: sent to somebody else",)
    silent = audit(clean[3:], contacts, max_reopens=1)
    assert [line.partition(":")[0] for line in silent.lost] == ["AM000001", "AM000002", "AM000003"]
    known = audit(clean[3:], contacts, max_reopens=1, unsure={"AM000001"})
    assert "AM000001: no apology" not in known.lost
    assert "AM000003: no apology" in known.lost
    patient = audit([*clean, clean[3]], contacts, max_reopens=1, staff_may_hear_twice=True)
    assert patient.duplicates == ()
