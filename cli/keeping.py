"""Keeping Prefect's server and the served journeys up until somebody stops them."""

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import time, timedelta
from pathlib import Path
from types import FrameType

import typer
from prefect.settings import PREFECT_API_URL, temporary_settings

from amends.domain.journey import ComplaintJourney, version_of
from amends.settings import Settings
from cli.guard import Trouble, warn
from cli.keeping_desk import usable_doors
from deployments.api import api_settings
from deployments.desk_process import running_desk
from deployments.server import prefect_server
from deployments.serving import (
    announced,
    answers,
    deployments_of,
    running_server,
    serve_until_stopped,
    verify_deployment,
)


def serve_journeys(
    journeys: Sequence[ComplaintJourney],
    settings: Settings,
    *,
    files: Sequence[Path],
    every: int,
    daily_at: time,
    port: int,
    host: str,
    server: bool,
    desk_port: int,
    verify_every: int,
) -> None:
    """Serve until stopped. `every` and `verify_every` are minutes (0: never), `daily_at` is in each brand's zone.

    Raises Trouble, ServerProblem.
    """
    names = [journey.name for journey in journeys]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Trouble(f"two files hold a journey named {min(twice)}; give each its own name", 2)
    if desk_port:
        usable_doors(journeys, settings)  # told now: a desk that cannot start would be started again for ever
    # Until the runner takes over: end in good order, with the server stopped, on a kill or a closed terminal too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        with (
            _api(settings, port, host, server) as url,
            temporary_settings(api_settings(url, settings.home / "prefect")),
        ):
            deployments = [d for j in journeys for d in deployments_of(j, timedelta(minutes=every), daily_at)]
            if verify_every:
                deployments.append(verify_deployment(timedelta(minutes=verify_every)))
            _tell(journeys, url, every, daily_at, verify_every)
            with _desk(settings, files, host, desk_port, url):
                asyncio.run(serve_until_stopped(deployments))
    except KeyboardInterrupt:
        pass
    warn("stopped; `amends serve` resumes the schedules")


@contextmanager
def _desk(settings: Settings, files: Sequence[Path], host: str, port: int, url: str) -> Iterator[None]:
    """The desk, when anything can come in by it."""
    secrets = [zalo.webhook_secret.get_secret_value() for zalo in settings.all_zalo_accounts().values()]
    if port == 0 or not (any(secrets) or settings.webhook_secrets):
        if port:
            typer.echo(
                "Webhooks are off: set AMENDS_ZALO__WEBHOOK_SECRET or AMENDS_WEBHOOK_SECRETS to take them."
            )
        yield
        return
    _check_free(host, port)
    with running_desk(files, host=host, port=port, api_url=url, tell=warn):
        yield


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _api(settings: Settings, port: int, host: str, server: bool) -> Iterator[str]:
    """The API to serve at: the one that PREFECT_API_URL names, else a server of our own."""
    if url := PREFECT_API_URL.value():
        if not answers(url):
            raise Trouble("nothing answers at PREFECT_API_URL; start that server, or unset the variable")
        yield url
        return
    if not server:
        raise Trouble("--no-server needs PREFECT_API_URL, e.g. http://127.0.0.1:4200/api", 2)
    home = settings.home / "prefect"
    if other := running_server(home):
        raise Trouble(f"`amends serve` is running here already, at {_pages(other)}; stop it first")
    _check_free(host, port)
    if not ipaddress.ip_address(host).is_loopback:
        warn("anybody who reaches this address can run and change journeys: put it behind a login")
    warn("starting Prefect's server (the first start takes about 15 s) ...")
    with prefect_server(home, port=port, host=host) as url, announced(home, url):
        yield url


def _check_free(host: str, port: int) -> None:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise Trouble(f"--host: {host!r} is no IP address; write 127.0.0.1 or 0.0.0.0", 2) from None
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise Trouble(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
        ) from None


def _tell(
    journeys: Sequence[ComplaintJourney], url: str, every: int, daily_at: time, verify_every: int
) -> None:
    typer.echo(f"Prefect's pages: {_pages(url)}")
    for journey in journeys:
        typer.echo(
            f"  {journey.name}, version {version_of(journey)}: every {every} min, and daily at "
            f"{daily_at:%H:%M} {journey.timezone}"
        )
    if verify_every:
        typer.echo(f"  verify, the audit of all: every {verify_every} min")
    typer.echo("Ctrl-C stops it.")


def _pages(api: str) -> str:
    return api.removesuffix("/api")
