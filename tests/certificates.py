"""Nothing in the tests speaks TLS but those that bring their own certificates, so nobody need load the world's."""

import os
from pathlib import Path

from deployments.api import one_certificate


def load_one_certificate(folder: Path) -> str:
    """Give this process and its children a bundle with one certificate; returns the file's path.

    The servers here are plain HTTP, and still each new client of httpx and of Prefect loads whatever bundle it is
    given: 25 ms for the usual one. To be called before the first client is made; Prefect's settings, once they are
    built, no longer look into the environment.
    """
    bundle = one_certificate(folder)
    os.environ |= dict.fromkeys(("SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE"), bundle)
    return bundle
