"""Reading Zalo's webhooks into our words. Pure; the signature is checked before (`connectors.zalo.signature`).

Source: developers.zalo.me, webhook pages of the Official Account and of ZBS Template Message, and captured
traffic; checked 2026-11-23 in stored copies. Ids and times come as strings or numbers; times are epoch
milliseconds. Names differ from those of the reading APIs (`submit_time` here, `submitDate` there).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from amends.domain.contacts import mask, normalise_phone
from connectors.events import (
    ContactShared,
    CustomerActed,
    CustomerLeft,
    CustomerWrote,
    Delivered,
    Fact,
    Rated,
    TemplateChanged,
    VendorEvent,
)
from connectors.zalo.answers import as_int, as_moment, rating_answer

TEMPLATE_SERVER = "ZNS"
"""Value of the header `X-ZEvent-Server` for template messages; that of chat is `OA OpenAPI`."""

LONGEST_KEY = 200
_ATTACHMENTS = frozenset(
    ("image", "link", "audio", "video", "sticker", "gif", "location", "business_card", "file")
)


def read_event(body: Mapping[str, Any], server: str | None, now: datetime) -> VendorEvent:
    """What a webhook says. `server` is the header `X-ZEvent-Server`; `now` (aware UTC) dates events without a time.

    Events that mean nothing to a journey, echoes of our own messages among them, have no fact. Raises
    `ValueError`, which never quotes a value, when a field that the event cannot do without is unreadable.
    """
    name = body.get("event_name")
    if not isinstance(name, str) or not name:
        raise ValueError("event_name is missing")
    occurred_at = _moment(body, "timestamp", f"{name}: timestamp") or now
    read = _READERS.get(name)
    if name.startswith("user_send_") and name.removeprefix("user_send_") in _ATTACHMENTS:
        read = _wrote
    fact = read(name, body) if read else None
    if name == "user_received_message":
        fact = _received(name, body, server)
        occurred_at = (
            _moment(_part(body, "message"), "delivery_time", f"{name}: delivery_time") or occurred_at
        )
    elif isinstance(fact, Rated) and body.get("timestamp") is None:
        occurred_at = fact.answer.submitted_at
    return VendorEvent(_key(name, body), name, occurred_at, fact)


def _key(name: str, body: Mapping[str, Any]) -> str:
    """The same for every delivery of one event: its name with the message's id, or with its subject and time."""
    message = _part(body, "message")
    ids = message.get("msg_ids")
    msg_id = _text(message.get("msg_id") or body.get("msg_id"))
    if not msg_id and isinstance(ids, list):
        msg_id = ",".join(_text(one) for one in ids)
    timestamp = _text(body.get("timestamp"))
    if msg_id:
        key = f"{name}:{msg_id}"
    elif timestamp:
        key = f"{name}:{_subject(body)}:{timestamp}"
    else:
        key = f"{name}:{_digest(json.dumps(body, sort_keys=True, default=str))}"
    return key if len(key) <= LONGEST_KEY else f"{name[:100]}:{_digest(key)}"


def _subject(body: Mapping[str, Any]) -> str:
    """Whom or what an event without a message is about."""
    people = [_text(_part(body, part).get("id")) for part in ("follower", "sender")]
    others = [_text(body.get(name)) for name in ("template_id", "user_id_by_app", "oa_id", "oaId")]
    recipient = _text(_part(body, "recipient").get("id"))
    # Of template messages, the recipient's id is a phone number, and keys are written to logs.
    hidden = _digest(recipient)[:16] if recipient else ""
    return next((one for one in (*people, others[0], hidden, *others[1:]) if one), "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _rated(name: str, body: Mapping[str, Any]) -> Fact:
    message = _part(body, "message")
    if as_int(message.get("rate")) is None:
        raise ValueError(f"{name}: message.rate is not a number")
    answer = rating_answer(message, msg_id="msg_id", submitted="submit_time", tracking_id="tracking_id")
    if answer is None:
        known = _text(message.get("msg_id"))
        lacks = "message.submit_time is not a time" if known else "message.msg_id is missing"
        raise ValueError(f"{name}: {lacks}")
    return Rated(answer)


def _received(name: str, body: Mapping[str, Any], server: str | None) -> Fact | None:
    """Both families have this event; the one of chat may name several messages or none, and proves nothing then."""
    message = _part(body, "message")
    msg_id = _text(message.get("msg_id") or body.get("msg_id"))
    if not msg_id:
        ids = message.get("msg_ids")
        if server == TEMPLATE_SERVER or "delivery_time" in message:
            raise ValueError(f"{name}: message.msg_id is missing")
        msg_id = _text(ids[0]) if isinstance(ids, list) and len(ids) == 1 else ""
    return Delivered(msg_id, _text(message.get("tracking_id"))) if msg_id else None


def _wrote(name: str, body: Mapping[str, Any]) -> Fact:
    message = _part(body, "message")
    kind = name.removeprefix("user_send_")
    said = message.get("text")
    said = said if isinstance(said, str) else ""
    if kind != "text":
        said = f"[{kind}] {said}".rstrip()
    return CustomerWrote(
        _needed(name, "sender.id", _part(body, "sender").get("id")),
        _needed(name, "message.msg_id", message.get("msg_id")),
        said,
    )


def _acted(name: str, body: Mapping[str, Any]) -> Fact:
    return CustomerActed(_needed(name, "follower.id", _part(body, "follower").get("id")))


def _left(name: str, body: Mapping[str, Any]) -> Fact:
    return CustomerLeft(_needed(name, "follower.id", _part(body, "follower").get("id")))


def _shared(name: str, body: Mapping[str, Any]) -> Fact:
    info = body.get("info")
    if not isinstance(info, Mapping):
        raise ValueError(f"{name}: info is missing")
    user_id = _needed(name, "sender.id", _part(body, "sender").get("id"))
    try:
        phone = normalise_phone(_text(info.get("phone")))
    except ValueError:
        phone = None
    return ContactShared(user_id, phone, _text(info.get("name")))


def _template_changed(name: str, body: Mapping[str, Any]) -> Fact:
    status = _needed(name, "status.new_status", _part(body, "status").get("new_status"))
    template_id = _needed(name, "template_id", body.get("template_id"))
    return TemplateChanged(template_id, status, status == "ENABLE", mask(_text(body.get("reason"))))


_READERS: Mapping[str, Callable[[str, Mapping[str, Any]], Fact]] = {
    "user_feedback": _rated,
    "user_send_text": _wrote,
    "follow": _acted,
    "unfollow": _left,
    "user_submit_info": _shared,
    "change_template_status": _template_changed,
}


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str:
    """Strings and whole numbers as text; anything else is no id and no word."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value).strip()


def _needed(name: str, field: str, value: object) -> str:
    if not (text := _text(value)):
        raise ValueError(f"{name}: {field} is missing")
    return text


def _moment(body: Mapping[str, Any], field: str, where: str) -> datetime | None:
    if body.get(field) in (None, ""):
        return None
    moment = as_moment(body[field])
    if moment is None:
        raise ValueError(f"{where} is not a time in milliseconds")
    return moment.astimezone(UTC)
