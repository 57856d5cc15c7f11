"""A bare client of the sandbox for its own tests: HTTP only, as a stranger to the code would use it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from sandbox.process import Sandbox

SECRET = {"secret_key": "sandbox-secret"}
CARE = {"customer_name": "Trần Thị Lan", "case_code": "C-1", "brand": "Cà Phê Sao"}
VOUCHER = {
    "customer_name": "Lan",
    "case_code": "C-1",
    "voucher_code": "XINLOI-7",
    "value": "50.000đ",
    "expires": "31/12/2026",
}


@dataclass(slots=True)
class Caller:
    """One app with a fresh access token."""

    sandbox: Sandbox
    http: httpx.Client
    token: str = ""
    refresh_token: str = "sandbox-refresh-token"

    def refresh(self, **changes: str) -> dict[str, Any]:
        """The OAuth answer to the current refresh token, with single form fields or the secret changed."""
        headers = {"secret_key": changes.pop("secret_key", SECRET["secret_key"])}
        form = {
            "app_id": "sandbox-app",
            "grant_type": "refresh_token",
            "refresh_token": self.refresh_token,
            **changes,
        }
        return self._read(self.http.post("/v4/oa/access_token", headers=headers, data=form))

    def log_in(self) -> None:
        pair = self.refresh()
        self.token, self.refresh_token = pair["access_token"], pair["refresh_token"]

    def send(self, phone: str, template_id: str = "310001", **fields: Any) -> dict[str, Any]:
        """The envelope for one message; sound unless `fields` say otherwise."""
        data = VOUCHER if template_id == "330001" else CARE
        body = {
            "phone": phone,
            "template_id": template_id,
            "template_data": data,
            "tracking_id": "t_1",
            **fields,
        }
        return self.call("POST", "/message/template", json=body)

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"access_token": self.token, **options.pop("headers", {})}
        return self._read(self.http.request(method, path, headers=headers, **options))

    def ratings(self, template_id: str, since: datetime, until: datetime, **query: Any) -> dict[str, Any]:
        """`data` of rating/get."""
        parameters = {
            "template_id": template_id,
            "from_time": int(since.timestamp() * 1000),
            "to_time": int(until.timestamp() * 1000),
            "offset": 0,
            "limit": 10_000,
            **query,
        }
        data: dict[str, Any] = self.call("GET", "/rating/get", params=parameters)["data"]
        return data

    @staticmethod
    def _read(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body
