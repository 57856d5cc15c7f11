"""The calls of the peers: the same kinds and payloads as Amends', with httpx as its own documents use it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from benchmarks.engines.cases import APOLOGY, SURVEY, VOUCHER, Complaint
from benchmarks.engines.peer_rows import assignee, effect_key, severity, voucher_code
from benchmarks.engines.vendor import APP, OPEN_CALLS
from benchmarks.part import FailedRun
from connectors.transport import LONGEST_IDLE_S


class Calls:
    """Zalo's template messages and an agents' channel. One client and one token for the process."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client
        self._headers: dict[str, str] = {}
        self._refresh = APP["refresh_token"]

    async def log_in(self) -> None:
        """A new access token: once a day, they live 25 hours."""
        form = {"refresh_token": self._refresh, "app_id": APP["app_id"], "grant_type": "refresh_token"}
        answer = await self._post("/v4/oa/access_token", headers={"secret_key": APP["secret_key"]}, data=form)
        self._headers, self._refresh = {"access_token": answer["access_token"]}, answer["refresh_token"]

    async def apologise(self, case: Complaint) -> str:
        return await self._template(case, APOLOGY, "acknowledge", {"brand": "Nắng Store"})

    async def survey(self, case: Complaint) -> str:
        return await self._template(case, SURVEY, "survey", {"brand": "Nắng Store"})

    async def voucher(self, case: Complaint) -> str:
        given = {"voucher_code": voucher_code(case), "value": "50.000đ", "expires": "03/12/2026"}
        return await self._template(case, VOUCHER, "voucher", given)

    async def notify(self, case: Complaint) -> str:
        """The agent hears of the ticket; that service gives no id back."""
        told = {
            "title": f"[{case.case_code}] {severity(case)} ticket",
            "message": f"{case.customer}, {case.rating} of five stars: {case.text}. {case.branch}",
            "type": "info",
        }
        await self._post(f"/notify/{assignee(case)}", json=told)
        return ""

    async def _template(self, case: Complaint, template: str, step: str, more: dict[str, str]) -> str:
        """Send one template message; its id at the vendor. Raises when it is not accepted."""
        body = {
            "phone": case.phone,
            "template_id": template,
            "template_data": {"customer_name": case.customer, "case_code": case.case_code, **more},
            "tracking_id": effect_key(case, step),
        }
        answer = await self._post("/message/template", headers=self._headers, json=body)
        if answer["error"]:
            raise FailedRun(f"Zalo refused {template}: {answer['error']} {answer['message']}")
        return str(answer["data"]["msg_id"])

    async def _post(self, path: str, **parts: Any) -> Any:
        answer = await self._client.post(f"{self._url}{path}", **parts)
        return answer.raise_for_status().json()


@asynccontextmanager
async def open_calls(url: str) -> AsyncIterator[Calls]:
    """As many connections as everybody has. Waiting for a free one is no error."""
    limits = httpx.Limits(
        max_connections=OPEN_CALLS, max_keepalive_connections=OPEN_CALLS, keepalive_expiry=LONGEST_IDLE_S
    )
    timeout = httpx.Timeout(30, pool=None)
    async with httpx.AsyncClient(limits=limits, timeout=timeout) as client:
        yield Calls(url, client)
