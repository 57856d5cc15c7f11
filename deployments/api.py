"""How this process talks to Prefect's API."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import certifi
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL

END = "-----END CERTIFICATE-----\n"


def api_settings(url: str, home: Path) -> dict[Any, Any]:
    """Prefect's settings for the API at `url`. `home` is a folder of ours.

    Each of Prefect's clients, three a sweep, loads the certificates of all authorities: more work than the rest of an
    empty sweep. Plain HTTP needs none, so there they get a file with one.
    """
    if not url.startswith("http:"):
        return {PREFECT_API_URL: url}
    return {PREFECT_API_URL: url, PREFECT_API_SSL_CERT_FILE: one_certificate(home)}


def one_certificate(home: Path) -> str:
    """A file in `home` with one certificate of an authority."""
    file = home.resolve() / "one-certificate.pem"
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        # Written aside: processes that start together never read half a file.
        draft = file.with_name(f"{file.name}.{uuid4().hex}")
        draft.write_text(Path(certifi.where()).read_text("utf-8").partition(END)[0] + END, "utf-8")
        draft.rename(file)
    return str(file)
