"""Keeping the desk up: webhooks in, and journeys responding to them, until somebody stops it."""

import asyncio
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import typer
from prefect.settings import PREFECT_API_URL, temporary_settings

from amends.clock import SystemClock
from amends.domain.journey import ComplaintJourney
from amends.settings import Settings
from amends.store.engine import Store
from amends.store.opening import open_spool
from cli.guard import Trouble, warn
from deployments.api import api_settings
from deployments.parent import end_with_parent
from deployments.serving import answers, running_server
from desk.app import create_app
from desk.counts import Counts
from desk.reaction import Reaction, Respond
from desk.serving import listen, serve_desk
from desk.standard_webhooks import read_secrets
from desk.writer import SpoolWriter
from flows.rating_arrived import rating_arrived
from tasks.sweep import Runtime, use_runtime
from tasks.webhooks import Doors, doors_of


def keep_desk(
    journeys: Sequence[ComplaintJourney],
    settings: Settings,
    store: Store,
    *,
    host: str,
    port: int,
    until_stdin_closes: bool,
) -> None:
    """Run it until Ctrl-C, SIGTERM or SIGHUP. Raises Trouble for what would not work."""
    doors = usable_doors(journeys, settings)
    if problems := unlocked(doors, settings):
        warn("; ".join(problems))
    try:
        listener = listen(host, port)
    except OSError as error:
        raise Trouble(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
        ) from None
    if until_stdin_closes:
        end_with_parent()
    runtime = Runtime(settings, store, SystemClock())
    use_runtime(runtime)
    with listener, temporary_settings(_prefect(settings)):
        respond = respond_apart if PREFECT_API_URL.value() else None
        if respond is None:
            warn(
                "no Prefect server (PREFECT_API_URL, or a running `amends serve`): webhooks wait for the next sweep"
            )
        asyncio.run(run_desk(runtime, doors, journeys, respond, listener))


def usable_doors(journeys: Sequence[ComplaintJourney], settings: Settings) -> Doors:
    """The doors of these journeys. Raises Trouble for what no desk can start with."""
    try:
        for name, secret in settings.webhook_secrets.items():
            read_secrets(name, secret)
        return doors_of(journeys, settings)
    except ValueError as error:
        raise Trouble(str(error), 2) from None


_OTHER_THREADS = 8
LINGER_SECONDS = 2.0
"""How long a run waits for more: a burst of webhooks is one run, not four a second."""


async def respond_apart(journey: ComplaintJourney) -> None:
    """The journey's flow in a thread with a loop of its own: its database calls block, and no 200 may wait for them."""
    await asyncio.to_thread(lambda: asyncio.run(rating_arrived(journey, LINGER_SECONDS)))


def unlocked(doors: Doors, settings: Settings) -> list[str]:
    """What keeps each door shut, in words; a desk without any open door takes nothing in."""
    found = [
        f"Zalo account {name}: set its webhook_secret, the OA secret key of the console's webhook page"
        for name, zalo in settings.all_zalo_accounts().items()
        if not zalo.webhook_secret.get_secret_value()
    ]
    found += [
        f"webhook source {name}: add its secret to AMENDS_WEBHOOK_SECRETS"
        for name in doors.posted
        if name not in settings.webhook_secrets
    ]
    if not doors.accounts and not doors.posted:
        found.append("neither a Zalo account nor a webhook source is set up: nothing can come in")
    return found


def _prefect(settings: Settings) -> dict[Any, Any]:
    """The server to record runs at, if one answers."""
    home = settings.home / "prefect"
    if url := PREFECT_API_URL.value():
        if not answers(url):
            warn("nothing answers at PREFECT_API_URL yet; what comes in meanwhile is kept")
    else:
        url = running_server(home)
    return api_settings(url, home) if url else {}


async def run_desk(
    runtime: Runtime,
    doors: Doors,
    journeys: Sequence[ComplaintJourney],
    respond: Respond | None,
    listener: socket.socket,
) -> None:
    """Serve until a signal comes. `respond` is called for each journey with news, one run at a time for each."""
    # A run keeps its thread for as long as a burst lasts; the spool and the counts need threads beside them.
    threads = ThreadPoolExecutor(len(journeys) + _OTHER_THREADS, thread_name_prefix="desk")
    asyncio.get_running_loop().set_default_executor(threads)
    spool, counts = open_spool(runtime.settings), Counts()
    reaction = Reaction(runtime, spool, doors, journeys, respond, counts)
    writer = SpoolWriter(spool)
    # A secret whose source no journey here has would open a door that leads nowhere.
    known = {n: secret for n, secret in runtime.settings.webhook_secrets.items() if n in doors.posted}
    app = create_app(
        runtime.settings.model_copy(update={"webhook_secrets": known}),
        runtime.clock,
        writer,
        counts,
        on_arrival=reaction.arrived,
        health=reaction.health,
    )
    host, port = listener.getsockname()[:2]
    typer.echo(
        f"Webhooks: http://{host}:{port}/webhooks/zalo" + "".join(f", /webhooks/in/{n}" for n in doors.posted)
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    work = [
        asyncio.create_task(reaction.run()),
        asyncio.create_task(serve_desk(app, host, port, sockets=[listener])),
        asyncio.create_task(stopped.wait()),
    ]
    done, others = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.wait(others)
    writer.close()
    await reaction.flush()
    await asyncio.to_thread(spool.close)
    for task in done:
        task.result()  # raises what ended the desk by itself
