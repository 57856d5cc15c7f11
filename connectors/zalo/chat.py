"""The channel "zalo_chat": consultation messages of an Official Account, plain text to a user id.

API: developers.zalo.me, Official Account API v3 "consultation message", checked 2026-11-23 in stored copies,
never against live Zalo. A user's last interaction opens 48 hours for free and 7 days for money; after that
Zalo refuses (-230) and a template has to go instead.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import log_outcome
from connectors.ports import Message, Recipient
from connectors.zalo.client import Answer, ZaloClient
from connectors.zalo.codes import Api

LONGEST_TEXT = 2000
"""In characters after Unicode NFC."""
_FREE = "reply"


class ZaloChat:
    """Sends `Message.body` as chat text; the subject is not sent. There is no idempotency key at all.

    What a caller does with an outcome: `ACCEPTED`: settled; `detail` names the quota when the message was not
    a free reply. `UNREACHABLE` (no interaction in 7 days, does not follow, blocked, restricted): the next
    channel. `UNCERTAIN`: never repeat, nothing can be asked. The others as in `connectors.zalo.zns`.
    """

    name = "zalo_chat"

    def __init__(self, client: ZaloClient) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"ZaloChat({self._client.account!r})"

    def reaches(self, recipient: Recipient) -> bool:
        return bool(recipient.zalo_uid)

    async def send(self, message: Message) -> Outcome:
        """`POST /v3.0/oa/message/cs`: one text to one user."""
        outcome = await self._send(message)
        log_outcome(self.name, "send", outcome, tracking_id=message.tracking_id)
        return outcome

    async def _send(self, message: Message) -> Outcome:
        uid = message.recipient.zalo_uid
        if not uid:
            return Outcome(OutcomeClass.UNREACHABLE, code="no_uid", detail="no Zalo user id for a chat")
        text = unicodedata.normalize("NFC", message.body)
        if not text.strip():
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="no_text", detail="a chat message needs a text")
        if len(text) > LONGEST_TEXT:
            detail = f"the text is too long: at most {LONGEST_TEXT} characters, it has {len(text)}"
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="too_long", detail=detail)
        body = {"recipient": {"user_id": uid}, "message": {"text": text}}
        url = f"{self._client.openapi}/v3.0/oa/message/cs"
        answer = await self._client.write("send", url, body, Api.ACCOUNT)
        return replace(answer.outcome, detail=_charged(answer)) if answer.outcome.accepted else answer.outcome


def _charged(answer: Answer) -> str:
    """Which quota paid for the message, unless it was a free reply; empty when Zalo does not say."""
    quota = answer.data.get("quota")
    quota = quota if isinstance(quota, Mapping) else {}
    kind, left = str(quota.get("quota_type") or ""), quota.get("remain")
    if kind in ("", _FREE):
        return ""
    return f"not a free reply: taken from {kind}" + (f", {left} left" if left not in (None, "") else "")
