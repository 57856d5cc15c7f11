"""A sweep in a process of its own, which can be killed at any ledger transition."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.encryption import cipher_of
from amends.settings import Settings
from amends.store.engine import Store
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime


@dataclass(frozen=True)
class Orders:
    """What a child needs to know; picklable. `kill_at` counts ledger transitions from 1; 0 lets it live."""

    settings: Settings
    journey: ComplaintJourney
    database_url: str
    now: datetime
    prefect_api: str
    vendor_url: str
    kill_at: int = 0

    @staticmethod
    def of(runtime: Runtime, journey: ComplaintJourney, prefect_api: str, kill_at: int = 0) -> "Orders":
        zalo = runtime.settings.zalo
        return Orders(
            runtime.settings,
            journey,
            runtime.store.engine.url.render_as_string(hide_password=False),
            runtime.clock.now(),
            prefect_api,
            zalo.business_url if zalo else "",
            kill_at,
        )


def start_sweep(orders: Orders) -> multiprocessing.process.BaseProcess:
    """Start a child that sweeps; forked from a server that has imported everything once, so it starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    child = context.Process(target=sweep_in_child, args=(orders,))
    child.start()
    return child


def sweep_in_child(orders: Orders) -> None:
    """One sweep; exit code 0 when it lived to its end, -9 when it was killed on the way."""
    os.environ["PREFECT_HOME"] = str(Path(orders.settings.home) / "prefect-child")
    store = Store(orders.database_url, cipher_of(orders.settings))
    if orders.kill_at:
        _arm(store, orders)
    use_runtime(Runtime(orders.settings, store, VirtualClock(orders.now)))
    settings = {PREFECT_API_URL: orders.prefect_api, PREFECT_LOGGING_LEVEL: "ERROR"}
    with temporary_settings(settings):
        asyncio.run(complaint(orders.journey))


def _arm(store: Store, orders: Orders) -> None:
    """Count every ledger transition and die at the chosen one, without a chance to clean up.

    Transitions are: before and after each commit that wrote to the ledger, before each call to the vendor leaves,
    and after its answer has come.
    """
    passed = 0

    def transition() -> None:
        nonlocal passed
        passed += 1
        if passed == orders.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    _watch_commits(store, transition)
    _watch_calls(orders.vendor_url, transition)


def _watch_commits(store: Store, transition: Callable[[], None]) -> None:
    wrote: set[int] = set()

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT INTO effects", "UPDATE effects")):
            wrote.add(id(connection.connection.dbapi_connection))

    @sa.event.listens_for(store.engine, "commit")
    def before_commit(connection: Any) -> None:
        if id(connection.connection.dbapi_connection) in wrote:
            transition()

    @sa.event.listens_for(store.engine, "checkin")
    def after_commit(dbapi_connection: Any, _record: Any) -> None:
        if id(dbapi_connection) in wrote:
            wrote.discard(id(dbapi_connection))
            transition()


def _watch_calls(vendor_url: str, transition: Callable[[], None]) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def watched(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        ours = str(request.url).startswith(vendor_url) and request.url.path.startswith("/message")
        if ours:
            transition()
        response = await send(self, request)
        if ours:
            await response.aread()
            transition()
        return response

    httpx.AsyncHTTPTransport.handle_async_request = watched  # type: ignore[method-assign]
