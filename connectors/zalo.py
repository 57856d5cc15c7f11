"""Zalo ZNS (since 2026 "ZBS Template Message") by phone number: sends templates, reads rating answers.

API: developers.zalo.me, ZBS Template Message pages (send, rating answers, template details), checked
2026-11-23 in stored copies, never against live Zalo. Errors come with HTTP 200; the header is
`access_token`, not Bearer. `tracking_id` is a mark for reconciliation, *not* an idempotency key: sending the
same one twice sends twice, so an unanswered send stays `UNCERTAIN`.
"""

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from amends.domain.outcome import Outcome, OutcomeClass
from amends.settings import ZaloSettings
from connectors.base import Clock, HttpApi, Limits, log_outcome
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.http_answers import json_object
from connectors.ports import Message, RatingAnswer, Recipient, TokenVault
from connectors.zalo_answers import RatingPage, TemplateInfo, read_outcome, read_rating_page, read_template
from connectors.zalo_oauth import ZaloTokens

VENDOR = "zalo"
RATING_PAGE = 100
"""Rows asked for at once. Public clients use 100 to 10,000; no limit is documented."""


class ZaloZns:
    """Channel and rating source of one Official Account. Use as `async with`; needs no other care.

    `transport` is for tests. The price of a message is not in the answer, so `cost_vnd` stays 0.
    """

    name = "zns"

    def __init__(
        self,
        settings: ZaloSettings,
        clock: Clock,
        vault: TokenVault,
        *,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        limits = limits or Limits(
            timeout_s=settings.timeout_seconds,
            budget_s=2 * settings.timeout_seconds,
            per_second=settings.requests_per_second,
        )
        self._clock = clock
        self._url = settings.business_url.rstrip("/")
        self._api = HttpApi(VENDOR, clock, limits, transport)
        self._tokens = ZaloTokens(self._api, settings, vault)

    def __repr__(self) -> str:
        return f"ZaloZns({self._tokens.account!r})"

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    def reaches(self, recipient: Recipient) -> bool:
        return bool(recipient.phone)

    async def send(self, message: Message) -> Outcome:
        """`POST /message/template`: one template to one phone number.

        Text parameters are put into Unicode NFC first: Zalo counts code points and refuses decomposed
        Vietnamese as too long (-1121).
        """
        outcome = await self._send(message)
        log_outcome(VENDOR, "send", outcome, tracking_id=message.tracking_id, template_id=message.template_id)
        return outcome

    async def _send(self, message: Message) -> Outcome:
        if not message.recipient.phone:
            return Outcome(OutcomeClass.UNREACHABLE, code="no_phone", detail="no phone number for ZNS")
        if not message.template_id:
            return Outcome(OutcomeClass.PAYLOAD_REFUSED, code="no_template", detail="ZNS needs a template id")
        body = {
            "phone": message.recipient.phone,
            "template_id": message.template_id,
            "template_data": {
                name: unicodedata.normalize("NFC", value) for name, value in message.params.items()
            },
            "tracking_id": message.tracking_id,
        }

        async def attempt(token: str) -> Outcome:
            answer = await self._api.write(
                "send", f"{self._url}/message/template", headers={"access_token": token}, json=body
            )
            return answer if isinstance(answer, Outcome) else self._judge(answer)

        return await self._with_token(attempt)

    async def ratings(self, template_id: str, since: datetime, until: datetime) -> list[RatingAnswer]:
        """Every answer to a rating template submitted in [since, until], from all pages of `/rating/get`.

        Asked with GET, as every public caller does (the newest page says POST with the same query). Zalo
        tells neither phone nor user id: join on `msg_id` or `tracking_id`. Raises `VendorUnavailable`.
        """
        found: dict[str, RatingAnswer] = {}
        offset = 0
        while True:
            body = await self._read(
                "ratings",
                "/rating/get",
                {
                    "template_id": template_id,
                    "from_time": _epoch_ms(since),
                    "to_time": _epoch_ms(until),
                    "offset": offset,
                    "limit": RATING_PAGE,
                },
            )
            page = read_rating_page(body)
            known = len(found)
            found |= {answer.msg_id: answer for answer in page.answers}
            offset += page.rows
            if _last(page, offset, grew=len(found) > known):
                break
        # Whether Zalo counts its bounds in is not documented.
        return [answer for answer in found.values() if since <= answer.submitted_at <= until]

    async def template_info(self, template_id: str) -> TemplateInfo:
        """`GET /template/info/v2`: what a journey's template is and wants, for the check before it goes live.

        Raises `VendorUnavailable`; `NeedsHuman` when Zalo does not know the template or may not show it.
        """
        body = await self._read("template_info", "/template/info/v2", {"template_id": template_id})
        info = read_template(body)
        if info is None:
            raise NeedsHuman(
                VENDOR, "template_info", "no_template", f"no template {template_id} in the answer"
            )
        return info

    async def _read(self, operation: str, path: str, params: dict[str, str | int]) -> dict[str, Any]:
        body: dict[str, Any] = {}

        async def attempt(token: str) -> Outcome:
            response = await self._api.read(
                operation, self._url + path, headers={"access_token": token}, params=params
            )
            body.clear()
            body.update(json_object(response) or {})
            return self._judge(response)

        outcome = await self._with_token(attempt)
        if outcome.accepted:
            return body
        wait = None if outcome.retry_at is None else (outcome.retry_at - self._clock()).total_seconds()
        waits = outcome.cls in (
            OutcomeClass.RETRY_LATER,
            OutcomeClass.WAIT_FOR_WINDOW,
            OutcomeClass.UNCERTAIN,
        )
        error = VendorUnavailable if waits else NeedsHuman
        raise error(VENDOR, operation, outcome.code or "", outcome.detail, retry_after_s=wait)

    async def _with_token(self, attempt: Callable[[str], Awaitable[Outcome]]) -> Outcome:
        """Once; and once more with a new token when the first was refused, which means nothing was done."""
        token = await self._tokens.current()
        if isinstance(token, Outcome):
            return token
        outcome = await attempt(token)
        if outcome.cls is not OutcomeClass.REFRESH_CREDENTIALS:
            return outcome
        token = await self._tokens.renewed(token)
        if isinstance(token, Outcome):
            return token
        outcome = await attempt(token)
        if outcome.cls is OutcomeClass.REFRESH_CREDENTIALS:
            # Refreshing again and again would only burn single-use tokens.
            detail = "a brand-new access token was refused: does another program refresh this app's tokens?"
            return replace(outcome, cls=OutcomeClass.NEEDS_HUMAN, detail=detail)
        return outcome

    def _judge(self, response: httpx.Response) -> Outcome:
        if response.status_code == 401:
            return Outcome(OutcomeClass.REFRESH_CREDENTIALS, code="http_401", detail="access token refused")
        return read_outcome(json_object(response), self._clock())


def _last(page: RatingPage, read: int, *, grew: bool) -> bool:
    # A page that brings nothing new ends the list too: otherwise an API that ignores `offset` never would.
    return page.rows == 0 or not grew or (page.total is not None and read >= page.total)


def _epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
