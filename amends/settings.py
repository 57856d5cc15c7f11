"""Settings of one installation: where the data lives and the secrets. Journeys never contain any of this.

Every field is an environment variable with the prefix `AMENDS_` (nested ones with `__`), or a line of a
`.env` file in the working directory. Example: `AMENDS_DATABASE_URL=postgresql+psycopg://amends@db/amends`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from amends.domain.journey.base import DEFAULT_ACCOUNT


class ZaloSettings(BaseModel):
    """One Zalo Official Account (OA) and the app that speaks for it (developers.zalo.me console)."""

    app_id: str = Field("", description="App id of the Zalo developer console.")
    secret_key: SecretStr = Field(SecretStr(""), description="App secret; sent only to the OAuth host.")
    oa_id: str = Field("", description="Id of the Official Account; webhooks of an app name it.")
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="OA secret key of the console's webhook page; signs the webhooks."
    )
    refresh_token: SecretStr = Field(
        SecretStr(""), description="First refresh token; not needed after `amends zalo login`."
    )
    redirect_uri: str = Field(
        "http://127.0.0.1:8901/zalo",
        description="Where Zalo sends the browser after consent; as in the console.",
    )
    code_verifier: SecretStr = Field(
        SecretStr(""),
        description="PKCE verifier whose challenge is saved in the console; empty: a new one for each log-in.",
    )
    oauth_url: str = "https://oauth.zaloapp.com"
    business_url: str = "https://business.openapi.zalo.me"
    openapi_url: str = "https://openapi.zalo.me"
    hash_phones: bool = Field(
        False, description="Send ZNS to the SHA-256 of the phone number, not the number."
    )
    prove_secret: bool = Field(
        False, description="Send `appsecret_proof`, which an app's console may demand."
    )
    timeout_seconds: float = Field(10, gt=0, le=60)
    requests_per_second: float = Field(50, gt=0, description="Client-side ceiling for sends, per process.")


def _days(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "keep" else value


Days = Annotated[Annotated[int, Field(ge=1, le=36_500)] | None, BeforeValidator(_days)]
"""A number of days, or `keep` for ever."""


class RetentionSettings(BaseModel):
    """How many days things are kept; None: for ever. The daily sweep removes what is older (docs/privacy.md)."""

    webhook_events_days: Days = Field(30, description="Webhooks, since they came.")
    quarantine_settled_days: Days = Field(
        180, description="Content of quarantined rows that were settled, since then."
    )
    quarantine_open_days: Days = Field(
        None, description="Content of quarantined rows nobody settled, since they came."
    )
    intake_counts_days: Days = Field(400, description="Counts of webhook requests per day.")
    incidents_days: Days = Field(400, description="Incidents, since they were resolved.")
    operator_log_days: Days = Field(None, description="What operators did by hand.")
    customers_days: Days = Field(
        None,
        description="Personal data of customers without an open case, since they were last heard of.",
    )
    feedback_texts_days: Days = Field(
        None, description="Words and original rows of feedback that became no case, since it came."
    )


class Settings(BaseSettings):
    """Everything an operator sets; see `docs/operations.md`."""

    model_config = SettingsConfigDict(
        env_prefix="AMENDS_", env_nested_delimiter="__", env_file=".env", extra="ignore"
    )

    home: Path = Field(Path(".amends"), description="Folder for the SQLite file, Prefect's home and inboxes.")
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL; SQLite in `home` when unset, postgresql+psycopg://... in production.",
    )
    zalo: ZaloSettings | None = Field(
        None, description="Unset: journeys that use ZNS are refused by `check`."
    )
    zalo_accounts: dict[str, ZaloSettings] = Field(
        default_factory=dict,
        description="Further Official Accounts by the name that journeys use (zalo_account), as JSON.",
    )
    webhook_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Secret of each webhook source that journeys name, e.g. {'till': 'whsec_...'} (Standard Webhooks).",
    )
    encryption_keys: list[SecretStr] = Field(
        default_factory=list,
        description="Keys of personal data and tokens at rest, newest first (amends key). Unset: a key file in `home`.",
    )
    contacts: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Apprise URL of each staff contact that journeys name, e.g. {'lan': 'mailto://...'}.",
    )
    customer_mail_url: SecretStr | None = Field(
        None, description="Apprise mail URL (mailtos://user:password@host?from=...) for mails to customers."
    )
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings, description="How long what is kept; see docs/privacy.md."
    )
    log: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="What is logged, on stderr."
    )
    chunk_size: int = Field(500, ge=1, le=10_000, description="Cases one task run handles at once.")
    open_calls: int = Field(32, ge=1, le=512, description="Vendor calls in flight at once, per sweep.")
    lease_seconds: int = Field(
        120,
        ge=10,
        description="How long a sweep owns the cases it claimed; a dead sweep's are free after that.",
    )

    @field_validator("zalo_accounts")
    @classmethod
    def _no_second_default(cls, accounts: dict[str, ZaloSettings]) -> dict[str, ZaloSettings]:
        if DEFAULT_ACCOUNT in accounts:
            raise ValueError(
                f"{DEFAULT_ACCOUNT!r} is the account of AMENDS_ZALO__...; give this one another name"
            )
        return accounts

    def zalo_account(self, name: str) -> ZaloSettings | None:
        """The Official Account that journeys call `name`; None when it is not set."""
        return self.zalo if name == DEFAULT_ACCOUNT else self.zalo_accounts.get(name)

    def all_zalo_accounts(self) -> dict[str, ZaloSettings]:
        """Every Official Account that is set, by name, the default one first."""
        default = {DEFAULT_ACCOUNT: self.zalo} if self.zalo is not None else {}
        return {**default, **self.zalo_accounts}

    def spool_file(self) -> Path:
        """Where webhooks are kept between their 200 and the database."""
        return self.home / "webhooks.spool"

    def database(self) -> str:
        """The SQLAlchemy URL in clear, for the engine only; never print it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'amends.db'}"
