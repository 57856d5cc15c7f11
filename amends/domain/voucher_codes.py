"""Voucher codes: hard to guess, easy to read out over the phone."""

import secrets

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""No 0/O, 1/I/L: a code is read from a small screen and typed by a cashier."""


def generated_code(prefix: str) -> str:
    """A fresh random code: the prefix and ten characters (about 49 bits, so collisions and guesses are hopeless)."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(10))
