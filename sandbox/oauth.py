"""Zalo's OAuth v4 tokens: access tokens live 25 h, refresh tokens 90 days, are single use and rotate.

A new pair kills the old pair at once. It comes from the last refresh token, or from an authorisation code that
the account's owner has just granted: 10 minutes, once, bound to a PKCE verifier. Tokens and codes are hashes of the
seed and their number.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sandbox.chance import digest

APP_ID = "sandbox-app"
APP_SECRET = "sandbox-secret"  # noqa: S105 - public on purpose: a sandbox has no secrets
OA_ID = "sandbox-oa"
OA_SECRET = "sandbox-oa-secret"  # noqa: S105 - signs the webhooks; another key than the app's
FIRST_REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105
ACCESS_LIFE = timedelta(seconds=90_000)
REFRESH_LIFE = timedelta(days=90)
CODE_LIFE = timedelta(minutes=10)
_VERIFIER_LENGTH = 43


@dataclass(slots=True)
class Tokens:
    """The one valid pair. The first refresh token does not age, so that a sandbox may start at any date."""

    seed: int
    generation: int = 0
    access: str | None = None
    refresh: str = FIRST_REFRESH_TOKEN
    issued: datetime | None = None
    codes: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """PKCE challenge and time of each code that was granted and not used."""
    granted: int = 0

    def valid(self, access_token: str | None, now: datetime) -> bool:
        """True for the newest access token within its 25 hours."""
        return (
            self.issued is not None
            and bool(access_token)
            and access_token == self.access
            and now < self.issued + ACCESS_LIFE
        )

    def consent(self, challenge: str, now: datetime) -> str:
        """A new authorisation code, bound to the PKCE challenge."""
        self.granted += 1
        code = digest(self.seed, "code", self.granted, size=24).hex()
        self.codes[code] = (challenge, now)
        return code

    def redeem(self, code: str, verifier: str, now: datetime) -> bool:
        """True for a code within its 10 minutes and the verifier of its challenge; any try uses the code up."""
        challenge, granted = self.codes.pop(code, (None, now))
        return (
            challenge is not None
            and now < granted + CODE_LIFE
            and len(verifier) == _VERIFIER_LENGTH
            and challenge == challenge_of(verifier)
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
        return problem(-14002, "Invalid app id.")
    if secret != APP_SECRET:
        return problem(-14004, "Invalid secret key.")
    if form.get("grant_type") == "authorization_code":
        if tokens.redeem(form.get("code", ""), form.get("code_verifier", ""), now):
            return tokens.rotate(now)
        return problem(-14005, "Invalid authorization code.")
    if form.get("grant_type") != "refresh_token":
        return problem(-14018, "Invalid grant type.")
    expired = tokens.issued is not None and now >= tokens.issued + REFRESH_LIFE
    if form.get("refresh_token") != tokens.refresh or expired:
        return problem(-14014, "Invalid refresh token.")
    return tokens.rotate(now)


def proof(access_token: str) -> str:
    """The `appsecret_proof` header that fits an access token: hex HMAC-SHA256 under the app secret."""
    return hmac.new(APP_SECRET.encode(), access_token.encode(), "sha256").hexdigest()


def challenge_of(verifier: str) -> str:
    """PKCE: base64url of the verifier's SHA-256, without padding."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def problem(code: int, name: str) -> dict[str, Any]:
    """Zalo's OAuth errors carry no `message`, unlike every other answer."""
    return {"error": code, "error_name": name, "error_reason": "", "error_description": "", "ref_doc": ""}
