"""Which files of this machine a journey may have read: it names paths, and whoever edits it is no operator.

Below the allowed folders, wherever links and dots lead; never hidden files, which is where secrets live, nor the
files that Amends keeps for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amends.settings import Settings
from connectors.file_kinds import FileProblem

_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Matches:
    """The files of a pattern in a stable order, and why some of them, or all, are not read."""

    files: Sequence[Path]
    problems: Sequence[FileProblem]


class FileRoots:
    """The folders of `AMENDS_FILE_ROOTS`, else the working directory and `AMENDS_HOME`, as they are now."""

    def __init__(self, settings: Settings) -> None:
        folders = settings.file_roots if settings.file_roots is not None else [Path(), settings.home]
        self._roots = [folder.resolve() for folder in folders]
        self._own = _own_files(settings)

    def refusal(self, path: Path) -> FileProblem | None:
        """Why this file or folder may not be read; None when it may. Looks at names and links, opens nothing."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL
            return FileProblem(path, "its path cannot be followed", "write the path of a folder or file")
        if any(
            real == own or own in real.parents or real.name.startswith(f"{own.name}-") for own in self._own
        ):
            return FileProblem(path, "it is a file that Amends keeps for itself", "name another")
        below = [real.relative_to(root) for root in self._roots if real.is_relative_to(root)]
        if not below:
            fix = "move it below one of them, or add its folder to AMENDS_FILE_ROOTS"
            return FileProblem(path, "it is in none of the folders that journeys may read", fix)
        if all(any(part.startswith(".") for part in inner.parts) for inner in below):
            fix = "use another name, or add its folder to AMENDS_FILE_ROOTS"
            return FileProblem(path, "it is hidden: its name, or a folder's, begins with a dot", fix)
        return None

    def matching(self, pattern: str) -> Matches:
        """The files that `pattern` names, absolute or relative to the working directory.

        A pattern whose fixed part lies outside is refused whole, without a look into any folder.
        """
        path = Path(pattern)
        if (problem := self.refusal(fixed_part(pattern))) is not None:
            return Matches((), (problem,))
        try:
            found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
            files = sorted(file for file in found if file.is_file())
        except (OSError, ValueError, IndexError, NotImplementedError):  # "**x", an empty pattern
            return Matches((), (FileProblem(path, "it is no pattern of files", "write it as inbox/*.csv"),))
        refused = {file: problem for file in files if (problem := self.refusal(file)) is not None}
        return Matches([file for file in files if file not in refused], list(refused.values()))


def fixed_part(pattern: str) -> Path:
    """The folders of a pattern before its first wildcard; the file itself when it has none."""
    parts = Path(pattern).parts
    wild = next((at for at, part in enumerate(parts) if any(sign in part for sign in _WILD)), len(parts))
    return Path(*parts[:wild])


def _own_files(settings: Settings) -> list[Path]:
    """Our keys, databases and run history; those beside a database (-wal, -shm) are named after it."""
    home, database = settings.home, settings.database()
    files = [home / "encryption.key", home / "prefect", settings.spool_file(), Path(".env")]
    if database.startswith("sqlite") and (file := database.partition(":///")[2].partition("?")[0]):
        files.append(Path(file))
    return [file.resolve() for file in files]
