"""Copies of an SQLite database: made while sweeps run, examined, and put in the place of the present one."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from amends.store.migrate import HEAD, known_revisions

Progress = Callable[[int, int], None]
"""Told how many pages are done, of how many."""
_PAGES_A_STEP = 500


class BackupProblem(Exception):
    """Why a copy cannot be made or used; the message says what to do."""


def copy(source: Path, target: Path, progress: Progress = lambda _done, _all: None) -> None:
    """Copy the database `source` to the new file `target`, readable by its owner only.

    The copy is of one moment; writers are not held up meanwhile. It gets its name when it is whole and has been
    checked, so a copy that is there is good. Raises BackupProblem.
    """
    if target.exists():
        raise BackupProblem(f"{target} exists already; choose another name")
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        with closing(_opened(source)) as old, closing(sqlite3.connect(part, isolation_level=None)) as new:
            old.execute("BEGIN")  # a snapshot: without it every write of a sweep would start the copy again
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(
                new, pages=_PAGES_A_STEP, progress=lambda _status, left, of: progress(of - left, of), sleep=0
            )
            new.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
            _check(new, source)
        _to_disk(part)
        part.rename(target)
        _to_disk(target.parent)
    except sqlite3.Error as error:
        raise BackupProblem(f"{source} could not be copied to {target}: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def examine(file: Path) -> str:
    """The revision of the Amends database in `file`. Raises BackupProblem when it is none, damaged, or too new."""
    try:
        with file.open("rb") as opened:
            header = opened.read(16)
    except OSError as error:
        raise BackupProblem(f"{file} cannot be read: {error.strerror}") from None
    if header != b"SQLite format 3\0":
        raise BackupProblem(f"{file} is no SQLite database; give a file that `amends backup` has made")
    try:
        with closing(_opened(file)) as connection:
            _check(connection, file)
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        found = None
    except sqlite3.DatabaseError as error:
        raise BackupProblem(f"{file} is damaged: {error}; use an older backup") from None
    if found is None:
        raise BackupProblem(f"{file} is a database, but none of Amends'")
    if found[0] not in known_revisions():
        raise BackupProblem(
            f"{file} is at revision {found[0]}, this program knows up to {HEAD}: upgrade Amends, then restore"
        )
    return str(found[0])


@contextmanager
def nobody_else(database: Path) -> Iterator[None]:
    """Hold the database so that nobody else can open it, and fold its log into it. Raises BackupProblem when in use.

    One that is missing or damaged beyond opening needs no holding.
    """
    if not database.exists():
        yield
        return
    with closing(sqlite3.connect(database, isolation_level=None, timeout=1)) as held:
        try:
            held.execute("PRAGMA locking_mode = EXCLUSIVE")
            held.execute("BEGIN EXCLUSIVE")
            held.execute("COMMIT")
            held.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BackupProblem(
                    f"{database} is in use; stop `amends serve`, the desk and whatever else has it open, then try again"
                ) from None
        except sqlite3.DatabaseError:
            pass
        yield


def put_in_place(prepared: Path, database: Path, aside: Path) -> None:
    """Let `prepared` take the place of `database`, which is kept as `aside`; call it with `nobody_else`."""
    for end in ("", "-wal", "-shm"):
        present = database.with_name(database.name + end)
        if present.exists():
            present.rename(aside.with_name(aside.name + end))
    prepared.rename(database)
    _to_disk(database.parent)


def _opened(file: Path) -> sqlite3.Connection:
    if not file.exists():
        raise BackupProblem(f"there is no database {file}")
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=60)


def _check(connection: sqlite3.Connection, origin: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise BackupProblem(f"{origin} is damaged: {found[0] if found else 'no answer'}; use an older backup")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
