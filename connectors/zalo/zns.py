"""The channel "zns": Zalo template messages (ZNS, since 2026 "ZBS Template Message") by phone or user id.

API: developers.zalo.me, ZBS Template Message pages (send by phone, by hashed phone, by UID), checked
2026-11-23 in stored copies, never against live Zalo. `tracking_id` is a mark for reconciliation, *not* an
idempotency key: sending the same one twice sends twice, so an unanswered send stays `UNCERTAIN`.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.base import log_outcome
from connectors.ports import Message, Recipient
from connectors.zalo.answers import as_int, is_night, opens_at
from connectors.zalo.client import VENDOR, Answer, ZaloClient
from connectors.zalo.codes import Api, Window
from connectors.zalo.lookups import ZaloLookups
from connectors.zalo.memory import QuotaMeter
from connectors.zalo.templates import TemplateInfo, composed, fitting

_POLL_S = 0.02


class ZaloZns:
    """Sends templates of one Official Account, after a look at template, hour and quota.

    What a caller does with an outcome: `ACCEPTED`: settled, `provider_id` is Zalo's message id. `RETRY_LATER`:
    surely not sent. `WAIT_FOR_WINDOW`: night or quota, `retry_at` says until when. `UNREACHABLE`: the next channel.
    `PAYLOAD_REFUSED`: this message never goes (code `param` when we found it before calling). `NEEDS_HUMAN`:
    account, balance or (`stops="target"`) template. `UNCERTAIN`: never repeat; `provider_id`, if any, can be asked
    about with `delivery`.
    """

    name = "zns"

    def __init__(self, client: ZaloClient, lookups: ZaloLookups, *, hash_phones: bool = False) -> None:
        self._client = client
        self._lookups = lookups
        self._hash_phones = hash_phones

    def __repr__(self) -> str:
        return f"ZaloZns({self._client.account!r})"

    def reaches(self, recipient: Recipient) -> bool:
        return bool(recipient.phone or recipient.zalo_uid)

    async def send(self, message: Message) -> Outcome:
        """One template to one phone number, or to a user id of this account when there is no number.

        Text parameters are put into Unicode NFC first: Zalo counts code points and refuses decomposed
        Vietnamese as too long (-1121).
        """
        outcome = await self._send(message)
        log_outcome(VENDOR, "send", outcome, tracking_id=message.tracking_id, template_id=message.template_id)
        return outcome

    async def _send(self, message: Message) -> Outcome:
        if not self.reaches(message.recipient):
            detail = "neither a phone number nor a Zalo user id for ZNS"
            return Outcome(OutcomeClass.UNREACHABLE, code="no_phone", detail=detail)
        if not message.template_id:
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="no_template", detail="ZNS needs a template id")
        params = composed(message.params)
        info = await self._lookups.template(message.template_id)
        if info is not None:
            if (hold := self._unusable(info)) is not None:
                return hold
            fitted = fitting(info, params)
            if isinstance(fitted, str):
                return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="param", detail=fitted)
            params = fitted
            if (hold := self._asleep(info)) is not None:
                return hold
        # Whether messages to user ids count against the quota of those to phones is not documented.
        if message.recipient.phone:
            outcome = await self._within_quota(message, params)
        else:
            outcome = (await self._call(message, params)).outcome
        if outcome.stops == "target":
            # Zalo knows better than our memory what has become of the template.
            self._lookups.memory.forget(message.template_id)
        return _priced(outcome, info, by_phone=bool(message.recipient.phone))

    def _unusable(self, info: TemplateInfo) -> Outcome | None:
        if info.enabled or not info.status:
            return None
        return Outcome(
            OutcomeClass.NEEDS_HUMAN,
            code="template_status",
            detail=f"template {info.template_id} is {info.status} at Zalo: have it approved, or use another one",
            stops="target",
        )

    def _asleep(self, info: TemplateInfo) -> Outcome | None:
        now = self._client.clock()
        if not info.sleeps_at_night or not is_night(now):
            return None
        return Outcome(
            OutcomeClass.WAIT_FOR_WINDOW,
            code="night",
            detail=f"{info.kind} templates are not sent between 22:00 and 06:00",
            retry_at=opens_at(Window.MORNING, now),
        )

    async def _within_quota(self, message: Message, params: Mapping[str, str]) -> Outcome:
        meter = await self._lookups.meter()
        if (hold := await self._place(meter)) is not None:
            return hold
        generation, answer = meter.generation, None
        try:
            answer = await self._call(message, params)
        finally:
            told = as_int(_quota(answer).get("remainingQuota")) if answer else None
            meter.settle(generation, answer.outcome if answer else None, told)
        return answer.outcome

    async def _place(self, meter: QuotaMeter) -> Outcome | None:
        """Take a place in the day's quota, or say why there is none."""
        loop, limits = asyncio.get_running_loop(), self._client.api.limits
        give_up = loop.time() + limits.budget_s + 2 * limits.timeout_s
        # The last places may be taken by calls on their way, some of which will be refused and give theirs back.
        # Those may belong to another loop that shares the memory, hence no condition to wait for but a look.
        while (place := meter.take()) == "wait":
            if loop.time() > give_up:
                detail = "other messages may use up the daily quota"
                return Outcome(OutcomeClass.RETRY_LATER, code="quota", detail=detail)
            await asyncio.sleep(_POLL_S)
        if place == "taken":
            return None
        return Outcome(
            OutcomeClass.WAIT_FOR_WINDOW,
            code="quota",
            detail="the Official Account's daily quota is used up"
            + (f" ({meter.daily} messages)" if meter.daily is not None else ""),
            retry_at=opens_at(Window.NEXT_DAY, self._client.clock()),
        )

    async def _call(self, message: Message, params: Mapping[str, str]) -> Answer:
        phone, client = message.recipient.phone, self._client
        body: dict[str, Any] = {"template_id": message.template_id, "template_data": dict(params)}
        if not phone:
            # This API knows no tracking_id.
            body = {"user_id": message.recipient.zalo_uid, **body}
            return await client.write(
                "send", f"{client.openapi}/v3.0/oa/message/template", body, Api.TEMPLATES
            )
        body["tracking_id"] = message.tracking_id
        if not self._hash_phones:
            url = f"{client.business}/message/template"
            return await client.write("send", url, {"phone": phone, **body}, Api.TEMPLATES)
        hashed = hashlib.sha256(phone.encode()).hexdigest()
        url = f"{client.business}/message/template/hashphone"
        return await client.write("send", url, {"hash_phone": hashed, **body}, Api.TEMPLATES)


def _quota(answer: Answer) -> Mapping[str, Any]:
    quota = answer.data.get("quota")
    return quota if isinstance(quota, Mapping) else {}


def _priced(outcome: Outcome, info: TemplateInfo | None, *, by_phone: bool) -> Outcome:
    if info is None or not outcome.accepted:
        return outcome
    price = info.price_phone_vnd if by_phone else info.price_uid_vnd
    return replace(outcome, cost_vnd=price) if price else outcome
