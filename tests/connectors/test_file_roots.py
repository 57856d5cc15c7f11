"""A journey reads files below the allowed folders, wherever links and dots lead, and none that is hidden or ours."""

import os
from pathlib import Path

import pytest

from amends.settings import Settings
from connectors.code_pool import read_codes, stamp_of
from connectors.file_kinds import FileProblem
from connectors.file_roots import FileRoots

OUTSIDE = "in none of the folders"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an inbox, Amends' home in it, and a secret beside it."""
    work = tmp_path / "work"
    for folder in ("inbox", ".amends/inbox", ".amends/prefect", ".ssh"):
        (work / folder).mkdir(parents=True)
    for file in (
        "inbox/a.csv",
        ".amends/inbox/b.csv",
        ".amends/encryption.key",
        ".amends/amends.db",
        ".amends/amends.db-wal",
        ".amends/webhooks.spool",
        ".amends/prefect/prefect.db",
        ".env",
        ".ssh/id",
    ):
        (work / file).write_text("stars,words\n1,no\n")
    (tmp_path / "secret.csv").write_text("AMENDS_ZALO__SECRET_KEY=hunter2\n")
    monkeypatch.chdir(work)
    return work


def roots(**changes: object) -> FileRoots:
    return FileRoots(Settings(_env_file=None, **changes))  # type: ignore[arg-type]


def test_the_documented_folders_need_no_setting(work: Path) -> None:
    for pattern in (
        "inbox/*.csv",
        ".amends/inbox/*",
        f"{work}/inbox/*",
        "./inbox/../inbox/a.csv",
        "**/a.csv",
    ):
        found = roots().matching(pattern)
        assert len(found.files) == 1, pattern
        assert found.problems == []


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("../secret.csv", OUTSIDE),
        ("inbox/../../secret.csv", OUTSIDE),
        ("/etc/passwd", OUTSIDE),
        ("/etc/*", OUTSIDE),
        ("/**/*", OUTSIDE),
        ("*/../../secret.csv", OUTSIDE),
        (".env", "keeps for itself"),
        (".en[v]", "keeps for itself"),
        (".ssh/*", "hidden"),
        (".ssh/id", "hidden"),
        (".amends/encryption.key", "keeps for itself"),
        (".amends/amends.db-wal", "keeps for itself"),
        (".amends/webhooks.spool", "keeps for itself"),
        (".amends/prefect/*", "keeps for itself"),
        ("inbox/**x", "no pattern"),
        ("inbox/\0", "cannot be followed"),
    ],
)
def test_no_path_leads_out(work: Path, pattern: str, told: str) -> None:
    found = roots().matching(pattern)
    assert list(found.files) == []
    assert told in "; ".join(map(str, found.problems))
    assert "hunter2" not in "".join(map(str, found.problems))


@pytest.mark.parametrize("pattern", ["", "/", ".", "..", "*", "**"])
def test_a_pattern_that_names_nothing_is_no_crash(work: Path, pattern: str) -> None:
    found = roots().matching(pattern)
    assert all(".env" not in str(file) and ".amends" not in str(file) for file in found.files)


def test_a_link_is_judged_by_where_it_leads(work: Path, tmp_path: Path) -> None:
    (work / "inbox" / "out.csv").symlink_to(tmp_path / "secret.csv")
    (work / "inbox" / "in.csv").symlink_to(work / "inbox" / "a.csv")
    (work / "inbox" / "key.csv").symlink_to(work / ".amends" / "encryption.key")
    (work / "inbox" / "loop.csv").symlink_to(work / "inbox" / "loop.csv")
    (work / "folder").symlink_to(tmp_path)
    found = roots().matching("inbox/*.csv")
    assert [file.name for file in found.files] == ["a.csv", "in.csv"]
    assert {str(problem).partition(":")[0] for problem in found.problems} == {"out.csv", "key.csv"}
    assert roots().matching("folder/*.csv").files == ()


def test_the_setting_names_other_folders_and_those_alone(work: Path, tmp_path: Path) -> None:
    only = roots(file_roots=[tmp_path / "drop"])
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "x.csv").write_text("")
    assert [file.name for file in only.matching(f"{tmp_path}/drop/*").files] == ["x.csv"]
    assert only.matching("inbox/*.csv").files == ()
    assert roots(file_roots=[]).matching("inbox/*.csv").files == ()
    inside = roots(file_roots=[work / ".ssh"])
    assert len(inside.matching(".ssh/*").files) == 1, "an operator may name a hidden folder"


def test_the_database_of_the_settings_is_ours_wherever_it_lies(work: Path) -> None:
    (work / "inbox" / "shop.db").write_text("")
    found = roots(database_url=f"sqlite:///{work}/inbox/shop.db").matching("inbox/*")
    assert [file.name for file in found.files] == ["a.csv"]


def test_voucher_codes_come_from_the_same_folders(work: Path, tmp_path: Path) -> None:
    pool = work / "codes.txt"
    pool.write_bytes("\ufeffTET-1\n\n TET-2 \n".encode())
    assert stamp_of(pool, roots()).startswith("18:")
    assert read_codes(pool) == ["TET-1", "TET-2"]
    for path, told in (
        (tmp_path / "secret.csv", OUTSIDE),
        (work / ".env", "itself"),
        (work / "no", "no such"),
    ):
        with pytest.raises(FileProblem, match=told):
            stamp_of(path, roots())


def test_a_pool_that_cannot_be_read_is_told(work: Path) -> None:
    pool = work / "codes.txt"
    pool.write_bytes(b"TET-1\xff\xfe\n")
    with pytest.raises(FileProblem, match="no UTF-8 text"):
        read_codes(pool)
    if os.geteuid():
        pool.chmod(0)
        with pytest.raises(FileProblem, match="cannot be read"):
            read_codes(pool)
