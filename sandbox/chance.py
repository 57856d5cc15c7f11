"""Chance without a generator: every draw is a hash of the seed and of what it is about.

There is no state to advance, so no draw depends on the order in which requests arrive.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def digest(seed: int, *about: object, size: int = 8) -> bytes:
    """`size` bytes that depend on the seed and on every part of `about`, and on nothing else."""
    key = "\x1f".join([str(seed), *map(str, about)])
    return blake2b(key.encode(), digest_size=size).digest()


def share(seed: int, *about: object) -> float:
    """A number in [0, 1), evenly spread."""
    return (int.from_bytes(digest(seed, *about)) >> 11) / 2**53


def pick(options: Sequence[T], seed: int, *about: object) -> T:
    """One of `options`, all equally likely."""
    return options[int(share(seed, *about) * len(options))]
