"""`amends backup` and `amends restore`: copies of the database, and going back to one without sending twice."""

from pathlib import Path
from typing import Annotated

import typer


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="None: AMENDS_HOME/backups/amends-YYYYMMDD-HHMMSS.db, in UTC."),
    ] = None,
    keep: Annotated[
        int,
        typer.Option(min=0, help="Keep the newest N of the backups named by date in that folder; 0: all."),
    ] = 0,
) -> None:
    """Copy the SQLite database to a file, while sweeps run.

    The copy is of one moment, is checked, and gets its name when it is whole. An existing file is never overwritten.
    Keep it, and apart from it the encryption keys. On PostgreSQL this prints the pg_dump to run instead (exit code 2).

    \b
      amends backup
      amends backup --keep 14                    from a timer, every night
      amends backup /mnt/safe/amends-before-tet.db
    """
    from amends.clock import SystemClock
    from cli.backing_up import make_backup
    from cli.installation import read_settings

    make_backup(read_settings(), file, keep, SystemClock().now())


def restore(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="What `amends backup` has made.")
    ] = None,
    mark: Annotated[
        bool,
        typer.Option("--mark", help="The database has been restored already (pg_restore); make it safe."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Go back to a backup, without sending again what was sent since.

    A backup does not know what went out after it was made. So every message to a customer that may have been sent in
    that time is put in doubt, not sent: `amends status` lists it as uncertain, and proof from Zalo or an operator
    settles it. Notifications to agents may repeat. The present file is kept beside the new one.

    Stop `amends serve` and the desk first. On PostgreSQL restore with pg_restore, then run `amends restore --mark`
    before the first sweep.

    \b
      amends restore .amends/backups/amends-20261102-020000.db
      pg_restore --clean --if-exists --dbname=... amends.dump && amends restore --mark
    """
    from amends.clock import SystemClock
    from cli.backing_up import mark_restored, restore_backup
    from cli.guard import Trouble
    from cli.installation import read_settings

    if (file is None) == (not mark):
        raise Trouble("give the backup's FILE, or --mark for a database that has been restored already", 2)
    settings, now = read_settings(), SystemClock().now()
    if file is None:
        mark_restored(settings, now, yes=yes)
    else:
        restore_backup(settings, file, now, yes=yes)
