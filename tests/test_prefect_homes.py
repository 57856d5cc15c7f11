"""The database that Prefect's servers of the tests begin with is made once, and is whole."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.prefect_homes import DATABASE, PrefectHomes


def tables(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / DATABASE)) as database:
        return [name for (name,) in database.execute("SELECT name FROM sqlite_schema")]


def test_the_first_database_that_is_known_is_given_to_every_new_home(tmp_path: Path) -> None:
    homes = PrefectHomes(tmp_path)
    homes.furnish(tmp_path / "first")
    assert not (tmp_path / "first" / DATABASE).exists(), "nothing is known yet"
    with closing(sqlite3.connect(tmp_path / "first" / DATABASE)) as live:
        live.execute("PRAGMA journal_mode = WAL")
        live.execute("CREATE TABLE one (id INTEGER)")
        live.commit()
        homes.learn(tmp_path / "first")  # while its server runs, with a part of it in the log
        live.execute("CREATE TABLE two (id INTEGER)")
        live.commit()
        homes.learn(tmp_path / "first")
    PrefectHomes(tmp_path).furnish(tmp_path / "second")
    assert tables(tmp_path / "second") == ["one"]
    assert list(tmp_path.glob("part*")) == []
