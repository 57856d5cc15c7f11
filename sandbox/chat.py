"""Consultation messages (chat): who may be written to, since when, at whose cost. Without the HTTP."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox import events
from sandbox.chance import digest
from sandbox.directory import Standing
from sandbox.errors import Refusal, refuse
from sandbox.magic import MAGIC
from sandbox.oauth import OA_ID
from sandbox.rules import person_refusal
from sandbox.state import VIETNAM, State

FREE, OPEN = timedelta(hours=48), timedelta(days=7)
"""Since the person's last interaction: until when chat is free, and until when it is possible at all."""

PRICE_VND = 55
"""Our assumption for a message between the two; Zalo's list has no such line that we know of."""

_MAX_TEXT = 2_000
_BY_UID = {-118: -201, -110: -201, -114: -227, -119: -227, -139: -244, -140: -244, -141: -244, -100: -200}


@dataclass(frozen=True, slots=True)
class Written:
    """An accepted chat message; `phone` when the sandbox knows it."""

    phone: str | None
    data: dict[str, Any]


def write(state: State, body: dict[str, Any], now: datetime) -> Written | Refusal:
    """Accept or refuse one message from the account; either way it is in the book when this returns."""
    recipient, message = body.get("recipient"), body.get("message")
    uid = str(recipient.get("user_id", "")) if isinstance(recipient, dict) else ""
    message = message if isinstance(message, dict) else {}
    phone, text = state.directory.phone_of(uid), message.get("text")
    facts = {"uid": uid, "phone": phone, "text": text, "attachment": message.get("attachment")}
    refusal = _refusal(state, uid, message, now)
    if refusal is not None:
        state.book.enter("chat_refused", now, {**facts, "msg_id": None, "code": refusal.code})
        return refusal
    last = state.directory.standing(uid).last_interaction or now
    quota_type = "reply" if now - last <= FREE else "purchase_quota"
    if quota_type != "reply" and state.switches.balance is not None:
        state.switches.balance -= PRICE_VND
    state.copies[uid, "chat", ""] += 1
    msg_id = digest(state.seed, "chat", uid, state.copies[uid, "chat", ""], size=10).hex()
    state.book.enter("chat", now, {**facts, "msg_id": msg_id, "quota_type": quota_type, "code": None})
    if isinstance(text, str):
        state.webhooks.plan(events.echoed(uid, text, msg_id), now)
    ends = (last + (FREE if quota_type == "reply" else OPEN)).astimezone(VIETNAM)
    quota = {
        "quota_type": quota_type,
        "remain": "8",
        "total": "8",
        "expired_date": f"{ends:%H:%M:%S %d/%m/%Y}",
        "owner_type": "OA",
        "owner_id": OA_ID,
    }
    return Written(phone, {"message_id": msg_id, "user_id": uid, "quota": quota})


def unreachable(state: State, uid: str) -> Refusal | None:
    """-201 for an id that nobody has, as far as the sandbox knows."""
    return None if state.directory.knows(uid) else refuse(-201, "user_id is invalid")


def by_uid(refusal: Refusal) -> Refusal:
    """Refusals for the person's sake have other codes on this host."""
    return refuse(_BY_UID[refusal.code]) if refusal.code in _BY_UID else refusal


def window_refusal(standing: Standing, now: datetime) -> Refusal | None:
    """-213 unfollowed, -232 never interacted, -230 not in 7 days."""
    if standing.follows is False:
        return refuse(-213)
    if standing.last_interaction is None:
        return refuse(-232)
    return refuse(-230) if now - standing.last_interaction > OPEN else None


def _refusal(state: State, uid: str, message: dict[str, Any], now: datetime) -> Refusal | None:
    if (refusal := unreachable(state, uid)) is not None:
        return refusal
    text, attachment = message.get("text"), message.get("attachment")
    if not (isinstance(text, str) and text) and not (isinstance(attachment, dict) and attachment):
        return refuse(-201, "message is invalid")
    if isinstance(text, str) and len(text) > _MAX_TEXT:
        return refuse(-210, "text is too long")
    standing = state.directory.standing(uid)
    if (refusal := window_refusal(standing, now)) is not None:
        return refusal
    balance = state.switches.balance
    charged = standing.last_interaction is not None and now - standing.last_interaction > FREE
    if charged and balance is not None and balance < PRICE_VND:
        return refuse(-321)
    # Whoever refuses templates may still chat, so only the fate of magic numbers counts here.
    phone = state.directory.phone_of(uid)
    fate = person_refusal(state, phone) if phone in MAGIC else None
    return by_uid(fate) if fate is not None else None
