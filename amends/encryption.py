"""The installation's own keys. They seal vendor tokens, waiting webhooks, and the keyring (see `sealing`).

Fernet (AES-128-CBC with HMAC-SHA256, cryptography.io) under the newest of the installation's keys; older keys still
open what they closed, so that a key is changed by putting a new one in front. A stolen database or backup is then
useless without the keys, which never are in it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from amends.settings import Settings

KEY_FILE = "encryption.key"
_MARK = "fernet:"
"""What sealed text begins with; text without it was stored before there was encryption."""


class KeyProblem(ValueError):
    """The keys are unusable, or none of them opens the text; the message names the setting, never a key."""


class Cipher:
    """Seals and opens short texts with one installation's keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` newest first, each 32 bytes in URL-safe base64. Raises KeyProblem when one is not."""
        try:
            self._each = [Fernet(key) for key in keys]
            self._fernet = MultiFernet(self._each)
        except ValueError:
            raise KeyProblem(
                "AMENDS_ENCRYPTION_KEYS: each key must be 32 bytes in URL-safe base64; `amends key` makes one"
            ) from None

    def __repr__(self) -> str:
        return "Cipher(***)"

    def seal(self, text: str) -> str:
        return _MARK + self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text; what was never sealed comes back as it is. Raises KeyProblem when no key fits."""
        if not is_sealed(sealed):
            return sealed
        try:
            return self._fernet.decrypt(sealed.removeprefix(_MARK)).decode()
        except InvalidToken:
            raise KeyProblem(
                "no key of AMENDS_ENCRYPTION_KEYS opens what the database holds: put the key it was stored under "
                "back into the list, or log in again (amends zalo login)"
            ) from None

    def seal_bytes(self, content: bytes) -> bytes:
        return _MARK.encode() + self._fernet.encrypt(content)

    def open_bytes(self, sealed: bytes) -> bytes:
        """As `open`, for bytes of any kind."""
        mark = _MARK.encode()
        if not sealed.startswith(mark):
            return sealed
        try:
            return self._fernet.decrypt(sealed.removeprefix(mark))
        except InvalidToken:
            raise KeyProblem(
                "no key of AMENDS_ENCRYPTION_KEYS opens the webhooks that wait on disk: put the key they were "
                "stored under back into the list"
            ) from None

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return len(self._each)

    def key_of(self, sealed: str) -> int | None:
        """Which key opens it, counted from 0, the newest; None when no key does, or nothing is to open."""
        for number, fernet in enumerate(self._each):
            try:
                fernet.decrypt(sealed.removeprefix(_MARK))
            except InvalidToken:
                continue
            return number
        return None


def is_sealed(text: str) -> bool:
    return text.startswith(_MARK)


def new_key() -> str:
    """A fresh key, as AMENDS_ENCRYPTION_KEYS wants it."""
    return Fernet.generate_key().decode("ascii")


def cipher_of(settings: Settings) -> Cipher:
    """The cipher of this installation: from the settings, else from a key file in `home`, made on first use.

    Hosts that share a database must share the keys too, by the setting. Raises KeyProblem.
    """
    if settings.encryption_keys:
        return Cipher([key.get_secret_value() for key in settings.encryption_keys])
    return Cipher(_keys_in(settings.home / KEY_FILE))


def _keys_in(file: Path) -> list[str]:
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written aside and linked into place: of two processes that start together one wins, and nobody ever
        # reads half a key.
        # A draft of each one's own: threads share a process id, and so do containers that share a volume.
        draft = file.with_name(f"{file.name}.{uuid4().hex}")
        draft.touch(mode=0o600)
        draft.write_text(new_key() + "\n", encoding="ascii")
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text(encoding="ascii").split()
