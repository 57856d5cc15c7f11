"""`python -m benchmarks`: every part, one after the other, each in its own process; one table each, one JSON file."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.part import Part, Size
from benchmarks.show import markdown, show

ROOT = Path(__file__).resolve().parents[1]
LATEST = ROOT / "benchmarks" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"
FROM, TO = (
    "<!-- measured, {size}: from here on, written by the command -->",
    "<!-- measured, {size}: to here -->",
)
PARTS = ("engines", "growth", "intake", "workers", "latency", "overhead")


def main() -> int:
    """Exit code 1 when a part failed: it lost or doubled something, or could not run. It has no figures then."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.QUICK, help="quick by default")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts, and keep nothing of it")
    arguments = parser.parse_args()
    parts: dict[str, Part] = {}
    failed: list[str] = []
    started, commit = time.monotonic(), _commit()
    known: dict[str, Any] = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    for name in arguments.only or PARTS:
        print(f"{name}:", file=sys.stderr)
        part = _run(name, arguments.size)
        if part is None:
            print(f"{name} failed", file=sys.stderr)
            failed.append(name)
        else:
            show(part)
            parts[name] = part
        if not arguments.only and arguments.size is not Size.SMOKE:
            # After each part, also one that failed: who breaks a long run off has what it has measured.
            told = {"failed": failed, "machine": _machine(), "commit": commit, "size": str(arguments.size)}
            _keep(parts, told | {"seconds": round(time.monotonic() - started)}, known)
    return 1 if failed else 0


def _run(name: str, size: Size) -> Part | None:
    with tempfile.TemporaryDirectory(prefix="amends-bench-", ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "part.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--size", size, "--out", str(out)]
        environment = os.environ | {"TMPDIR": folder, "PREFECT_HOME": f"{folder}/prefect"}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)  # noqa: S603 - our own module
        return Part.from_json(out.read_text("utf-8")) if done.returncode == 0 and out.exists() else None


def _keep(parts: dict[str, Part], run: dict[str, Any], known: dict[str, Any]) -> None:
    """Write `latest.json`, and the tables into the section of the page that is this size's.

    What this run has not measured, `latest.json` keeps from `known`, what it was before, and says under `earlier` from
    which run.
    """
    at, size = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", run["size"]
    figures: dict[str, Any] = {
        name: figure for part in parts.values() for name, figure in part.figures.items()
    }
    before = {name: known.get(name) for name in ("commit", "size", "at")}
    earlier = {
        name: known.get("earlier", {}).get(name, before)
        for name, figure in known.items()
        if isinstance(figure, float | int) and name not in {*figures, "seconds"}
    }
    told = {**figures, **{name: known[name] for name in earlier}, **run, "at": at, "earlier": earlier}
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
    head = (
        f"{run['machine']}; commit `{run['commit']}`; `{size}`, {run['seconds'] / 60:.0f} minutes, {at[:10]}."
    )
    if run["failed"]:
        head += f" These parts failed, and have no figures: {', '.join(run['failed'])}."
    first, last = (mark.format(size=size) for mark in (FROM, TO))
    above, _, rest = PAGE.read_text("utf-8").partition(first)
    below = rest.partition(last)[2]
    PAGE.write_text(f"{above}{first}\n\n{head}\n\n{markdown(parts)}\n\n{last}{below}", "utf-8")
    print(f"kept in {LATEST.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}", file=sys.stderr)


def _machine() -> str:
    """What the figures were measured on, without a name of it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
