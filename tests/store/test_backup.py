"""Backups of SQLite: whole and of one moment even while others write, and nobody's until they have been checked."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from amends.store import backup, migrate
from amends.store.backup import BackupProblem
from amends.store.engine import DatabaseGone, Store
from amends.store.schema import customers, quarantine
from tests.conftest import CIPHER
from tests.domain.examples import NINE
from tests.store.rows import add_customer, count


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Store]:
    """An installation at work, of a few megabytes."""
    store = Store(f"sqlite:///{tmp_path / 'amends.db'}", CIPHER)
    store.migrate()
    row = {"journey": "c", "source": "s", "location": "", "problems": [], "raw": {"text": "x" * 20_000}}
    with store.begin() as tx:
        add_customer(tx)
        rows = [{**row, "fingerprint": str(n), "received_at": NINE} for n in range(300)]
        tx.execute(quarantine.insert(), rows)
    yield store
    store.close()


def file_of(store: Store) -> Path:
    return Path(str(store.engine.url.database))


def test_a_copy_is_of_one_moment_while_others_write(live: Store, tmp_path: Path) -> None:
    steps = []

    def write_meanwhile(done: int, of: int) -> None:
        steps.append((done, of))
        with live.begin() as tx:
            add_customer(tx)

    backup.copy(file_of(live), tmp_path / "copy.db", write_meanwhile)
    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1]
    with live.read() as tx:
        assert count(tx, customers) == 1 + len(steps)
    copied = Store(f"sqlite:///{tmp_path / 'copy.db'}", CIPHER)
    with copied.read() as tx:
        assert count(tx, customers) == 1
        assert count(tx, quarantine) == 300
    copied.close()


def test_a_copy_is_one_file_of_its_owners_alone_with_its_revision(live: Store, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    backup.copy(file_of(live), folder / "copy.db")
    assert backup.examine(folder / "copy.db") == migrate.HEAD
    assert [path.name for path in folder.iterdir()] == ["copy.db"]
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600


def test_nothing_is_overwritten_and_nothing_half_done_is_left(live: Store, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    kept.write_text("mine")
    with pytest.raises(BackupProblem, match="exists already"):
        backup.copy(file_of(live), kept)
    assert kept.read_text() == "mine"

    def interrupt(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup.copy(file_of(live), tmp_path / "copy.db", interrupt)
    assert not [path for path in tmp_path.iterdir() if "copy.db" in path.name]


def test_a_damaged_database_makes_no_backup(live: Store, tmp_path: Path) -> None:
    live.close()
    damage(file_of(live))
    with pytest.raises(BackupProblem):
        backup.copy(file_of(live), tmp_path / "copy.db")
    assert not [path for path in tmp_path.iterdir() if "copy.db" in path.name]


def damage(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: 4096 * 3] + b"\xff" * 4096 * 40 + whole[4096 * 43 :])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda file: None, "cannot be read: No such file"),
        (lambda file: file.write_bytes(b""), "no SQLite database"),
        (lambda file: file.write_text("just words\n" * 100), "no SQLite database"),
        (lambda file: sqlite3.connect(file).execute("CREATE TABLE t (x)"), "none of Amends'"),
    ],
)
def test_what_is_no_backup_is_refused(tmp_path: Path, make: object, told: str) -> None:
    make(tmp_path / "file.db")  # type: ignore[operator]
    with pytest.raises(BackupProblem, match=told):
        backup.examine(tmp_path / "file.db")


def test_a_backup_that_is_damaged_or_too_new_is_refused(live: Store, tmp_path: Path) -> None:
    for name in ("damaged", "newer"):
        backup.copy(file_of(live), tmp_path / f"{name}.db")
    damage(tmp_path / "damaged.db")
    with pytest.raises(BackupProblem, match="is damaged"):
        backup.examine(tmp_path / "damaged.db")
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9007'")
    connection.close()
    with pytest.raises(BackupProblem, match=r"revision 9007.*upgrade Amends, then restore"):
        backup.examine(tmp_path / "newer.db")


def test_a_database_in_use_is_not_taken_away(live: Store) -> None:
    with pytest.raises(BackupProblem, match="is in use"), backup.nobody_else(file_of(live)):
        pass
    live.close()
    with backup.nobody_else(file_of(live)):
        late = sqlite3.connect(file_of(live), timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            late.execute("SELECT * FROM customers")
        late.close()


def test_who_still_has_the_old_file_open_does_not_write_into_it(live: Store, tmp_path: Path) -> None:
    backup.copy(file_of(live), tmp_path / "copy.db")
    with live.begin() as tx:
        add_customer(tx)
    backup.put_in_place(tmp_path / "copy.db", file_of(live), tmp_path / "aside.db")
    with pytest.raises(DatabaseGone), live.begin() as tx:
        add_customer(tx)
    with live.read() as tx:
        assert count(tx, customers) == 1
