"""The floor: the calls that Amends made, with bare httpx, and the rows it left, with bare SQL; no engine.

It decides nothing, reads nothing and remembers nothing, so nothing that does the work can take less. A client of
httpx for each open call: one for all looks through all its connections at every request (ADR 0015).
"""

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from amends.encryption import Cipher, new_key
from amends.store.engine import Store
from amends.store.schema import metadata
from benchmarks.engines.cases import APOLOGY, SURVEY, VOUCHER, Complaint, Day
from benchmarks.engines.meter import Meter
from benchmarks.engines.order import Order
from benchmarks.engines.vendor import APP, OPEN_CALLS, Vendor, customers_answer
from connectors.transport import LONGEST_IDLE_S

CHUNK = 500
"""Rows of one statement and one commit; Amends moves as many cases at once."""
RATINGS_A_PAGE = 100
_OF_THE_DATABASE = {"keyring"}
"""Tables whose rows no run leaves: a database has them from the start."""


class Floor:
    """Repeats what a run of Amends has left in `order.script`."""

    def __init__(self, order: Order, vendor: Vendor, clients: Sequence[httpx.AsyncClient]) -> None:
        assert order.script is not None  # noqa: S101 - the runner's own
        # A file that the run of Amends before this one has just written.
        before, final, self._entries = pickle.loads(Path(order.script).read_bytes())  # noqa: S301
        warm_up = {table: list(rows.values()) for table, rows in before.items()}
        measured = {
            table: [row for key, row in rows.items() if key not in before[table]]
            for table, rows in final.items()
        }
        self._rows = iter([warm_up, measured] if order.warm_up else [measured])
        self._vendor, self._clients, self._known = vendor, clients, 0
        self._store = Store(order.database, Cipher([new_key()]))
        self._store.migrate()
        self._token: dict[str, str] = {}
        self._refresh = APP["refresh_token"]

    async def play(self, batch: Sequence[Complaint], on: Day, meter: Meter) -> None:
        codes = {case.case_code for case in batch}
        mine = [entry for entry in self._entries if _case_of(entry) in codes]
        self._vendor.set_clock(on.begins)
        with meter.running():
            await self._log_in()
            await self._call_all(entry for entry in mine if entry.get("template_id", APOLOGY) == APOLOGY)
        self._vendor.set_clock(on.asked)
        with meter.running():
            await self._call_all(entry for entry in mine if entry.get("template_id") == SURVEY)
        self._vendor.set_clock(on.answered)
        self._known = customers_answer(self._vendor, self._known)
        with meter.running():
            await self._hear(on, len(batch))
            await self._call_all(entry for entry in mine if entry.get("template_id") == VOUCHER)
            self._write(next(self._rows))

    async def _log_in(self) -> None:
        form = {"refresh_token": self._refresh, "app_id": APP["app_id"], "grant_type": "refresh_token"}
        secret = {"secret_key": APP["secret_key"]}
        answer = (await self._post(self._clients[0], "/v4/oa/access_token", headers=secret, data=form)).json()
        self._token, self._refresh = {"access_token": answer["access_token"]}, answer["refresh_token"]

    async def _call_all(self, entries: Iterable[Mapping[str, Any]]) -> None:
        todo = iter(entries)

        async def caller(client: httpx.AsyncClient) -> None:
            for entry in todo:
                await self._call(client, entry)

        await asyncio.gather(*map(caller, self._clients))

    async def _call(self, client: httpx.AsyncClient, entry: Mapping[str, Any]) -> None:
        if entry["kind"] == "agent_notification":
            told = {"title": entry["title"], "message": entry["message"], "type": entry["type"]}
            await self._post(client, f"/notify/{entry['contact']}", json=told)
            return
        body = {name: entry[name] for name in ("phone", "template_id", "tracking_id")}
        body["template_data"] = entry["params"]
        await self._post(client, "/message/template", headers=self._token, json=body)

    async def _hear(self, on: Day, answers: int) -> None:
        since, until = (round(at.timestamp() * 1000) for at in (on.begins, on.answered))
        window: dict[str, str | int] = {"template_id": SURVEY, "from_time": since, "to_time": until}
        url = f"{self._vendor.url}/rating/get"
        for offset in range(0, answers, RATINGS_A_PAGE):
            page = {**window, "offset": offset, "limit": RATINGS_A_PAGE}
            (await self._clients[0].get(url, headers=self._token, params=page)).raise_for_status()

    async def _post(self, client: httpx.AsyncClient, path: str, **parts: Any) -> httpx.Response:
        answer = await client.post(f"{self._vendor.url}{path}", **parts)
        return answer.raise_for_status()

    def _write(self, tables: Mapping[str, list[tuple[Any, ...]]]) -> None:
        """Every row once, as it is in the end: a chunk is one statement, and one commit."""
        mark = "%s" if self._store.is_postgres else "?"
        for table in metadata.sorted_tables:
            rows = tables.get(table.name, [])
            if table.name in _OF_THE_DATABASE:
                continue
            columns = table.columns.keys()
            insert = (
                f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608 - names of our own schema
            )
            for start in range(0, len(rows), CHUNK):
                with self._store.engine.begin() as tx:
                    tx.exec_driver_sql(insert, rows[start : start + CHUNK])

    def close(self) -> None:
        self._store.close()


def _case_of(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "agent_notification":
        return str(entry["title"]).partition("]")[0].lstrip("[")
    return str(entry["params"]["case_code"])


@asynccontextmanager
async def opened(order: Order, vendor: Vendor) -> AsyncIterator[Floor]:
    # httpx's own 5 s are also the server's: a call would now and then leave on a connection that is just being closed.
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=LONGEST_IDLE_S)
    async with floor_with({"limits": limits, "timeout": 30}, order, vendor) as system:
        yield system


@asynccontextmanager
async def floor_with(options: Mapping[str, Any], order: Order, vendor: Vendor) -> AsyncIterator[Floor]:
    """The floor with a client of these options for each open call."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(**options)) for _ in range(OPEN_CALLS)]
        system = Floor(order, vendor, clients)
        yield system
        system.close()
