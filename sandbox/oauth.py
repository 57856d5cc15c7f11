"""Zalo's OAuth v4 tokens: access tokens live 25 h, refresh tokens 90 days, are single use and rotate.

A new pair kills the old access token at once. Tokens are hashes of the seed and their generation.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox.chance import digest

APP_ID = "sandbox-app"
APP_SECRET = "sandbox-secret"  # noqa: S105 - public on purpose: a sandbox has no secrets
FIRST_REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105
ACCESS_LIFE = timedelta(seconds=90_000)
REFRESH_LIFE = timedelta(days=90)


@dataclass(slots=True)
class Tokens:
    """The one valid pair. The first refresh token does not age, so that a sandbox may start at any date."""

    seed: int
    generation: int = 0
    access: str | None = None
    refresh: str = FIRST_REFRESH_TOKEN
    issued: datetime | None = None

    def valid(self, access_token: str | None, now: datetime) -> bool:
        """True for the newest access token within its 25 hours."""
        return (
            self.issued is not None
            and bool(access_token)
            and access_token == self.access
            and now < self.issued + ACCESS_LIFE
        )

    def rotate(self, now: datetime) -> dict[str, Any]:
        """Mint the next pair and return the OAuth answer; `expires_in` is a string, as Zalo sends it."""
        self.generation += 1
        self.access = digest(self.seed, "access", self.generation, size=32).hex()
        self.refresh = digest(self.seed, "refresh", self.generation, size=32).hex()
        self.issued = now
        return {
            "access_token": self.access,
            "refresh_token": self.refresh,
            "expires_in": str(int(ACCESS_LIFE.total_seconds())),
        }


def answer(tokens: Tokens, secret: str | None, form: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """The body of POST /v4/oa/access_token, success or error; both travel with HTTP 200."""
    if form.get("app_id") != APP_ID:
        return _error(-14002, "Invalid app id.")
    if secret != APP_SECRET:
        return _error(-14004, "Invalid secret key.")
    if form.get("grant_type") == "authorization_code":
        return _error(-14005, "Invalid authorization code.")
    if form.get("grant_type") != "refresh_token":
        return _error(-14018, "Invalid grant type.")
    expired = tokens.issued is not None and now >= tokens.issued + REFRESH_LIFE
    if form.get("refresh_token") != tokens.refresh or expired:
        return _error(-14014, "Invalid refresh token.")
    return tokens.rotate(now)


def proof(access_token: str) -> str:
    """The `appsecret_proof` header that fits an access token: hex HMAC-SHA256 under the app secret."""
    return hmac.new(APP_SECRET.encode(), access_token.encode(), "sha256").hexdigest()


def _error(code: int, name: str) -> dict[str, Any]:
    """Zalo's OAuth errors carry no `message`, unlike every other answer."""
    return {"error": code, "error_name": name, "error_reason": "", "error_description": "", "ref_doc": ""}
