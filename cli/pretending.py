"""Keeping the sandbox up, and saying how to point an installation at it."""

import json
import signal
import socket
import threading
from pathlib import Path

import typer

from cli.guard import Trouble, warn
from sandbox.fault_script import ScriptProblem, read_file
from sandbox.oauth import APP_ID, APP_SECRET, FIRST_REFRESH_TOKEN, OA_ID, OA_SECRET
from sandbox.process import running_sandbox

CONTACTS = ("lan", "minh", "thao", "shift_lead", "care_manager")
"""The contacts of the shipped journey."""


def keep_sandbox(port: int, seed: int, faults: Path | None = None, webhooks: str | None = None) -> None:
    """Run it until Ctrl-C, SIGTERM or SIGHUP; its webhooks go to the URL `webhooks`, or nowhere.

    Raises Trouble for a port in use, a bad script of faults or an address that is none.
    """
    if webhooks is not None and not webhooks.startswith(("http://", "https://")):
        raise Trouble(f"--webhooks: {webhooks!r} does not begin with http:// or https://", 2)
    if faults is not None:
        try:
            read_file(faults)
        except ScriptProblem as problem:
            raise Trouble(f"{faults}: {problem}", 2) from None
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise Trouble(f"port {port} cannot be used ({error.strerror}); choose another with --port") from None
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with running_sandbox(seed, port=port, faults=faults, webhooks=webhooks) as sandbox:
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
        f"AMENDS_ZALO__OPENAPI_URL={url}",
        f"AMENDS_ZALO__OA_ID={OA_ID}",
        f"AMENDS_ZALO__WEBHOOK_SECRET={OA_SECRET}",
    ]
