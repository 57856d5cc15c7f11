"""The operator's own list of hosts: where requests may go, of all that the settings name. Pure."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

_ENTRY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Hosts by name or address, each with one port or with any (None). Without a list everything is allowed."""

    listed: frozenset[tuple[str, int | None]] | None = None

    def has(self, host: str, port: int) -> bool:
        if self.listed is None:
            return True
        name = _plain(host)
        return (name, None) in self.listed or (name, port) in self.listed


EVERY_HOST = AllowedHosts()


def allowed_hosts(entries: Iterable[str] | None) -> AllowedHosts:
    """The list written as `host` or `host:port`, an IPv6 address in brackets; None is no list.

    Names are compared letter by letter: no wildcards, and a host's other names and addresses count as others.
    Raises ValueError naming the entry that is none.
    """
    return EVERY_HOST if entries is None else AllowedHosts(frozenset(map(_read, entries)))


def _read(entry: str) -> tuple[str, int | None]:
    found = _ENTRY.fullmatch(entry)
    if found is None or int(found["port"] or 0) > 65_535:
        raise ValueError(
            f"{entry!r} is no host: write openapi.zalo.me, 10.0.0.5:8080 or [fd00::5]:443, without https://"
        )
    return _plain(found["host"]), int(found["port"]) if found["port"] else None


def _plain(host: str) -> str:
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        return name
