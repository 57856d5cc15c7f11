"""`amends --help` teaches, and answers at once."""

import resource
import subprocess
import sys

from typer.testing import CliRunner

from cli.main import app
from tests.cli.conftest import run_amends

HEAVY = ("prefect", "sqlalchemy", "pydantic_settings", "pydantic", "httpx", "apprise")


def test_help_names_what_to_try_first_and_where_the_docs_are() -> None:
    text = run_amends("--help").stdout
    for wanted in ("amends demo", "amends check", "amends serve", "docs/", "ticket", "import"):
        assert wanted in text


def test_help_imports_nothing_heavy_and_answers_at_once() -> None:
    program = (
        "import sys\nfrom cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    durations = []
    for _ in range(3):
        before = _cpu_seconds_of_children()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        durations.append(_cpu_seconds_of_children() - before)
    assert done.stdout.splitlines()[-1] == "[]"
    # The aim is 0.4 s on an idle machine. On a busy one it is the processor's time that tells, the best of three.
    assert min(durations) < 0.8


def _cpu_seconds_of_children() -> float:
    """Of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
