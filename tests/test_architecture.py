"""The shape of the code, held by tests: which way imports point, one clock, and no host of any package registry."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLOWS = sorted((ROOT / "flows").glob("*.py"))
DOMAIN = sorted((ROOT / "amends" / "domain").rglob("*.py"))
REGISTRIES = [
    ".".join(words)
    for words in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "com"), ("npmjs", "org"))
]


def modules_imported(path: Path) -> Iterator[str]:
    """Every module a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def calls_made(source: str) -> Iterator[str]:
    """Every call in the source, as it is spelt: `datetime.now`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def files_in_git() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_arrows_point_one_way() -> None:
    """The contracts are in pyproject.toml; `lint-imports` says which import breaks which of them."""
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    checked = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", checked.stdout)


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_flows_speak_neither_sql_nor_http(path: Path) -> None:
    forbidden = {"sqlalchemy", "httpx", "requests", "sqlite3", "psycopg"}
    assert forbidden.isdisjoint(module.partition(".")[0] for module in modules_imported(path))


CLOCKS = re.compile(r"(datetime|date)\.(now|utcnow|today)|time\.(time|monotonic|perf_counter)|time_ns|sleep")


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(ROOT / "amends" / "domain")))
def test_the_domain_is_told_the_time(path: Path) -> None:
    assert [call for call in calls_made(path.read_text(encoding="utf-8")) if CLOCKS.search(call)] == []


@pytest.mark.parametrize(
    "source", ["datetime.now(UTC)", "datetime.datetime.utcnow()", "time.time()", "date.today()"]
)
def test_a_look_at_the_machines_clock_would_be_noticed(source: str) -> None:
    assert any(CLOCKS.search(call) for call in calls_made(source))


def test_only_the_clock_module_looks_at_the_machines_clock() -> None:
    ours = [path for folder in ("amends", "tasks", "flows") for path in (ROOT / folder).rglob("*.py")]
    wall = re.compile(r"(datetime|date)\.(now|utcnow|today)$|^time\.time$")
    found = {
        path.name
        for path in ours
        if any(wall.search(c) for c in calls_made(path.read_text(encoding="utf-8")))
    }
    assert found == {"clock.py"}


def test_no_file_names_the_host_of_a_package_registry() -> None:
    """A build behind a mirror must not be pulled past it."""
    hosts = re.compile("|".join(re.escape(host) for host in REGISTRIES).encode(), re.IGNORECASE)
    assert [str(path.relative_to(ROOT)) for path in files_in_git() if hosts.search(path.read_bytes())] == []


def pins() -> dict[str, str]:
    """Each pinned requirement of the lock file, with its options."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", lock, flags=re.MULTILINE)).splitlines()
    return {line.split()[0]: line for line in lines if line.strip()}


def test_every_requirement_is_pinned_to_a_version() -> None:
    assert len(pins()) > 50
    assert [pin for pin in pins() if "==" not in pin] == []


def test_every_pin_has_its_hashes() -> None:
    assert [pin for pin, line in pins().items() if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", line)] == []


def test_the_lock_names_every_direct_dependency() -> None:
    wanted = re.findall(
        r'^  "([A-Za-z0-9_.-]+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    locked = {pin.partition("==")[0] for pin in pins()}
    assert len(wanted) > 20
    assert [name for name in wanted if name.lower().replace("_", "-") not in locked] == []
