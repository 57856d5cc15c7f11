"""Reading the answers to rating templates from Zalo: `/rating/get`.

Source: developers.zalo.me, ZBS Template Message "rating answers", and public callers; checked 2026-11-23 in
stored copies. The page says POST with everything in the query, all known callers use GET: GET is tried first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from connectors.errors import NeedsHuman
from connectors.ports import RatingAnswer
from connectors.zalo.answers import RatingPage, read_rating_page
from connectors.zalo.client import ZaloClient
from connectors.zalo.memory import TemplateMemory

RATING_PAGE = 100
"""Rows asked for at once. Public clients use 100 to 10,000; no limit is documented."""

_WRONG_VERB = ("http_404", "http_405", "-106")
Verb = Literal["GET", "POST"]


class ZaloRatings:
    """Rating source of one Official Account. The memory keeps which of the two methods works."""

    def __init__(self, client: ZaloClient, memory: TemplateMemory) -> None:
        self._client = client
        self._memory = memory

    async def ratings(self, template_id: str, since: datetime, until: datetime) -> list[RatingAnswer]:
        """Every answer to a rating template submitted in [since, until], from all pages of `/rating/get`.

        Zalo tells neither phone nor user id: join on `msg_id` or `tracking_id`. Raises `VendorUnavailable`
        when the list cannot be read now, `NeedsHuman` when it will not be until somebody acts.
        """
        found: dict[str, RatingAnswer] = {}
        offset = 0
        while True:
            query: dict[str, str | int] = {
                "template_id": template_id,
                "from_time": _epoch_ms(since),
                "to_time": _epoch_ms(until),
                "offset": offset,
                "limit": RATING_PAGE,
            }
            page = read_rating_page(await self._page(query))
            known = len(found)
            found |= {answer.msg_id: answer for answer in page.answers}
            offset += page.rows
            if _last(page, offset, grew=len(found) > known):
                break
        # Whether Zalo counts its bounds in is not documented.
        return [answer for answer in found.values() if since <= answer.submitted_at <= until]

    async def _page(self, query: Mapping[str, str | int]) -> Mapping[str, Any]:
        account = self._client.account
        verb: Verb = self._memory.rating_verb(account)
        try:
            return await self._read(verb, query)
        except NeedsHuman as refusal:
            if refusal.code not in _WRONG_VERB:
                raise
            first = refusal
        other: Verb = "GET" if verb == "POST" else "POST"
        try:
            body = await self._read(other, query)
        except NeedsHuman as refusal:
            # When both are refused as such, the address is wrong, and the usual method says so best.
            raise (first if refusal.code in _WRONG_VERB else refusal) from None
        self._memory.keep_rating_verb(account, other)
        return body

    async def _read(self, verb: Verb, query: Mapping[str, str | int]) -> Mapping[str, Any]:
        url = f"{self._client.business}/rating/get"
        return await self._client.read("ratings", url, query, post=verb == "POST")


def _last(page: RatingPage, read: int, *, grew: bool) -> bool:
    # A page that brings nothing new ends the list too: otherwise an API that ignores `offset` never would.
    return page.rows == 0 or not grew or (page.total is not None and read >= page.total)


def _epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
