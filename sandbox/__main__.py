"""`python -m sandbox`: serve the sandbox on 127.0.0.1 until interrupted."""

import argparse
import json
import os
import socket
import sys
import threading
from datetime import datetime

import uvicorn

from sandbox import magic, oauth
from sandbox.app import create_app
from sandbox.clock import in_utc
from sandbox.state import Start
from sandbox.templates import TEMPLATES
from sandbox.wire import SandboxProtocol


def main() -> None:
    """Serve; prints one JSON line {"url": ...} on standard output once connections are accepted."""
    args = _parser().parse_args()
    start = Start(args.seed, args.now, args.night_rule, args.daily_quota)
    listener = socket.create_server(("127.0.0.1", args.port), backlog=2048)
    # Connections inherit this: headers and body are two writes, and Nagle would hold the second 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        create_app(start),
        http=SandboxProtocol,
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    if args.until_stdin_closes:
        threading.Thread(target=_exit_when_stdin_closes, daemon=True).start()
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)


def _exit_when_stdin_closes() -> None:
    # Reading ends when the last holder of the pipe's other end is gone, even by kill -9.
    sys.stdin.buffer.read()
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Zalo's OAuth and ZNS (template messages, service ratings) as a local server with simulated\n"
            "customers, and a sink for agent notifications. Nothing leaves this machine; all is in memory.\n"
            'Prints one line {"url": "http://127.0.0.1:PORT"} when it is ready.'
        ),
        epilog=_epilog(),
    )
    parser.add_argument("--port", type=int, default=0, help="0 (default) takes any free port")
    parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same people (default 7)")
    parser.add_argument(
        "--now",
        type=_moment,
        metavar="ISO",
        help="stop the clock at this time, e.g. 2026-11-23T09:00:00+07:00; else it follows the machine's",
    )
    parser.add_argument(
        "--night-rule",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="refuse messages from 22:00 to 06:00 in Vietnam with -133",
    )
    parser.add_argument("--daily-quota", type=int, default=1_000_000, help="messages per day (-144 beyond)")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends (the starter died)"
    )
    return parser


def _epilog() -> str:
    templates = "\n".join(
        f"  {t.id}  {t.kind:8}{t.option:16}{', '.join(p.name for p in t.params)}"
        + ("" if t.status == "ENABLE" else f"  [{t.status}]")
        for t in TEMPLATES.values()
    )
    return f"""credentials:
  app id {oauth.APP_ID}, secret {oauth.APP_SECRET}, first refresh token {oauth.FIRST_REFRESH_TOKEN}

templates:
{templates}

phone numbers with a fixed fate:
{magic.describe()}

routes:
  POST /v4/oa/access_token   POST /message/template   GET /message/status   GET /message/quota
  GET /template/info[/v2]    GET or POST /rating/get  POST /notify/CONTACT (Apprise: json://HOST:PORT/notify/CONTACT)

controls:
  GET /sandbox/book?kind=zns|zns_refused|agent_notification   what was really received
  GET, POST /sandbox/clock {{"now": "2026-11-24T09:00:00+07:00"}}   move the clock; null lets it run
  POST /sandbox/switches {{"night_rule": false, "daily_quota": 3, "refuse_sends_with": -137,
                          "template_status": {{"310001": "DISABLE"}}}}
  POST /sandbox/reset        GET /sandbox/health

example:
  python -m sandbox --port 8099 --now 2026-11-23T09:00:00+07:00
  curl -s -H 'secret_key: {oauth.APP_SECRET}' http://127.0.0.1:8099/v4/oa/access_token \\
    -d 'app_id={oauth.APP_ID}&grant_type=refresh_token&refresh_token={oauth.FIRST_REFRESH_TOKEN}'
"""


def _moment(text: str) -> datetime:
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
