"""A sandbox as a child process, for tests, benchmarks and demos."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox and its controls; the calls block. Each raises httpx.HTTPError when refused."""

    url: str

    def set_clock(self, now: datetime | None) -> None:
        """Stop the sandbox's clock at `now` (aware), or let it run with the machine's (None)."""
        self._post("clock", {"now": None if now is None else now.isoformat()})

    def book(self, **wanted: str) -> list[dict[str, Any]]:
        """The book's entries in order, filtered on fields, e.g. book(kind="zns", phone="84...")."""
        answer = _client().get(f"{self.url}/sandbox/book", params=wanted, timeout=60)
        entries: list[dict[str, Any]] = answer.raise_for_status().json()
        return entries

    def switch(self, **switches: object) -> None:
        """Turn night_rule, daily_quota, refuse_sends_with, template_status, ... (docs/sandbox.md lists them)."""
        self._post("switches", switches)

    def set_faults(self, rules: list[dict[str, Any]]) -> None:
        """Replace the script of faults, counting from zero; an empty list ends them (docs/faults.md)."""
        self._post("faults", rules)

    def faults(self) -> list[dict[str, Any]]:
        """The rules in order, each with how often it `matched` and how often it `struck`."""
        rules: list[dict[str, Any]] = (
            _client().get(f"{self.url}/sandbox/faults", timeout=10).raise_for_status().json()
        )
        return rules

    def webhooks(self, url: str | None, *, secret: str | None = None, tracking_id: bool = True) -> None:
        """Deliver signed webhooks to `url` from now on; None ends them. Without `secret`: `oauth.OA_SECRET`."""
        named = {} if secret is None else {"secret": secret}
        self._post("webhooks", {"url": url, "tracking_id": tracking_id, **named})

    def emit(self, event: Mapping[str, object]) -> int | None:
        """Sign and send any event now, once; the receiver's HTTP status, None when it gave none."""
        status: int | None = self._post("events", event)["status"]
        return status

    def introduce(self, phone: str) -> dict[str, str]:
        """Let the sandbox meet a person: their `phone`, `uid` and `hash_phone`."""
        person: dict[str, str] = self._post("people", {"phone": phone})
        return person

    def say(self, uid: str, text: str) -> str:
        """The person writes to the account; the id of their message. Opens the window for chat."""
        msg_id: str = self._post("people/say", {"uid": uid, "text": text})["msg_id"]
        return msg_id

    def follow(self, uid: str) -> None:
        """The person follows the account, which opens the window for chat, too."""
        self._post("people/follow", {"uid": uid})

    def unfollow(self, uid: str) -> None:
        self._post("people/unfollow", {"uid": uid})

    def submit_info(self, uid: str, phone: str, name: str) -> None:
        """The person shares name and phone with the account."""
        self._post("people/submit_info", {"uid": uid, "phone": phone, "name": name})

    def rate(self, msg_id: str, rate: int, note: str = "", feedbacks: Sequence[str] = ()) -> None:
        """The receiver of that rating message rates it now, 1 being the worst."""
        body = {"msg_id": msg_id, "rate": rate, "note": note, "feedbacks": list(feedbacks)}
        self._post("rate", body)

    def reset(self) -> None:
        """Forget everything since the start, tokens, clock and switches too."""
        self._post("reset", {})

    def _post(self, control: str, body: Mapping[str, object] | list[dict[str, Any]]) -> Any:
        # Generous: a control answers after every due webhook was attempted, each for up to 2 s.
        answer = _client().post(f"{self.url}/sandbox/{control}", json=body, timeout=120)
        return answer.raise_for_status().json()


@cache
def _client() -> httpx.Client:
    """One client for all controls: a demo moves the clock hundreds of times."""
    return httpx.Client()


@contextmanager
def running_sandbox(
    seed: int,
    now: datetime | None = None,
    port: int = 0,
    faults: Path | None = None,
    webhooks: str | None = None,
) -> Iterator[Sandbox]:
    """A sandbox that lives as long as the block, and not longer than this process even if that is killed.

    `faults` is a script of faults, `webhooks` the URL they go to. Raises RuntimeError when it does not start, for
    example on a port in use.
    """
    command = [sys.executable, "-m", "sandbox", "--seed", str(seed), "--port", str(port)]
    if now is not None:
        command += ["--now", now.isoformat()]
    if faults is not None:
        command += ["--faults", str(faults.resolve())]
    if webhooks is not None:
        command += ["--webhooks", webhooks]
    child = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [*command, "--until-stdin-closes"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line:
            raise RuntimeError(f"the sandbox did not start (exit code {child.wait()})")
        yield Sandbox(json.loads(line)["url"])
    finally:
        child.kill()
        child.communicate()
