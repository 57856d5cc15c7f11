"""`amends --help` teaches, and answers at once."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.cli.conftest import run_amends

HEAVY = ("prefect", "sqlalchemy", "pydantic_settings", "pydantic", "httpx", "aiohttp", "apprise")


def test_help_names_what_to_try_first_and_where_the_docs_are() -> None:
    text = run_amends("--help").stdout
    for wanted in ("amends demo", "amends check", "amends serve", "docs/", "ticket", "import"):
        assert wanted in text


def imported_for(*words: str) -> set[str]:
    """Which of the heavy packages a fresh process has imported once it has printed this help."""
    program = (
        "import sys\nfrom cli.main import app\n"
        f"try:\n    app({[*words, '--help']!r})\nexcept SystemExit:\n    pass\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    """How long it takes is `help_s` of `python -m benchmarks.overhead`; imports are what it hangs on."""
    assert imported_for() == set()


@pytest.mark.parametrize("command", ["status", "import", "serve", "desk", "run"])
def test_the_help_of_a_command_imports_nothing_heavy_of_ours(command: str) -> None:
    # Typer itself takes pydantic to read a command's parameters.
    assert imported_for(command) <= {"pydantic"}


def test_every_command_has_a_help_page() -> None:
    for words in (
        *(("demo",), ("check",), ("run",), ("import",), ("serve",), ("sandbox",), ("status",), ("case",)),
        *(("ticket", "list"), ("ticket", "take"), ("ticket", "solve")),
        *(("doctor",), ("desk",), ("zalo", "login"), ("verify",)),
        *(("key",), ("key", "rotate"), ("key", "status")),
        *(("ledger", "settle"), ("quarantine", "requeue")),
        *(("forget",), ("export",), ("optout",)),
    ):
        done = CliRunner().invoke(app, [*words, "--help"], prog_name="amends")
        assert done.exit_code == 0
        assert f"Usage: amends {' '.join(words)}" in done.stdout


def test_version() -> None:
    assert run_amends("--version").stdout.startswith("amends 0.")
