"""What Zalo's webhooks say. Ids and times are strings, times epoch milliseconds; names as in Zalo's pages.

The two families are told apart by the header X-ZEvent-Server: template events come from ZNS, chat events from
OA OpenAPI. The app's id and the time are added by `complete` when an event leaves.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from sandbox.clock import epoch_ms
from sandbox.oauth import APP_ID, OA_ID

ZNS_SERVER: Final = "ZNS"
CHAT_SERVER: Final = "OA OpenAPI"

Body = dict[str, Any]

_TEMPLATE_EVENTS = frozenset(
    (
        "user_feedback",
        "user_click_response_button",
        "change_template_status",
        "change_template_quality",
        "change_oa_daily_quota",
    )
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event before it is sent. Events of one `lane` (a message, a person) go out in the order of their time."""

    name: str
    body: Body
    lane: str
    about: Mapping[str, str] = field(default_factory=dict)
    """What the book says of it beside its name: msg_id, uid, ..."""

    @property
    def server(self) -> str:
        return server_of(self.body)


def server_of(body: Body) -> str:
    """The value of X-ZEvent-Server. `user_received_message` is in both families: ZNS names a delivery time."""
    name, message = body.get("event_name"), body.get("message")
    if name == "user_received_message" and isinstance(message, dict) and "delivery_time" in message:
        return ZNS_SERVER
    return ZNS_SERVER if name in _TEMPLATE_EVENTS else CHAT_SERVER


def delivered(msg_id: str, to: str, tracking_id: str, at: datetime) -> Event:
    """A template message reached its receiver; `to` is the phone, the hash or the uid it was sent to."""
    message = {"delivery_time": str(epoch_ms(at)), "msg_id": msg_id, "tracking_id": tracking_id}
    body = {
        "sender": {"id": OA_ID},
        "recipient": {"id": to},
        "event_name": "user_received_message",
        "message": message,
    }
    return Event("user_received_message", body, msg_id, {"msg_id": msg_id, "tracking_id": tracking_id})


def feedback(row: Mapping[str, Any]) -> Event:
    """A rating; `row` is what /rating/get says of it under other names. No event tells who rated."""
    message = {
        "rating_type": row["rating_type"],
        "option": row["option"],
        "note": row["note"],
        "rate": row["rate"],
        "submit_time": row["submitDate"],
        "msg_id": row["msgId"],
        "feedbacks": row["feedbacks"],
        "tracking_id": row["trackingId"],
    }
    about = {"msg_id": row["msgId"], "tracking_id": row["trackingId"]}
    return Event(
        "user_feedback",
        {"event_name": "user_feedback", "message": message, "oa_id": OA_ID},
        row["msgId"],
        about,
    )


def said(uid: str, text: str, msg_id: str) -> Event:
    """A person wrote to the account."""
    return _chat("user_send_text", uid, uid, OA_ID, {"text": text, "msg_id": msg_id})


def echoed(uid: str, text: str, msg_id: str) -> Event:
    """The account wrote to a person; Zalo tells the account so, too."""
    return _chat("oa_send_text", uid, OA_ID, uid, {"text": text, "msg_id": msg_id})


def followed(uid: str, follows: bool) -> Event:
    name = "follow" if follows else "unfollow"
    body = {"oa_id": OA_ID, "follower": {"id": uid}, "user_id_by_app": uid, "event_name": name}
    return Event(name, body | ({"source": "qr"} if follows else {}), uid, {"uid": uid})


def submitted(uid: str, name: str, phone: str) -> Event:
    """A person answered the account's request for name and phone."""
    address = {"address": "", "city": "", "district": "", "ward": ""}
    body = {
        "sender": {"id": uid},
        "recipient": {"id": OA_ID},
        "user_id_by_app": uid,
        "event_name": "user_submit_info",
        "info": {"name": name, "phone": phone, **address, "full_address": address},
    }
    return Event("user_submit_info", body, uid, {"uid": uid})


def template_status(template_id: str, before: str, after: str) -> Event:
    status = {"prev_status": before, "new_status": after}
    body = {
        "oa_id": OA_ID,
        "event_name": "change_template_status",
        "template_id": template_id,
        "status": status,
        "reason": "",
    }
    return Event("change_template_status", body, template_id, {"template_id": template_id})


def template_quality(template_id: str, quality: str) -> Event:
    body = {
        "oa_id": OA_ID,
        "event_name": "change_template_quality",
        "template_id": template_id,
        "quality": quality,
    }
    return Event("change_template_quality", body, template_id, {"template_id": template_id})


def daily_quota(before: int, after: int) -> Event:
    """The only event that writes `oaId` for the account."""
    quota = {"prev_value": str(before), "new_value": str(after)}
    return Event(
        "change_oa_daily_quota",
        {"oaId": OA_ID, "event_name": "change_oa_daily_quota", "quota": quota},
        "quota",
    )


def complete(body: Body, now: datetime) -> Body:
    """`body` with the app's id and the time it leaves, unless it names them itself."""
    return {
        **body,
        "app_id": body.get("app_id", APP_ID),
        "timestamp": body.get("timestamp", str(epoch_ms(now))),
    }


def without_tracking_id(body: Body) -> Body:
    """The same event with an empty tracking id, as Zalo often sends it."""
    message = body.get("message")
    if not isinstance(message, dict) or "tracking_id" not in message:
        return body
    return {**body, "message": {**message, "tracking_id": ""}}


def written(body: Body) -> bytes:
    """The bytes on the wire, which are the bytes that are signed."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def signature(body: Body, raw: bytes, secret: str) -> str:
    """The header X-ZEvent-Signature: plain SHA-256, no HMAC, of app id + raw body + timestamp + OA secret."""
    app_id, timestamp = str(body.get("app_id", "")), str(body.get("timestamp", ""))
    return "mac=" + sha256(app_id.encode() + raw + timestamp.encode() + secret.encode()).hexdigest()


def _chat(name: str, uid: str, sender: str, recipient: str, message: Mapping[str, str]) -> Event:
    body = {
        "sender": {"id": sender},
        "recipient": {"id": recipient},
        "user_id_by_app": uid,
        "event_name": name,
        "message": dict(message),
    }
    return Event(name, body, uid, {"uid": uid, "msg_id": message["msg_id"]})
