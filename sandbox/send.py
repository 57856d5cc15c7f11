"""Sending a template message by phone or by its hash, without the HTTP: read, decide its fate, enter it."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.accept import accept
from sandbox.clock import epoch_ms
from sandbox.errors import Refusal, refuse
from sandbox.rules import Recipient, message_refusal, read_body, token_refusal
from sandbox.state import State

# Zalo's pages also list 0xxx and bare numbers, uncertainly; the sandbox is strict so that clients are safe.
_PHONE = re.compile(r"\+?(84[35789]\d{8})")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted message, as the envelope's `data` tells it; `phone` when the sandbox knows it."""

    phone: str | None
    data: dict[str, Any]


def send(
    state: State,
    access_token: str | None,
    proof: str | None,
    raw: bytes,
    by: Literal["phone", "hash_phone"] = "phone",
) -> Sent | Refusal:
    """Accept or refuse one message; either way it is in the book when this returns."""
    now = state.clock.now()
    body = read_body(raw)
    request = body if isinstance(body, dict) else {}
    to = recipient(state, request) if by == "phone" else _behind_hash(state, request)
    facts = book_facts(state, request, to if isinstance(to, Recipient) else None)
    if by == "hash_phone":
        facts["hash_phone"] = str(request.get("hash_phone", ""))
    refusal = token_refusal(state, access_token, proof, now)
    if refusal is None and isinstance(body, Refusal):
        refusal = body
    if refusal is None:
        refusal = to if isinstance(to, Refusal) else message_refusal(state, request, to, now)
    if refusal is not None or isinstance(to, Refusal):
        refusal = refusal or refuse(-108)
        state.book.enter("zns_refused", now, {**facts, "msg_id": None, "code": refusal.code})
        return refusal
    msg_id = accept(state, to, facts, now)
    return Sent(
        to.phone,
        {
            "msg_id": msg_id,
            "sent_time": str(epoch_ms(now)),
            "sending_mode": str(request.get("sending_mode") or "1"),
            "quota": {
                "dailyQuota": str(state.switches.daily_quota),
                "remainingQuota": str(max(0, state.quota_left(now))),
            },
        },
    )


def recipient(state: State, body: dict[str, Any]) -> Recipient | Refusal:
    """The person behind `phone`, whom the sandbox then has met; -108 for what is no Vietnamese mobile number."""
    phone = phone_in(body)
    if phone is None:
        return refuse(-108)
    state.directory.introduce(phone)
    return Recipient(phone, phone)


def phone_in(body: dict[str, Any]) -> str | None:
    """84 and nine digits, or None."""
    match = _PHONE.fullmatch(str(body.get("phone", "")))
    return match[1] if match else None


def book_facts(state: State, body: dict[str, Any], to: Recipient | None) -> dict[str, Any]:
    """What the book says of any request, sound or not."""
    template_id = str(body.get("template_id", ""))
    template = state.templates.get(template_id)
    return {
        "phone": to.phone if to else str(body.get("phone", "")),
        "template_id": template_id,
        "template_type": template.kind if template else None,
        "tracking_id": str(body.get("tracking_id") or ""),
        "params": body.get("template_data") or {},
    }


def _behind_hash(state: State, body: dict[str, Any]) -> Recipient | Refusal:
    """-108 for what is no hash; -118 for a hash of no phone that the sandbox has met."""
    hashed = str(body.get("hash_phone", ""))
    if not _HASH.fullmatch(hashed):
        return refuse(-108)
    phone = state.directory.phone_behind(hashed)
    return refuse(-118) if phone is None else Recipient(hashed, phone)
