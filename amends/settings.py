"""Settings of one installation: where the data lives and the secrets. Journeys never contain any of this.

Every field is an environment variable with the prefix `AMENDS_` (nested ones with `__`), or a line of a
`.env` file in the working directory. Example: `AMENDS_DATABASE_URL=postgresql+psycopg://amends@db/amends`.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ZaloSettings(BaseModel):
    """One Zalo Official Account and the app that speaks for it (developers.zalo.me console)."""

    app_id: str = Field("", description="App id of the Zalo developer console.")
    secret_key: SecretStr = Field(SecretStr(""), description="App secret; sent only to the OAuth host.")
    refresh_token: SecretStr = Field(
        SecretStr(""), description="First refresh token, from the consent step. Later ones live in the store."
    )
    oauth_url: str = "https://oauth.zaloapp.com"
    business_url: str = "https://business.openapi.zalo.me"
    timeout_seconds: float = Field(10, gt=0, le=60)
    requests_per_second: float = Field(50, gt=0, description="Client-side ceiling for sends, per process.")


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
    contacts: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Apprise URL of each staff contact that journeys name, e.g. {'lan': 'mailto://...'}.",
    )
    customer_mail_url: SecretStr | None = Field(
        None, description="Apprise mail URL (mailtos://user:password@host?from=...) for mails to customers."
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

    def database(self) -> str:
        """The SQLAlchemy URL in clear, for the engine only; never print it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'amends.db'}"
