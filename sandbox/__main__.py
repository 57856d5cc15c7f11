"""`python -m sandbox`: serve the sandbox on 127.0.0.1 until interrupted."""

import argparse
import json
import os
import socket
import threading
from datetime import datetime
from pathlib import Path

import uvicorn

from sandbox import magic, oauth
from sandbox.app import create_app
from sandbox.clock import in_utc
from sandbox.fault_script import Rule, ScriptProblem, read_file
from sandbox.post import Endpoint
from sandbox.state import Start
from sandbox.templates import TEMPLATES
from sandbox.wire import SandboxProtocol


def main() -> None:
    """Serve; prints one JSON line {"url": ...} on standard output once connections are accepted."""
    args = _parser().parse_args()
    start = Start(args.seed, args.now, args.night_rule, args.daily_quota, args.faults, _endpoint(args))
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
    while os.read(0, 4096):
        pass
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Zalo's OAuth, ZNS (template messages, service ratings), Official Account API and webhooks as a\n"
            "local server with simulated customers, and a sink for agent notifications. Nothing leaves this\n"
            "machine but webhooks to the URL you name; all is in memory.\n"
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
        "--faults",
        type=_faults,
        default=(),
        metavar="FILE",
        help="a script of faults, YAML or JSON (docs/faults.md)",
    )
    parser.add_argument(
        "--webhooks", type=_address, metavar="URL", help="POST signed webhooks there; else there are none"
    )
    parser.add_argument(
        "--webhook-secret", default=oauth.OA_SECRET, help=f"what signs them (default {oauth.OA_SECRET})"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends (the starter died)"
    )
    return parser


def _epilog() -> str:
    templates = "\n".join(
        f"  {t.id}  {t.kind:8}{t.option:16}{', '.join(p.name for p in t.params)}"
        + ("" if t.status == "ENABLE" else f"  [{t.status}]")
        + ("" if t.by_uid else "  [by phone only: -249]")
        for t in TEMPLATES.values()
    )
    return f"""credentials:
  app id {oauth.APP_ID}, secret {oauth.APP_SECRET}, first refresh token {oauth.FIRST_REFRESH_TOKEN}
  account {oauth.OA_ID}, webhooks signed with {oauth.OA_SECRET}

templates:
{templates}

phone numbers with a fixed fate:
{magic.describe()}

routes:
  GET /v4/oa/permission      POST /v4/oa/access_token         POST /message/template[/hashphone]
  GET /message/status        GET /message/quota               GET /message/template-tag   GET /quality
  GET or POST /rating/get    POST /response/get               POST /upload/image
  GET /template/all, /template/info[/v2], /template/sample-data      POST /template/create, /template/edit
  POST /v3.0/oa/message/cs   POST /v3.0/oa/message/template   POST /v3.0/oa/quota/message
  GET /v3.0/oa/user/detail   GET /v2.0/oa/getoa
  POST /notify/CONTACT (Apprise: json://HOST:PORT/notify/CONTACT)

controls:
  GET /sandbox/book?kind=zns|zns_refused|chat|chat_refused|agent_notification|webhook|webhook_lost
  GET, POST /sandbox/clock {{"now": "2026-11-24T09:00:00+07:00"}}   move the clock; null lets it run
  GET, POST /sandbox/switches {{"night_rule": false, "daily_quota": 3, "refuse_sends_with": -137,
                               "template_status": {{"310001": "DISABLE"}}}}   and more: docs/sandbox.md
  GET, POST /sandbox/webhooks {{"url": "http://127.0.0.1:4280/webhooks/zalo"}}   null ends them
  POST /sandbox/events ANY EVENT   POST /sandbox/rate {{"msg_id": "...", "rate": 1, "note": ""}}
  POST /sandbox/people {{"phone": "84..."}}   POST /sandbox/people/say {{"uid": "...", "text": "..."}}
  POST /sandbox/people/follow, /unfollow, /submit_info {{"uid": "...", "phone": "84...", "name": "..."}}
  GET, POST /sandbox/faults [{{"on": "send", "fault": "http_503", "times": 3}}]   [] ends them
  POST /sandbox/reset        GET /sandbox/health

example:
  python -m sandbox --port 8099 --now 2026-11-23T09:00:00+07:00
  curl -s -H 'secret_key: {oauth.APP_SECRET}' http://127.0.0.1:8099/v4/oa/access_token \\
    -d 'app_id={oauth.APP_ID}&grant_type=refresh_token&refresh_token={oauth.FIRST_REFRESH_TOKEN}'
"""


def _endpoint(args: argparse.Namespace) -> Endpoint | None:
    return Endpoint(args.webhooks, args.webhook_secret) if args.webhooks else None


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http:// or https://")
    return text


def _faults(text: str) -> tuple[Rule, ...]:
    try:
        return read_file(Path(text))
    except ScriptProblem as problem:
        raise argparse.ArgumentTypeError(f"{text}: {problem}") from None


def _moment(text: str) -> datetime:
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
