"""One staff contact behind Apprise: its parsed plugins, and the pace its vendor bears."""

import asyncio
import ipaddress
import math
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from amends.hosts import EVERY_HOST, AllowedHosts
from connectors.egress import HostRefused
from connectors.requests_gate import KeptConnections, only_to

PACE_PARAMETER = "amends_pace"
"""Our own parameter of a contact's URL: seconds between two notifications, in place of the plugin's pace."""

LONGEST_QUEUE_S = 15.0
"""A notification that would wait longer for its turn goes back to the ledger instead."""

_AT_ONCE = 4


class AppriseContact:
    """Raises `ValueError`, which never quotes the URL, when Apprise does not understand it. Parsing blocks.

    Apprise's plugins wait between two requests (`request_rate_per_sec`, which despite its name is in seconds:
    0 for json:// and Discord, 1.2 for Slack, 5.5 for all that state none, SMTP among them). We keep that for
    the world outside, drop it for IP addresses of this machine or a private network, and let `amends_pace`
    decide in both cases. The waiting is done here and not by a sleeping thread.

    Plugins hold sessions and counters and are not made for threads: every parsed object serves one call at
    a time, and a contact without a pace gets up to four of them.
    """

    def __init__(self, url: str, allowed: AllowedHosts = EVERY_HOST) -> None:
        self._url, self._own_pace = _take_pace(url)
        self._allowed = allowed
        first = self._parse()
        self.pace_s: float = max(plugin.request_rate_per_sec for plugin in first)
        self.hosts = [_host_of(plugin) for plugin in first if _names_a_host(plugin)]
        """Host and port of the plugins whose URL names one; a fixed service such as Slack has a token in its place."""
        self.slots = asyncio.Semaphore(1 if self.pace_s else _AT_ONCE)
        self._idle = [(first, KeptConnections())]
        self._next_turn = 0.0

    def __repr__(self) -> str:
        return f"AppriseContact({urlsplit(self._url).scheme}://***)"

    @property
    def service(self) -> str:
        """The services' own names, such as Slack."""
        return (
            ", ".join(sorted({str(plugin.service_name) for plugin in self._idle[0][0]})) if self._idle else ""
        )

    def turn(self, now: float) -> float:
        """Seconds to wait from `now` (the loop's time) for the next turn; it is taken unless too far off."""
        at = max(now, self._next_turn)
        if at - now <= LONGEST_QUEUE_S:
            self._next_turn = at + self.pace_s
        return at - now

    def notify(self, subject: str, body: str) -> bool:
        """Send to all plugins of the contact; blocking, inside one of `slots`.

        Raises HostRefused when one would leave the allowed hosts, or is redirected.
        """
        from apprise import NotifyFormat

        try:
            service, connections = self._idle.pop()
        except IndexError:
            service, connections = self._parse(), KeptConnections()
        try:
            # Apprise's own `async_notify` does the same work, but in the loop's default thread pool, where a
            # slow chat server would hold up DNS look-ups and with them every other connector.
            self._refuse_hosts()
            with only_to(self._allowed, connections):
                sent = service.notify(title=subject, body=body or subject, body_format=NotifyFormat.TEXT)
            return bool(sent)
        finally:
            self._idle.append((service, connections))

    def close(self) -> None:
        """Close the connections that no call is using."""
        for _service, connections in self._idle:
            connections.close()

    def _refuse_hosts(self) -> None:
        """For what is not HTTP, such as mail: the look before the connection."""
        for host, port in self.hosts:
            if not self._allowed.has(host, port):
                raise HostRefused(f"{host} is not in AMENDS_ALLOWED_HOSTS")

    def _parse(self) -> Any:
        from apprise import Apprise, AppriseAsset, PersistentStoreMode

        # In memory: some plugins would otherwise leave their sessions in the user's home. Not async: several
        # plugins of one contact would run in threads that `only_to` does not see.
        service = Apprise(asset=AppriseAsset(storage_mode=PersistentStoreMode.MEMORY, async_mode=False))
        if not service.add(self._url):
            raise ValueError("Apprise does not understand this URL")
        for plugin in service:
            if self._own_pace is not None:
                plugin.request_rate_per_sec = self._own_pace
            elif _is_local(plugin):
                plugin.request_rate_per_sec = 0
        return service


def _take_pace(url: str) -> tuple[str, float | None]:
    # The rest of the query is left as it was written: Apprise reads `+`, `:` and `-` at the start of names.
    parts = urlsplit(url)
    kept, pace = [], None
    for field in parts.query.split("&"):
        name, _, value = field.partition("=")
        if name == PACE_PARAMETER:
            pace = float(value)
            if not 0 <= pace < math.inf:
                raise ValueError(f"{PACE_PARAMETER} is a number of seconds from 0 up")
        elif field:
            kept.append(field)
    return url if pace is None else urlunsplit(parts._replace(query="&".join(kept))), pace


def _names_a_host(plugin: Any) -> bool:
    """By Apprise's own description: what of `slack://A/B/C` stands at the host's place is a secret, not a host."""
    if hasattr(plugin, "smtp_host"):
        return True
    return bool(plugin.host) and all("{host}" in template for template in plugin.templates)


def _host_of(plugin: Any) -> tuple[str, int]:
    host = str(getattr(plugin, "smtp_host", None) or plugin.host).strip("[]")
    return host, int(plugin.port or (443 if plugin.secure else 80))


def _is_local(plugin: Any) -> bool:
    # Only addresses and "localhost": for many plugins the "host" of the URL is really a token.
    host = str(getattr(plugin, "smtp_host", None) or getattr(plugin, "host", None) or "")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return False
