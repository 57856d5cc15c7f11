"""What latency is measured on: an installation with its desk, its sweep, and ratings of a file. All real processes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import sqlalchemy as sa
import yaml
from pydantic import SecretStr

from amends.settings import Settings
from amends.store.engine import Store
from amends.store.opening import open_store
from amends.store.schema import feedbacks
from benchmarks.latency.load import SECRET
from benchmarks.part import FailedRun
from sandbox.process import Sandbox

ROOT = Path(__file__).resolve().parents[2]
START_S, STOP_S = 60.0, 60.0


@dataclass(frozen=True)
class Installation:
    """One installation on a machine: its home, its database, Prefect's API, and the vendor."""

    home: Path
    database: str
    api: str
    sandbox: Sandbox

    @property
    def journey(self) -> Path:
        return self.home / "journey.yaml"

    def environment(self) -> dict[str, str]:
        notify = self.sandbox.url.replace("http://", "json://") + "/notify"
        contacts = {
            name: f"{notify}/{name}" for name in ("lan", "minh", "thao", "shift_lead", "care_manager")
        }
        return {
            **os.environ,
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "AMENDS_HOME": str(self.home),
            "AMENDS_DATABASE_URL": self.database,
            "AMENDS_LOG": "error",
            "AMENDS_ZALO__APP_ID": "sandbox-app",
            "AMENDS_ZALO__SECRET_KEY": "sandbox-secret",
            "AMENDS_ZALO__REFRESH_TOKEN": "sandbox-refresh-token",
            "AMENDS_ZALO__REQUESTS_PER_SECOND": "100000",
            **{f"AMENDS_ZALO__{host}_URL": self.sandbox.url for host in ("OAUTH", "BUSINESS", "OPENAPI")},
            "AMENDS_CONTACTS": json.dumps(contacts),
            "AMENDS_WEBHOOK_SECRETS": json.dumps({"till": f"whsec_{SECRET}"}),
        }

    def prepare(self) -> None:
        """The shipped journey with a webhook and a folder as its sources."""
        data = yaml.safe_load((ROOT / "deployments/journeys/complaint.yaml").read_text("utf-8"))
        data["sources"] = [
            {"kind": "webhook", "name": "till"},
            {"kind": "file", "name": "export", "path": str(self.home / "inbox" / "*")},
        ]
        # No quiet hours: at night the apologies would all wait, and the figures would flatter.
        data |= {"channels": ["zns"], "quiet_hours": {"start": "00:00", "end": "00:00"}}
        data["acknowledge"]["zns"]["vi"]["template_id"] = (
            "310003"  # transactional: Zalo takes it at night, too
        )
        self.journey.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
        self.sandbox.switch(night_rule=False)

    def drop_file(self, count: int) -> None:
        """An export of so many bad ratings, for the next sweep; their marks are `f0`, `f1`, ..."""
        folder = self.home / "inbox"
        folder.mkdir()
        moment = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        rows = (
            {
                "external_id": f"f{number}",
                "rating": 1,
                "text": f"Giao hàng chậm, phiếu #f{number}#",
                "occurred_at": moment,
                "phone": f"8493{number:07d}",
            }
            for number in range(count)
        )
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "export.jsonl").write_text(lines, "utf-8")

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = open_store(Settings(home=self.home, database_url=SecretStr(self.database)))
        try:
            yield store
        finally:
            store.close()

    def has_feedback(self, store: Store, source: str) -> bool:
        with store.read() as tx:
            return bool(tx.scalar(sa.select(sa.exists().where(feedbacks.c.source == source))))

    def bytes_used(self) -> int:
        """By the database, indices and all."""
        with self.store() as store, store.read() as tx:
            query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
            if store.is_postgres:
                query = "SELECT pg_database_size(current_database())"
            return int(tx.execute(sa.text(query)).scalar_one())

    def book(self, kind: str) -> list[dict[str, Any]]:
        return self.sandbox.book(kind=kind)

    @contextmanager
    def desk(self, *, in_background: bool = False) -> Iterator[tuple[str, psutil.Process]]:
        """`amends desk`, or one that hands its flow to a Prefect background task (ADR 0009): its URL and process."""
        port = _free_port()
        command = [sys.executable, "-m", "cli.main", "desk", str(self.journey), "--port", str(port)]
        command.append("--until-stdin-closes")
        if in_background:
            command = [sys.executable, "-m", "benchmarks.latency.background", str(self.journey), str(port)]
        with self._running(command) as child:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(url, child)
            yield url, psutil.Process(child.pid)

    @contextmanager
    def sweep(self) -> Iterator[subprocess.Popen[bytes]]:
        """`amends run`: one sweep, in a process of its own."""
        with self._running([sys.executable, "-m", "cli.main", "run", str(self.journey)]) as child:
            yield child

    @contextmanager
    def _running(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        child = subprocess.Popen(  # noqa: S603 - our own modules
            command, cwd=ROOT, env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        try:
            yield child
        finally:
            child.terminate()
            child.communicate(timeout=STOP_S)


def _wait_until_up(url: str, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise FailedRun("the desk did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
