"""Webhook to agent notified: the flow in the desk's own process beside a Prefect background task in a worker's.

An open loop posts signed ratings at a fixed rate; the time ends when the vendor's book has the agent's notification.
Everything is real: the desk as its own process, Prefect's server, SQLite, and HTTP to the sandbox.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).resolve().parents[1]
SECRET = base64.b64encode(b"benchmark-secret-of-32-bytes-len").decode()
WARM_UP = 20
ARMS = {"inline": "in-process flow", "task": "background task"}
SETTLE_S = 30.0


@contextmanager
def desk(home: Path, journey: Path, sandbox_url: str, api: str, mode: str) -> Iterator[str]:
    """A desk process; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    notify = sandbox_url.replace("http://", "json://") + "/notify"
    contacts = {name: f"{notify}/{name}" for name in ("lan", "minh", "thao", "shift_lead", "care_manager")}
    environment = {
        **os.environ,
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "AMENDS_HOME": str(home),
        "AMENDS_LOG": "error",
        "AMENDS_ZALO__APP_ID": "sandbox-app",
        "AMENDS_ZALO__SECRET_KEY": "sandbox-secret",
        "AMENDS_ZALO__REFRESH_TOKEN": "sandbox-refresh-token",
        "AMENDS_ZALO__REQUESTS_PER_SECOND": "100000",
        **{f"AMENDS_ZALO__{host}_URL": sandbox_url for host in ("OAUTH", "BUSINESS", "OPENAPI")},
        "AMENDS_CONTACTS": json.dumps(contacts),
        "AMENDS_WEBHOOK_SECRETS": json.dumps({"till": f"whsec_{SECRET}"}),
    }
    command = [sys.executable, "-m", "benchmarks.webhook_desk", str(journey), str(port), mode]
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE)  # noqa: S603 - our own module
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait(timeout=30)


async def _post(
    client: httpx.AsyncClient, url: str, number: int, sent: dict[int, float], answers: list[float]
) -> None:
    moment = datetime.now(UTC)
    body = json.dumps(
        {
            "id": f"w{number}",
            "rating": 1,
            "comment": f"Giao thiếu hàng, phiếu #{number}#",
            "phone": f"8491{number:07d}",
            "created_at": moment.isoformat(),
        },
        ensure_ascii=False,
    ).encode()
    stamp = str(int(moment.timestamp()))
    signed = hmac.digest(base64.b64decode(SECRET), f"m{number}.{stamp}.".encode() + body, hashlib.sha256)
    headers = {
        "webhook-id": f"m{number}",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    sent[number] = time.time()
    answer = await client.post(f"{url}/webhooks/in/till", content=body, headers=headers)
    answers.append(time.time() - sent[number])
    if answer.status_code != 200:
        raise RuntimeError(f"webhook {number} was answered {answer.status_code}: {answer.text}")


async def _load(url: str, numbers: Sequence[int], rate: float) -> tuple[dict[int, float], list[float]]:
    """Post one webhook every 1/rate seconds, whether or not the one before has been answered."""
    sent: dict[int, float] = {}
    answers: list[float] = []
    async with httpx.AsyncClient(timeout=10) as client, asyncio.TaskGroup() as tasks:
        start = time.monotonic()
        for place, number in enumerate(numbers):
            await asyncio.sleep(max(0.0, start + place / rate - time.monotonic()))
            tasks.create_task(_post(client, url, number, sent, answers))
    return sent, answers


def _notified(book: Sequence[dict[str, Any]]) -> dict[int, list[float]]:
    """Number of the webhook to the moments its agent was told."""
    told: dict[int, list[float]] = {}
    for entry in book:
        if "#" in entry["message"]:
            number = int(entry["message"].split("#")[1])
            told.setdefault(number, []).append(datetime.fromisoformat(entry["at"]).timestamp())
    return told


def measure(arm: str, rate: float, seconds: float, api: str) -> dict[str, float]:
    """One run of one arm; times in seconds. Raises RuntimeError when a webhook led to no notification, or to two."""
    from sandbox.process import running_sandbox

    home = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    data = yaml.safe_load((ROOT / "deployments/journeys/complaint.yaml").read_text(encoding="utf-8"))
    # No quiet hours: at night the apologies would all wait, and the figures would flatter.
    data |= {"sources": [{"kind": "webhook", "name": "till"}], "channels": ["zns"]}
    data |= {"quiet_hours": {"start": "00:00", "end": "00:00"}}
    journey = home / "journey.yaml"
    journey.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    count = int(rate * seconds)
    with running_sandbox(7) as sandbox, desk(home, journey, sandbox.url, api, arm) as url:
        sandbox.switch(night_rule=False)
        asyncio.run(_load(url, range(WARM_UP), 5))
        sent, answers = asyncio.run(_load(url, range(WARM_UP, WARM_UP + count), rate))
        deadline = time.monotonic() + SETTLE_S
        while len(told := _notified(sandbox.book(kind="agent_notification"))) < WARM_UP + count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{WARM_UP + count - len(told)} webhooks led to no notification")
            time.sleep(0.2)
    if twice := [number for number, moments in told.items() if len(moments) > 1]:
        raise RuntimeError(f"{len(twice)} agents' notifications came twice")
    waits = sorted(told[number][0] - moment for number, moment in sent.items())
    cuts = statistics.quantiles(waits, n=1000)
    replies = statistics.quantiles(sorted(answers), n=100)
    return {
        "p50": cuts[499], "p99": cuts[989], "max": waits[-1], "answer_p50": replies[49], "answer_p99": replies[98],
    }  # fmt: skip


def main() -> None:
    """Print p50 and p99 of both ways and their ratio; with --json one line more."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=50, help="webhooks per second (default 50)")
    parser.add_argument("--seconds", type=float, default=20, help="length of one run (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way, alternating (default 3)")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    from deployments.server import prefect_server

    results: dict[str, list[dict[str, float]]] = {arm: [] for arm in args.arms}
    with prefect_server(home / "server") as api:
        for round_ in range(args.rounds):
            for arm in args.arms:
                results[arm].append(measure(arm, args.rate, args.seconds, api))
                found = results[arm][-1]
                print(
                    f"round {round_ + 1}, {ARMS[arm]}: p50 {found['p50']:.2f} s, p99 {found['p99']:.2f} s",
                    file=sys.stderr,
                )
    print(
        f"webhook -> agent notified, {args.rate:g}/s for {args.seconds:g} s, SQLite, n={args.rounds} (medians)"
    )
    medians = {
        arm: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for arm, runs in results.items()
    }
    for arm, found in medians.items():
        print(
            f"{ARMS[arm]:16} p50 {found['p50']:.2f} s  p99 {found['p99']:.2f} s  max {found['max']:.2f} s   "
            f"200 after p50 {found['answer_p50'] * 1000:.0f} ms, p99 {found['answer_p99'] * 1000:.0f} ms"
        )
    if len(medians) == 2:
        print(f"ratio task / flow: p50 {medians['task']['p50'] / medians['inline']['p50']:.1f}, "
              f"p99 {medians['task']['p99'] / medians['inline']['p99']:.1f}")  # fmt: skip
    if args.json:
        print(json.dumps({"rate": args.rate, "rounds": args.rounds, **medians}))


if __name__ == "__main__":
    main()
