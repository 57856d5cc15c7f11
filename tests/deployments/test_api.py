"""Prefect's clients get by with one certificate, but only while they need none."""

import ssl
from pathlib import Path

from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL

from deployments.api import api_settings

PLAIN = "http://127.0.0.1:4200/api"


def test_a_plain_api_needs_one_certificate_in_a_file_that_is_made_once(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    settings = api_settings(PLAIN, home)
    assert settings[PREFECT_API_URL] == PLAIN
    file = Path(settings[PREFECT_API_SSL_CERT_FILE])
    assert len(ssl.create_default_context(cafile=file).get_ca_certs()) == 1
    made = file.stat().st_mtime_ns
    assert api_settings(PLAIN, home) == settings
    assert file.stat().st_mtime_ns == made
    assert list(home.iterdir()) == [file]


def test_an_encrypted_api_keeps_all_certificates(tmp_path: Path) -> None:
    url = "https://prefect.example.com/api"
    assert api_settings(url, tmp_path) == {PREFECT_API_URL: url}
    assert list(tmp_path.iterdir()) == []
