"""How much a stranger may cost us. Tests make the times short; nothing else changes them."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. Zalo waits 2 s for its 200."""

    head_bytes: int = 16 * 1024
    head_seconds: float = 5.0
    """From the first byte of a request, or the opening of its connection, to the end of its headers."""
    zalo_body_bytes: int = 64 * 1024
    """Zalo's largest event is a chat message of 2,000 characters; its JSON is read before its signature is known."""
    body_bytes: int = 256 * 1024
    body_seconds: float = 5.0
    connections: int = 512
    """Open at once; what comes in beyond them is answered 503."""
    zalo_age: timedelta = timedelta(hours=3)
    """Zalo repeats an unanswered webhook for about two hours, with the timestamp of the first attempt."""
    signed_age: timedelta = timedelta(minutes=5)
    """Standard Webhooks: every attempt has a timestamp of its own. This far into the future as well."""
    zalo_ahead: timedelta = timedelta(minutes=5)
    replays: int = 65_536
    """Signatures remembered against replays; the oldest goes first."""
