"""Homes for Prefect's server whose database is there already: creating it takes longer than the rest of a start."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import prefect

DATABASE = "prefect.db"


class PrefectHomes:
    """Keeps a fresh database of this version of Prefect in `folder`, which outlives the run, and copies it."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / f"{prefect.__version__}.db"

    def furnish(self, home: Path) -> None:
        """Give this new home a database, if one is known; without it the server that starts there makes its own."""
        home.mkdir(parents=True, exist_ok=True)
        if self._template.exists():
            shutil.copy(self._template, home / DATABASE)

    def learn(self, home: Path) -> None:
        """Keep the database of the server that has just started in this home, unless one is known."""
        if self._template.exists():
            return
        # Beside it first: another worker must find a whole one or none. Named after no version: a start that is
        # killed here leaves nothing that could be taken for one.
        part = self._template.with_name(f"part{os.getpid()}")
        with closing(sqlite3.connect(home / DATABASE)) as live, closing(sqlite3.connect(part)) as copy:
            live.backup(copy)
        part.replace(self._template)
