"""Nothing in the tests speaks TLS but those that bring their own certificates, so nobody need load the world's."""

import os
from pathlib import Path

import certifi


def load_one_certificate(folder: Path) -> str:
    """Give this process and its children a bundle with one certificate; returns the file's path.

    The servers here are plain HTTP, and still each new client of httpx and of Prefect loads whatever bundle it is
    given: 25 ms for the usual one. To be called before the first client is made; Prefect's settings, once they are
    built, no longer look into the environment.
    """
    bundle = folder / "one-certificate.pem"
    end = "-----END CERTIFICATE-----"
    bundle.write_text(Path(certifi.where()).read_text("utf-8").partition(end)[0] + end, "utf-8")
    os.environ |= dict.fromkeys(("SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE"), str(bundle))
    return str(bundle)
