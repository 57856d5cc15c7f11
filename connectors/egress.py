"""The gate for HTTP: a connector reaches the hosts of its own settings, and of those what the operator allows.

A journey names no address, so it can bring none in. The gate holds that also for what nobody has thought of: a
path that turns into a host, an address that a vendor has sent us.
"""

from collections.abc import Iterable

import httpx

from amends.hosts import EVERY_HOST, AllowedHosts

_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]
"""Scheme, host as it goes onto the wire, and port."""


class HostRefused(Exception):
    """A request to where no request may go; it has not left. The message names the host alone, never a path."""


class Gate:
    """Lets requests through to the origins (scheme, host, port) of `urls`, as far as the operator's list has them."""

    def __init__(self, urls: Iterable[str], allowed: AllowedHosts = EVERY_HOST) -> None:
        self._origins = {origin for url in urls if (origin := origin_of(url)) is not None}
        self._allowed = allowed

    def __call__(self, request: httpx.Request) -> None:
        """Looks at the very URL that is connected to. Raises HostRefused, or `httpx.UnsupportedProtocol`."""
        url, origin = request.url, origin_of(request.url)
        if origin is None or origin[0] not in _PORTS:
            raise httpx.UnsupportedProtocol("not an HTTP address")
        if origin not in self._origins:
            raise HostRefused(f"{url.host} is not the host of these settings")
        if not self._allowed.has(origin[1], origin[2]):
            raise HostRefused(f"{url.host} is not in AMENDS_ALLOWED_HOSTS")


def origin_of(url: str | httpx.URL) -> Origin | None:
    """Where a request to this URL would connect; None when it names no host."""
    try:
        read = httpx.URL(url) if isinstance(url, str) else url
        host = read.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, TypeError):
        return None
    return (read.scheme, host, read.port or _PORTS.get(read.scheme, 0)) if host else None
