"""A sweep in a process of its own: the real flow through Prefect's engine, stopped at a named point if need be."""

import asyncio
import logging
import multiprocessing
import threading
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from prefect.context import SettingsContext, get_settings_context
from prefect.settings import (
    PREFECT_HOME,
    PREFECT_LOGGING_LEVEL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.settings import Settings as PrefectSettings

from amends.clock import Clock
from amends.domain.journey import ComplaintJourney
from amends.encryption import cipher_of
from amends.logs import set_up_logs
from amends.settings import Settings
from amends.store.engine import Store
from deployments.api import api_settings
from flows.complaint import complaint
from tasks.sweep import Runtime, use_runtime
from tests.chaos.points import START, Stop, Trail, watch
from tests.chaos.sabotage import Sabotage, break_it

WARM = "tests.chaos.warm"

_COLLECTING = threading.Lock()
"""Starting a process collects all that have ended. What two threads collect at once, one of them finds gone: 255."""


@dataclass(frozen=True)
class Orders:
    """What a child needs to know; picklable. `clock` may be one that all processes share."""

    settings: Settings
    journey: ComplaintJourney
    clock: Clock
    prefect: PrefectSettings
    trail: Path
    stops: tuple[Stop, ...] = ()
    sabotage: Sabotage | None = None


def prefect_settings(api: str, home: Path) -> PrefectSettings:
    """Prefect's settings of a child, made once: building them takes longer than many a sweep."""
    changes = {
        **api_settings(api, home),
        PREFECT_HOME: home,
        PREFECT_LOGGING_LEVEL: "ERROR",
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    with temporary_settings(changes):
        return get_settings_context().settings


def start_sweep(orders: Orders) -> BaseProcess:
    """Start a child that sweeps; forked from a server that has imported everything once, so it starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([WARM])
    child = context.Process(target=sweep_in_child, args=(orders,))
    with _COLLECTING:
        child.start()
    return child


def exit_code(child: BaseProcess, seconds: float) -> int | None:
    """How a child has ended; None when it still runs after so many seconds. For worlds in threads, side by side."""
    connection.wait([child.sentinel], seconds)
    with _COLLECTING:
        return child.exitcode


def sweep_in_child(orders: Orders) -> None:
    """One sweep; exit code 0 when it lived to its end, -9 when it was killed on the way."""
    logging.disable(
        logging.CRITICAL
    )  # trouble is what the sweeps are here for; a failure is told by the exception
    set_up_logs("critical")
    store = Store(orders.settings.database(), cipher_of(orders.settings))
    trail = Trail(orders.trail, orders.stops)
    assert orders.settings.zalo is not None
    watch(store, orders.settings.zalo.business_url, trail)
    if orders.sabotage is not None:
        break_it(orders.sabotage)
    use_runtime(Runtime(orders.settings, store, orders.clock))
    with SettingsContext(profile=get_settings_context().profile, settings=orders.prefect):
        trail.passing(START)
        asyncio.run(complaint(orders.journey))
