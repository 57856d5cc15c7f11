"""Keeping the sandbox up, and saying how to point an installation at it."""

import json
import signal
import socket
import threading

import typer

from cli.guard import Trouble, warn
from sandbox.oauth import APP_ID, APP_SECRET, FIRST_REFRESH_TOKEN
from sandbox.process import running_sandbox

CONTACTS = ("lan", "minh", "thao", "shift_lead", "care_manager")
"""The contacts of the shipped journey."""


def keep_sandbox(port: int, seed: int) -> None:
    """Run it until Ctrl-C, SIGTERM or SIGHUP. Raises Trouble for a port in use."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise Trouble(f"port {port} cannot be used ({error.strerror}); choose another with --port") from None
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with running_sandbox(seed, port=port) as sandbox:
        warn("The sandbox runs until Ctrl-C. Put these lines into .env, or export them:")
        for line in settings_lines(sandbox.url):
            typer.echo(line)
        stopped.wait()


def settings_lines(url: str) -> list[str]:
    """The settings of an installation whose only vendor is the sandbox at `url`, as lines of a .env file.

    They are no secrets: the sandbox's credentials are printed by its own `--help`.
    """
    address = url.replace("http://", "json://")
    contacts = {name: f"{address}/notify/{name}" for name in CONTACTS}
    return [
        f"AMENDS_ZALO__APP_ID={APP_ID}",
        f"AMENDS_ZALO__SECRET_KEY={APP_SECRET}",
        f"AMENDS_ZALO__REFRESH_TOKEN={FIRST_REFRESH_TOKEN}",
        f"AMENDS_ZALO__OAUTH_URL={url}",
        f"AMENDS_ZALO__BUSINESS_URL={url}",
        f"AMENDS_CONTACTS='{json.dumps(contacts)}'",
    ]
