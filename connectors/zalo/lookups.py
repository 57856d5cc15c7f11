"""Asking Zalo about templates, quotas and messages. All of it is free and may be asked again at any time.

Source: developers.zalo.me, ZBS Template Message pages (template details, quota, message status, quality) and
Official Account API v2 (getoa); checked 2026-11-23 in stored copies.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import structlog

from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.zalo.answers import as_int, data_of
from connectors.zalo.client import VENDOR, ZaloClient
from connectors.zalo.codes import Api
from connectors.zalo.memory import QUOTA_LIFE, TROUBLE_LIFE, QuotaMeter, TemplateMemory
from connectors.zalo.templates import TemplateInfo, read_template

log = structlog.get_logger()

Delivery = Literal["delivered", "at_server", "not_found"]
_DELIVERY: dict[int, Delivery] = {1: "delivered", 0: "at_server", -1: "not_found"}
_MESSAGE_ID_INVALID = "-107"


class ZaloLookups:
    """The reading APIs of one account, with a memory. Belongs to one event loop; the memory may be shared."""

    def __init__(self, client: ZaloClient, memory: TemplateMemory) -> None:
        self.memory = memory
        self._client = client
        # One reader at a time for each template, and for the quota: the others find the answer remembered.
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def template(self, template_id: str) -> TemplateInfo | None:
        """What the template wants, remembered for 15 minutes; None when that cannot be read now.

        None stops no send: Zalo checks every message itself and refuses without charge.
        """
        account, clock = self._client.account, self._client.clock
        known, info = self.memory.template(account, template_id, clock())
        if known:
            return info
        async with self._reading[f"template {template_id}"]:
            known, info = self.memory.template(account, template_id, clock())
            if known:
                return info
            try:
                return await self.template_now(template_id)
            except VendorUnavailable as trouble:
                log.warning(
                    "zalo.template.unreadable",
                    template_id=template_id,
                    code=trouble.code,
                    detail=trouble.detail,
                )
                self.memory.keep_template(account, template_id, None, clock())
                return None

    async def template_now(self, template_id: str) -> TemplateInfo:
        """`GET /template/info/v2`, asked anew.

        Raises `VendorUnavailable`; `NeedsHuman` when Zalo does not know the template or may not show it.
        """
        url = f"{self._client.business}/template/info/v2"
        info = read_template(await self._client.read("template_info", url, {"template_id": template_id}))
        if info is None:
            detail = f"no template {template_id} in the answer"
            raise NeedsHuman(VENDOR, "template_info", "no_template", detail)
        self.memory.keep_template(self._client.account, template_id, info, self._client.clock())
        return info

    async def meter(self) -> QuotaMeter:
        """The account's daily quota, read at most every five minutes and counted down in between."""
        meter, clock = self.memory.meter(self._client.account), self._client.clock
        if meter.fresh(clock()):
            return meter
        async with self._reading["quota"]:
            if meter.fresh(clock()):
                return meter
            try:
                quota = await self.quota_now()
            except VendorUnavailable as trouble:
                log.warning("zalo.quota.unreadable", code=trouble.code, detail=trouble.detail)
                meter.read(None, None, clock() + TROUBLE_LIFE)
            else:
                daily, left = as_int(quota.get("dailyQuota")), as_int(quota.get("remainingQuota"))
                meter.read(daily, left, clock() + QUOTA_LIFE)
            return meter

    async def quota_now(self) -> Mapping[str, Any]:
        """`data` of `GET /message/quota`; its values are numbers, strings or null. Raises `VendorUnavailable`."""
        return data_of(await self._client.read("quota", f"{self._client.business}/message/quota", {}))

    async def quality_now(self) -> Mapping[str, Any]:
        """`data` of `GET /quality`: HIGH, MEDIUM, LOW or UNDEFINED for 48 hours and 7 days."""
        return data_of(await self._client.read("quality", f"{self._client.business}/quality", {}))

    async def official_account_now(self) -> Mapping[str, Any]:
        """`data` of `GET /v2.0/oa/getoa`: who the Official Account is. Raises `VendorUnavailable`."""
        url = f"{self._client.openapi}/v2.0/oa/getoa"
        return data_of(await self._client.read("official_account", url, {}, Api.ACCOUNT))

    async def delivery(self, msg_id: str) -> Delivery:
        """Where a template message is, from `GET /message/status`; a proof for a send with an odd answer.

        Raises `VendorUnavailable` when Zalo does not say.
        """
        url = f"{self._client.business}/message/status"
        try:
            body = await self._client.read("message_status", url, {"message_id": msg_id})
        except NeedsHuman as refusal:
            if refusal.code == _MESSAGE_ID_INVALID:
                return "not_found"
            raise
        status = as_int(data_of(body).get("status"))
        found = None if status is None else _DELIVERY.get(status)
        if found is None:
            raise VendorUnavailable(VENDOR, "message_status", "no_status", "an answer without a known status")
        return found
