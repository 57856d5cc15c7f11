"""One sweep over due cases beside the floor: the same calls to the same sandbox and the same rows, with no engine."""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from pydantic import SecretStr

CASES, ROUNDS, OPEN_CALLS = 1_000, 3, 32
NOW = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]


def _reviews(round_: int) -> list[dict[str, Any]]:
    return [
        {
            "external_id": f"r{round_}-{n}",
            "rating": 1,
            "text": "Giao hàng chậm",
            "occurred_at": "2026-11-02T01:00:00+00:00",
            "phone": f"8491{round_}{n:06d}",
        }
        for n in range(CASES)
    ]


async def _floor(
    url: str, requests: Sequence[dict[str, Any]], tables: dict[str, list[dict[str, Any]]]
) -> None:
    """Every call the sweep made, with bare httpx, and every row it wrote, with bare SQL in one transaction."""
    from amends.encryption import Cipher, new_key
    from amends.store.engine import Store
    from amends.store.schema import metadata

    token = {"secret_key": "sandbox-secret"}
    form = {"refresh_token": "sandbox-refresh-token", "app_id": "sandbox-app", "grant_type": "refresh_token"}
    limits = httpx.Limits(max_connections=OPEN_CALLS)
    async with httpx.AsyncClient(limits=limits) as client:
        answer = await client.post(f"{url}/v4/oa/access_token", data=form, headers=token)
        headers = {"access_token": answer.json()["access_token"]}
        gate = asyncio.Semaphore(OPEN_CALLS)

        async def call(entry: dict[str, Any]) -> None:
            async with gate:
                if entry["kind"] == "agent_notification":
                    body = {"title": entry["title"], "message": entry["message"], "type": "info"}
                    await client.post(f"{url}/notify/{entry['contact']}", json=body)
                    return
                body = {"phone": entry["phone"], "template_id": entry["template_id"]}
                body |= {"template_data": entry["params"], "tracking_id": entry["tracking_id"]}
                await client.post(f"{url}/message/template", json=body, headers=headers)

        await asyncio.gather(*(call(entry) for entry in requests))
    store = Store(f"sqlite:///{tempfile.mkdtemp()}/floor.db", Cipher([new_key()]))
    store.migrate()
    with store.begin() as tx:
        for table in metadata.sorted_tables:
            if (rows := tables.get(table.name)) and table.name != "keyring":
                tx.execute(table.insert(), rows)
    store.close()


def main() -> None:
    """Print cases per second of both, and the ratio of their times."""
    home = Path(tempfile.mkdtemp(prefix="amends-bench-"))
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from amends.clock import VirtualClock
    from amends.domain.journey import ComplaintJourney, load_journey
    from amends.logs import set_up_logs
    from amends.settings import Settings, ZaloSettings
    from amends.store.opening import open_store
    from amends.store.schema import metadata
    from deployments.server import prefect_server
    from flows.complaint import complaint
    from sandbox.process import running_sandbox
    from tasks.sweep import Runtime, use_runtime

    set_up_logs("error")
    data = load_journey(ROOT / "deployments/journeys/complaint.yaml").model_dump(mode="json")
    ours, floor = [], []
    with prefect_server(home / "prefect") as api, running_sandbox(7, NOW) as sandbox:
        zalo = ZaloSettings(
            app_id="sandbox-app",
            secret_key=SecretStr("sandbox-secret"),
            refresh_token=SecretStr("sandbox-refresh-token"),
            oauth_url=sandbox.url,
            business_url=sandbox.url,
            requests_per_second=100_000,
        )
        notify = sandbox.url.replace("http://", "json://") + "/notify"
        names = ("lan", "minh", "thao", "shift_lead", "care_manager")
        contacts = {name: SecretStr(f"{notify}/{name}") for name in names}
        for round_ in range(ROUNDS + 1):
            sandbox.reset()
            folder = home / str(round_)
            folder.mkdir()
            lines = (json.dumps(row, ensure_ascii=False) for row in _reviews(round_))
            (folder / "reviews.jsonl").write_text("\n".join(lines), encoding="utf-8")
            data["sources"] = [{"kind": "file", "name": "bench", "path": str(folder / "*.jsonl")}]
            settings = Settings(home=folder, zalo=zalo, contacts=contacts, open_calls=OPEN_CALLS)
            store = open_store(settings)
            store.migrate()
            use_runtime(Runtime(settings, store, VirtualClock(NOW)))
            with temporary_settings({PREFECT_API_URL: api}):
                started = time.perf_counter()
                asyncio.run(complaint(ComplaintJourney.model_validate(data)))
                engine_s = time.perf_counter() - started
            book = sandbox.book()
            with store.read() as tx:
                tables = {
                    table.name: [dict(row._mapping) for row in tx.execute(sa.select(table))]
                    for table in metadata.sorted_tables
                }
            store.close()
            sandbox.reset()
            started = time.perf_counter()
            asyncio.run(_floor(sandbox.url, book, tables))
            floor_s = time.perf_counter() - started
            if round_:  # the first one warms up
                ours.append(engine_s)
                floor.append(floor_s)
    engine_s, floor_s = statistics.median(ours), statistics.median(floor)
    print(f"one sweep, {CASES} new cases: rating -> apology -> ticket -> agent told, SQLite, n={ROUNDS}")
    print(f"Amends  median {engine_s:.2f} s, {CASES / engine_s:,.0f} cases/s")
    print(f"floor   median {floor_s:.2f} s, {CASES / floor_s:,.0f} cases/s")
    print(f"ratio Amends / floor: {statistics.median(a / b for a, b in zip(ours, floor, strict=True)):.2f}")


if __name__ == "__main__":
    main()
