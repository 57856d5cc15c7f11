"""Making, thinning out and restoring backups. Restoring prepares a copy, and only then lets it take the place."""

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from amends.encryption import Cipher, cipher_of
from amends.settings import Settings
from amends.store import backup, operator_log, restored
from amends.store.backup import BackupProblem
from amends.store.engine import Store
from cli.guard import Trouble
from cli.installation import opened_store
from deployments.serving import running_server

_NAMED_BY_DATE = re.compile(r"amends-\d{8}-\d{6}\.db")


def make_backup(settings: Settings, file: Path | None, keep: int, now: datetime) -> None:
    """Copy the database, then remove older copies. Raises Trouble; on PostgreSQL always, with what to run instead."""
    database = _sqlite_file(settings)
    if database is None:
        raise Trouble(f"this is PostgreSQL; run its own tool:\n  {_pg_dump(settings, now)}", 2)
    target = file or settings.home / "backups" / f"amends-{now:%Y%m%d-%H%M%S}.db"
    with _told(), _progress("copying") as progress:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        backup.copy(database, target, progress)
    typer.echo(f"{target}: {target.stat().st_size / 1e6:,.1f} MB, revision {backup.examine(target)}, checked")
    for old in _too_many(target.parent, keep):
        old.unlink()
        typer.echo(f"removed {old}")


def restore_backup(settings: Settings, file: Path, now: datetime, *, yes: bool) -> None:
    """Put a safe copy of `file` in the database's place. Raises Trouble when it is of no use, or anybody works here."""
    database = _sqlite_file(settings)
    if database is None:
        raise Trouble("this is PostgreSQL; restore with pg_restore, then run `amends restore --mark`", 2)
    if url := running_server(settings.home / "prefect"):
        raise Trouble(f"`amends serve` is running here, at {url.removesuffix('/api')}; stop it first")
    prepared = database.with_name(f"{database.name}.restoring")
    aside = database.with_name(f"{database.name}.before-restore-{now:%Y%m%d-%H%M%S}")
    with _told(), _removed_after(prepared):
        backup.examine(file)
        with backup.nobody_else(database):
            pass  # told now, before the copying
        prepared.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        prepared.unlink(missing_ok=True)
        with _progress("copying") as progress:
            backup.copy(file, prepared, progress)
        _show(_make_safe(prepared, cipher_of(settings), now, f"from {file.name}"))
        if not yes:
            typer.confirm(f"Restore {file} as {database}?", abort=True)
        with backup.nobody_else(database):
            backup.put_in_place(prepared, database, aside)
    typer.echo(f"{database} is restored." + (f" What was there is kept: {aside}" if aside.exists() else ""))
    _what_next()


def mark_restored(settings: Settings, now: datetime, *, yes: bool) -> None:
    """Make a database safe that has been restored by other means. Raises Trouble while others are connected."""
    with opened_store(settings) as store:
        _alone(store)
        if not yes:
            typer.confirm("Has this database just been restored from a backup?", abort=True)
        with store.begin() as tx:
            _show(_mark(tx, now, "--mark"))
    _what_next()


def _make_safe(prepared: Path, cipher: Cipher, now: datetime, origin: str) -> restored.Plan:
    store = Store(f"sqlite:///{prepared}", cipher)
    try:
        store.migrate()
        with store.begin() as tx:
            return _mark(tx, now, origin)
    finally:
        store.close()


def _mark(tx: sa.Connection, now: datetime, origin: str) -> restored.Plan:
    plan = restored.doubt_everything_due(tx, now)
    told = f"{origin}; {sum(plan.doubts.values())} messages in doubt, lost time since {plan.since:%Y-%m-%d %H:%M} UTC"
    operator_log.record(tx, operator_log.Deed(now, getpass.getuser(), "restore", "database", told))
    return plan


def _show(plan: restored.Plan) -> None:
    typer.echo(f"The backup knows nothing after {plan.since:%Y-%m-%d %H:%M} UTC.")
    found = ", ".join(f"{number:,} of {step.replace('_', ' ')}" for step, number in plan.doubts.items())
    typer.echo(f"Messages put in doubt, and not sent: {found or 'none'}.")
    if plan.unsolved:
        typer.echo(
            f"{plan.unsolved:,} tickets are unsolved in it. A survey or voucher that follows one of them, and may have "
            "been sent already, will be put in doubt when it comes up."
        )


def _what_next() -> None:
    typer.echo(
        "Next: `amends zalo login` (the refresh token in a backup is probably spent), `amends doctor`, then "
        "`amends serve`.\n`amends status` lists what is in doubt. Take voucher codes that have been given out since "
        "the backup out of your pools."
    )


def _alone(store: Store) -> None:
    """Raises Trouble when anybody else is connected: a sweep under way would send what is about to be doubted."""
    if not store.is_postgres:
        file = Path(str(store.engine.url.database))
        store.close()
        with _told(), backup.nobody_else(file):
            return
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with store.read() as tx:
        if connected := tx.exec_driver_sql(others).scalar():
            raise Trouble(
                f"{connected} others are connected to this database; stop `amends serve`, the desk and whatever else "
                "has it open, then try again"
            )


def _sqlite_file(settings: Settings) -> Path | None:
    """The database's file; None for PostgreSQL."""
    try:
        url = make_url(settings.database())
    except ArgumentError:
        raise Trouble("AMENDS_DATABASE_URL is no database URL", 2) from None
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _pg_dump(settings: Settings, now: datetime) -> str:
    url = make_url(settings.database())._replace(drivername="postgresql", password=None)
    url = url.difference_update_query([name for name in url.query if "password" in name])
    return f"pg_dump --format=custom --file=amends-{now:%Y%m%d-%H%M%S}.dump '{url.render_as_string()}'"


def _too_many(folder: Path, keep: int) -> list[Path]:
    """All but the newest `keep` of our own backups, oldest first; none when `keep` is 0."""
    ours = sorted(file for file in folder.iterdir() if _NAMED_BY_DATE.fullmatch(file.name))
    return ours[:-keep] if keep else []


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BackupProblem as problem:
        raise Trouble(str(problem)) from None
    except OSError as error:
        raise Trouble(f"{error.filename}: {error.strerror}") from None


@contextmanager
def _removed_after(prepared: Path) -> Iterator[None]:
    try:
        yield
    finally:
        for end in ("", "-wal", "-shm"):
            prepared.with_name(prepared.name + end).unlink(missing_ok=True)


@contextmanager
def _progress(told: str) -> Iterator[backup.Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(told, total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)
