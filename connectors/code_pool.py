"""Voucher codes from a file of the shop system, one a line."""

from pathlib import Path

from connectors.file_kinds import FileProblem
from connectors.file_roots import FileRoots

LONGEST_CODE = 25
"""Characters a ZNS voucher template takes."""


def stamp_of(path: Path, roots: FileRoots) -> str:
    """Size and time of the file, which tell whether it has changed. Raises FileProblem when it may not be read."""
    if (problem := roots.refusal(path)) is not None:
        raise problem
    if not path.is_file():
        raise FileProblem(path, "no such file of voucher codes", "put the codes there, one a line")
    stat = path.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def read_codes(path: Path) -> list[str]:
    """Every code of the file, in its order, surrounding blanks off. Raises FileProblem when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise FileProblem(path, f"it cannot be read ({error.strerror})", "check its permissions") from None
    except UnicodeDecodeError:
        raise FileProblem(path, "it is no UTF-8 text", "save it as plain text, UTF-8") from None
    return [code for line in lines if (code := line.strip())]
