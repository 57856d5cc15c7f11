"""The gate for Apprise: its plugins call `requests`, each on its own and to hosts that only they know.

So the look at every request is taken where all of them pass, in the adapter of `requests`; it concerns the thread
that is inside `only_to` and nobody else. There, too, a plugin's next request finds the connection of its last one, and
the proxies that were found for it: most plugins make a session for every request, which would begin with a handshake,
and read the whole environment twice.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from amends.hosts import AllowedHosts
from connectors.egress import HostRefused

_thread = threading.local()
_installing = threading.Lock()

LONGEST_IDLE_S = 2.5
"""Connections idle for longer are not used again: the usual server closes them after five seconds and more."""


class KeptConnections:
    """What one caller's requests leave open for its next ones, and nothing else of a session: no cookies, no headers.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._adapter: Any = None
        self._used_at = 0.0
        self._proxies: dict[str, dict[str, str]] = {}

    def adapter(self) -> Any:
        """The adapter of `requests` that has them."""
        from requests.adapters import HTTPAdapter

        now = time.monotonic()
        if self._adapter is None or now - self._used_at > LONGEST_IDLE_S:
            self.close()
            self._adapter = HTTPAdapter()
        self._used_at = now
        return self._adapter

    def proxies(self, url: str, look_up: Callable[[], dict[str, str]]) -> dict[str, str]:
        """The environment's proxies for that host, looked up once."""
        host = urlsplit(url).netloc
        if host not in self._proxies:
            self._proxies[host] = look_up()
        return dict(self._proxies[host])

    def close(self) -> None:
        if self._adapter is not None:
            self._adapter.close()
            self._adapter = None


@contextmanager
def only_to(allowed: AllowedHosts, kept: KeptConnections | None = None) -> Iterator[None]:
    """Requests of this thread go to allowed hosts, through `kept`, and follow no redirect. A refused one has not left.

    Raises HostRefused, at the end of the block, as plugins swallow what is raised inside.
    """
    _install()
    _thread.scope = scope = _Scope(allowed, kept)
    try:
        yield
    finally:
        _thread.scope = None
    if scope.problem:
        raise HostRefused(scope.problem)


class _Scope:
    def __init__(self, allowed: AllowedHosts, kept: KeptConnections | None) -> None:
        self.allowed = allowed
        self.kept = kept
        self.problem = ""


def _install() -> None:
    from requests import sessions
    from requests.adapters import HTTPAdapter

    with _installing:
        original = HTTPAdapter.send
        if getattr(original, "of_amends", False):
            return

        @functools.wraps(original)
        def send(self: Any, request: Any, *args: Any, **more: Any) -> Any:
            scope: _Scope | None = getattr(_thread, "scope", None)
            if scope is None:
                return original(self, request, *args, **more)
            # A plugin's own kind of adapter knows something about its host, and is left to its work.
            through = scope.kept.adapter() if scope.kept is not None and type(self) is HTTPAdapter else self
            return _send(scope, functools.partial(original, through, request, *args, **more), request.url)

        send.of_amends = True  # type: ignore[attr-defined]
        HTTPAdapter.send = send  # type: ignore[method-assign]
        # It is not in the documents of requests; without it, each request looks for itself.
        of_environment = getattr(sessions, "get_environ_proxies", None)
        if of_environment is None:
            return

        @functools.wraps(of_environment)
        def proxies(url: Any, no_proxy: Any = None) -> Any:
            scope: _Scope | None = getattr(_thread, "scope", None)
            look_up = functools.partial(of_environment, url, no_proxy=no_proxy)
            kept = scope.kept if scope is not None and no_proxy is None else None
            return look_up() if kept is None else kept.proxies(str(url), look_up)

        sessions.get_environ_proxies = proxies  # type: ignore[attr-defined]


def _send(scope: _Scope, send: Any, url: str) -> Any:
    from requests.exceptions import ConnectionError as NotMade

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if not scope.allowed.has(host, port):
        scope.problem = f"{host} is not in AMENDS_ALLOWED_HOSTS"
        raise NotMade(scope.problem)
    answer = send()
    if answer.is_redirect:
        # Followed, it would carry the notification, and the secrets in its headers, to a host of its choice.
        del answer.headers["location"]
        scope.problem = f"{host} redirects elsewhere, and a notification is never carried along"
    return answer
