"""One Zalo Official Account, opened once: its two channels, its ratings, its tokens and its examination."""

from collections.abc import Sequence
from datetime import datetime

import httpx

from amends.domain.outcome import Outcome
from amends.hosts import EVERY_HOST, AllowedHosts
from amends.settings import ZaloSettings
from connectors.base import Clock, HttpConnector, Limits
from connectors.examination import Finding, TemplateUse
from connectors.ports import RatingAnswer, TokenVault
from connectors.zalo.chat import ZaloChat
from connectors.zalo.client import open_client
from connectors.zalo.examination import Examination
from connectors.zalo.lookups import Delivery, ZaloLookups
from connectors.zalo.memory import TemplateMemory
from connectors.zalo.ratings import ZaloRatings
from connectors.zalo.zns import ZaloZns


class ZaloAccount(HttpConnector):
    """Use as `async with`, within one event loop. Opening asks Zalo nothing.

    `name` is the account's name in the settings, `memory` what a process remembers from one opening to the next
    (its own when None). `transport` is for tests, `allowed` the operator's list of hosts. Its `ratings` make it a
    `RatingSource`.
    """

    zns: ZaloZns
    """Template messages by phone or user id."""
    chat: ZaloChat
    """Consultation messages by user id."""

    def __init__(
        self,
        name: str,
        settings: ZaloSettings,
        clock: Clock,
        vault: TokenVault,
        *,
        memory: TemplateMemory | None = None,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        allowed: AllowedHosts = EVERY_HOST,
    ) -> None:
        memory = memory if memory is not None else TemplateMemory()
        client = open_client(settings, clock, vault, name, limits, transport, allowed)
        super().__init__(client.api)
        self.name = name
        self.tokens = client.tokens
        self._lookups = ZaloLookups(client, memory)
        self._ratings = ZaloRatings(client, memory)
        self._examination = Examination(name, settings, client, self._lookups)
        self.zns = ZaloZns(client, self._lookups, hash_phones=settings.hash_phones)
        self.chat = ZaloChat(client)

    def __repr__(self) -> str:
        return f"ZaloAccount({self.name!r}, {self.tokens.account!r})"

    async def ratings(self, template_id: str, since: datetime, until: datetime) -> list[RatingAnswer]:
        """Every answer to a rating template submitted in [since, until] (aware), any order, every page.

        Zalo tells neither phone nor user id: join on `msg_id` or `tracking_id`. Raises `VendorUnavailable`
        when the list cannot be read now, `NeedsHuman` when it will not be until somebody acts.
        """
        return await self._ratings.ratings(template_id, since, until)

    async def delivery(self, msg_id: str) -> Delivery:
        """Where a template message of ours is. Raises `VendorUnavailable` when Zalo does not say."""
        return await self._lookups.delivery(msg_id)

    async def keep_alive(self) -> Outcome:
        """Refresh tokens older than 20 hours; `ACCEPTED`, or what stands in the way. For a daily sweep."""
        return await self.tokens.keep_alive()

    async def examine(self, uses: Sequence[TemplateUse]) -> list[Finding]:
        """All that can be known about this account and these templates without messaging anyone."""
        return await self._examination.examine(uses)
