"""`amends backup` and `amends restore`, as an operator types them."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.store.engine import Store
from amends.store.schema import customers
from tests.cli.conftest import Invoke
from tests.conftest import CIPHER
from tests.store.rows import add_customer, count

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def customers_in(url: str) -> int:
    store = Store(url, CIPHER)
    with store.read() as tx:
        found = count(tx, customers)
    store.close()
    return found


@pytest.fixture
def one_customer(database_url: str) -> str:
    store = Store(database_url, CIPHER)
    store.migrate()
    with store.begin() as tx:
        add_customer(tx)
    store.close()
    return database_url


@SQLITE
def test_a_backup_goes_to_the_home_by_default_and_older_ones_are_thinned_out(
    amends: Invoke, one_customer: str, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "backups"
    folder.mkdir(parents=True)
    for name in ("amends-20200101-000000.db", "amends-20200102-000000.db", "amends-mine.db", "notes.txt"):
        (folder / name).touch()
    result = amends("backup", "--keep", "2")
    assert result.exit_code == 0, result.stderr
    [made] = [file for file in folder.glob("amends-2*.db") if file.stat().st_size]
    assert f"{made.relative_to(tmp_path)}: " in result.stdout.replace(f"{tmp_path}/", "")
    assert "removed" in result.stdout
    kept = {file.name for file in folder.iterdir()}
    assert kept == {made.name, "amends-20200102-000000.db", "amends-mine.db", "notes.txt"}
    assert customers_in(f"sqlite:///{made}") == 1


@SQLITE
def test_an_existing_file_is_not_overwritten(amends: Invoke, one_customer: str, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    result = amends("backup", "copy.db")
    assert result.exit_code == 1
    assert "copy.db exists already; choose another name" in result.stderr
    assert (tmp_path / "copy.db").read_text() == "mine"


@SQLITE
def test_a_restore_brings_back_the_backup_and_keeps_what_was_there(
    amends: Invoke, one_customer: str, tmp_path: Path
) -> None:
    assert amends("backup", "copy.db").exit_code == 0
    store = Store(one_customer, CIPHER)
    with store.begin() as tx:
        add_customer(tx)
    store.close()
    refused = amends("restore", "copy.db")  # nobody answers the question
    assert refused.exit_code == 1
    assert customers_in(one_customer) == 2
    result = amends("restore", "copy.db", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "Messages put in doubt, and not sent: none." in result.stdout
    assert "amends zalo login" in result.stdout
    assert customers_in(one_customer) == 1
    [aside] = tmp_path.glob("amends.db.before-restore-*")
    assert customers_in(f"sqlite:///{aside}") == 2
    assert not list(tmp_path.glob("*.restoring*"))
    assert amends("status").exit_code == 0


@SQLITE
def test_a_restore_is_refused_while_somebody_works_there(amends: Invoke, one_customer: str) -> None:
    assert amends("backup", "copy.db").exit_code == 0
    store = Store(one_customer, CIPHER)
    with store.read() as tx:
        assert count(tx, customers) == 1
    result = amends("restore", "copy.db", "--yes")
    assert result.exit_code == 1
    assert "is in use; stop `amends serve`" in result.stderr
    store.close()
    assert amends("restore", "copy.db", "--yes").exit_code == 0


@SQLITE
def test_a_damaged_or_missing_database_is_replaced(amends: Invoke, one_customer: str, tmp_path: Path) -> None:
    assert amends("backup", "copy.db").exit_code == 0
    (tmp_path / "amends.db").write_bytes(b"\xff" * 10_000)
    told = amends("status")
    assert told.exit_code == 1
    assert "amends restore FILE" in told.stderr
    assert amends("restore", "copy.db", "--yes").exit_code == 0
    assert customers_in(one_customer) == 1
    (tmp_path / "amends.db").unlink()
    assert amends("restore", "copy.db", "--yes").exit_code == 0
    assert customers_in(one_customer) == 1


@SQLITE
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "give the backup's FILE, or --mark"),
        (["x.db", "--mark"], 2, "give the backup's FILE, or --mark"),
        (["x.db"], 1, "x.db cannot be read: No such file"),
    ],
)
def test_a_wrong_word_is_told(amends: Invoke, words: list[str], code: int, told: str) -> None:
    result = amends("restore", *words)
    assert result.exit_code == code
    assert told in result.stderr


@SQLITE
def test_a_database_of_a_newer_program_is_refused_in_one_line(
    amends: Invoke, one_customer: str, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "amends.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9007'")
    connection.close()
    result = amends("status")
    assert result.exit_code == 1
    assert "at revision 9007" in result.stderr
    assert "upgrade Amends" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@POSTGRES
def test_on_postgres_backup_names_the_dump_to_run_without_the_password(
    amends: Invoke, one_customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+psycopg://amends:hunter2@db.example:5433/care?sslmode=require&sslpassword=hunter3"
    monkeypatch.setenv("AMENDS_DATABASE_URL", url)
    result = amends("backup")
    assert result.exit_code == 2
    assert "'postgresql://amends@db.example:5433/care?sslmode=require'" in result.stderr
    assert "pg_dump --format=custom --file=amends-" in result.stderr
    assert "hunter" not in result.stderr
    assert "amends restore --mark" in amends("restore", "x.db").stderr


@POSTGRES
def test_on_postgres_a_restored_database_is_marked_once_nobody_is_connected(
    amends: Invoke, one_customer: str
) -> None:
    other = sa.create_engine(one_customer)
    with other.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        result = amends("restore", "--mark", "--yes")
        assert result.exit_code == 1
        assert "1 others are connected" in result.stderr
    other.dispose()
    result = amends("restore", "--mark", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "Messages put in doubt" in result.stdout
