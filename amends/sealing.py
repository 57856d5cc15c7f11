"""Personal data sealed value by value, and hashed where it must be found again.

Envelope encryption: values are sealed with AES-256-GCM under a data key of the installation's keyring, and the keyring
is sealed by the installation's own keys (`encryption`). Changing one of those re-wraps a few rows. The index key makes
keyed hashes (HMAC-SHA256) and lives as long as the installation: whoever has only the database cannot try out all
phone numbers against them.
"""

import json
import os
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from amends.encryption import Cipher, KeyProblem

MARK = "sealed1:"
"""What a sealed value begins with: `sealed1:<id of the data key>:<base64>`. Others are from before encryption."""
_NONCE_BYTES, _KEY_BYTES = 12, 32
Text = TypeVar("Text", str, str | None)


class SealBroken(KeyProblem):
    """A sealed value does not open under its key: it was changed, or moved here from another column."""


class Keys:
    """The keyring in clear, for as long as a process lives: data keys by their id, and the index key."""

    def __init__(self, data: Mapping[int, bytes], index: bytes) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in data.items()}
        # Copied for each hash: the key is taken in once, which is most of the work.
        self._index = HMAC(index, SHA256())
        self.newest = max(data)
        self.prefix = f"{MARK}{self.newest}:"
        """What a value begins with that is sealed under the newest data key."""

    def __repr__(self) -> str:
        return f"Keys(***, newest={self.newest})"

    def __contains__(self, number: object) -> bool:
        return number in self._ciphers

    def seal(self, place: str, text: str) -> str:
        """`text`, to be stored at `place` (`table.column`) and nowhere else. Nothing is sealed as nothing."""
        (sealed,) = self.seal_all(place, [text])
        return sealed

    def seal_all(self, place: str, texts: Sequence[Text]) -> list[Text]:
        """The same for many texts of one place."""
        encrypt, prefix, bound_to = self._ciphers[self.newest].encrypt, self.prefix.encode(), place.encode()
        # Drawn together, and never kept: no nonce may be used twice, not by a forked process either.
        drawn = os.urandom(_NONCE_BYTES * len(texts))
        sealed: list[Text] = []
        for start, text in zip(range(0, len(drawn), _NONCE_BYTES), texts, strict=True):
            if not text:
                sealed.append(text)
                continue
            nonce = drawn[start : start + _NONCE_BYTES]
            content = nonce + encrypt(nonce, text.encode(), bound_to)
            sealed.append((prefix + b2a_base64(content, newline=False)).decode("ascii"))
        return sealed

    def open(self, place: str, stored: str) -> str:
        """What was sealed for `place`; text without the mark comes back as it is. Raises SealBroken."""
        if stored.startswith(self.prefix):  # nearly every value: the key is not looked for
            return self._open(self.newest, place, stored[len(self.prefix) :])
        number = data_key_of(stored)
        if number is None:
            return stored
        return self._open(number, place, stored[len(MARK) :].partition(":")[2])

    def _open(self, number: int, place: str, encoded: str) -> str:
        try:
            sealed = a2b_base64(encoded, strict_mode=True)
            cipher = self._ciphers[number]
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, NotBase64, ValueError, KeyError):
            raise SealBroken(
                f"a value of {place} does not open: it was changed outside Amends; restore it from a backup"
            ) from None

    def hash(self, text: str) -> str:
        """The keyed hash of `text`, 64 hex digits: the same text, the same hash, for ever."""
        digest = self._index.copy()
        digest.update(text.encode())
        return digest.finalize().hex()


def data_key_of(stored: str) -> int | None:
    """The id of the data key that sealed it; None for what is not sealed."""
    if not stored.startswith(MARK):
        return None
    number = stored[len(MARK) :].partition(":")[0]
    return int(number) if number.isdecimal() else None


class Keyring:
    """The keys, fetched when first needed, and again when a value names a data key that was added since."""

    def __init__(self, fetch: Callable[[], Keys]) -> None:
        """`fetch` may raise KeyProblem, and whatever the database raises when it is away."""
        self._fetch = fetch
        self._keys: Keys | None = None
        self._fetching = Lock()

    @property
    def keys(self) -> Keys:
        keys = self._keys
        if keys is None:
            with self._fetching:
                keys = self._keys = self._keys or self._fetch()
        return keys

    def fetch_again(self) -> Keys:
        with self._fetching:
            keys = self._keys = self._fetch()
        return keys

    def seal(self, place: str, text: str) -> str:
        return (self._keys or self.keys).seal(place, text)

    def open(self, place: str, stored: str) -> str:
        if not stored.startswith(MARK):
            return stored
        keys = self._keys or self.keys
        if not stored.startswith(keys.prefix) and data_key_of(stored) not in keys:
            keys = self.fetch_again()
        return keys.open(place, stored)

    def hash(self, text: str) -> str:
        return self.keys.hash(text)


def new_secret() -> bytes:
    """A fresh data key or index key."""
    return os.urandom(_KEY_BYTES)


def wrap(cipher: Cipher, secret: bytes) -> str:
    """A key as the keyring stores it, sealed by the newest of the installation's own."""
    return cipher.seal(b2a_base64(secret, newline=False).decode("ascii"))


def unwrap(cipher: Cipher, wrapped: str) -> bytes:
    """Raises KeyProblem when none of the installation's keys opens it."""
    try:
        return a2b_base64(cipher.open(wrapped))
    except KeyProblem:
        raise KeyProblem(
            "no key of AMENDS_ENCRYPTION_KEYS, or of the key file in AMENDS_HOME, opens this database: put the key "
            "it was made with back (behind newer ones)"
        ) from None


def to_json(value: Any) -> str:
    return to_json_bytes(value).decode()


def to_json_bytes(value: Any) -> bytes:
    """As short as can be, with null for what is no number in JSON. What orjson cannot write, such as an integer of more
    than 64 bits, Python does.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
