"""A staff contact that is a system of the brand's own: a POST of one JSON object for each notification.

Apprise's `json://` posts the same fields, and tells only yes or no. Here each answer is told apart as for any vendor,
and the receiver gets the message's key, by which it knows a notification that it has had before.
"""

from base64 import b64encode
from dataclasses import replace
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from amends.domain.outcome import Outcome, OutcomeClass
from amends.hosts import AllowedHosts
from connectors.base import Clock, HttpApi, HttpConnector, Limits
from connectors.egress import Gate
from connectors.ports import Message

SCHEMES = {"amends-https": "https", "amends-http": "http"}
_LIMITS = Limits(per_second=1_000)
"""A machine reads it, and says 429 or 503 when it wants to be asked less."""
_REFUSALS = (OutcomeClass.PAYLOAD_REFUSED, OutcomeClass.NEEDS_HUMAN)


class StaffWebhook(HttpConnector):
    """Posts `key`, `contact`, `title`, `message` and `type`, which is always "info". Use as `async with`.

    2xx is taken. Whatever the receiver refuses waits for a human, for this contact alone: nobody's ticket is dropped
    because a form has changed. The key is the `Idempotency-Key` as well.
    """

    service = "webhook"

    def __init__(self, url: str, clock: Clock, allowed: AllowedHosts, limits: Limits = _LIMITS) -> None:
        """`url` begins with http or https; a user and password in it go into the `Authorization` header."""
        self.hosts = _hosts(url)
        """Host and port, as of the contacts behind Apprise."""
        parts = urlsplit(url)
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._headers = _authorization(parts.username, parts.password)
        super().__init__(HttpApi("webhook", Gate([self._url], allowed), clock, limits))

    @classmethod
    def from_url(cls, url: str, clock: Clock, allowed: AllowedHosts) -> Self | None:
        """From `amends-https://host/path` or `amends-http://...`; None for another scheme.

        Raises ValueError, which never quotes the URL, for one without a host or with an odd port.
        """
        real = _real(url)
        return None if real is None else cls(real, clock, allowed)

    async def send(self, message: Message) -> Outcome:
        body = {
            "key": message.key,
            "contact": message.recipient.contact,
            "title": message.subject,
            "message": message.body or message.subject,
            "type": "info",
        }
        headers = {**self._headers, "idempotency-key": message.key}
        answer = await self._api.write("notify", self._url, headers=headers, json=body)
        if not isinstance(answer, Outcome):
            return _UNKNOWN_HERE if answer.status_code == 401 else Outcome(OutcomeClass.ACCEPTED)
        if answer.cls in _REFUSALS:
            return replace(answer, cls=OutcomeClass.NEEDS_HUMAN, stops="target")
        return answer


_UNKNOWN_HERE = Outcome(
    OutcomeClass.NEEDS_HUMAN,
    code="http_401",
    detail="the receiver does not know us: correct user and password in AMENDS_CONTACTS",
    stops="target",
)


def webhook_hosts(url: str) -> list[tuple[str, int]]:
    """Host and port of such a contact, empty for another kind. Raises ValueError as `StaffWebhook.from_url` does."""
    real = _real(url)
    return [] if real is None else _hosts(real)


def _real(url: str) -> str | None:
    scheme, _, rest = url.partition("://")
    return f"{SCHEMES[scheme]}://{rest}" if scheme in SCHEMES else None


def _hosts(url: str) -> list[tuple[str, int]]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise ValueError("a webhook's URL needs a host, and a port that is a number")
    return [(host, port or (443 if parts.scheme == "https" else 80))]


def _authorization(user: str | None, password: str | None) -> dict[str, str]:
    if user is None and password is None:
        return {}
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
