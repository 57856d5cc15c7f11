"""The rule of the ledger's keys, the one that no SQL can ask: each is derived anew, and compared."""

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from amends.store.audit.rule import EXAMPLES, Finding, Rule, Violation
from amends.store.engine import Tx
from amends.store.schema import effects

CHUNK = 5_000
"""Rows in memory at once."""

_NAMESPACE = uuid.UUID("6b1d5c1e-6f0a-5d0e-9a53-3d1f8f0a7c21").bytes
"""For ever: with another one, what was sent yesterday would be sent again."""


def _derived(journey: str, case_id: int, step: str, channel: str, ordinal: int) -> str:
    """UUIDv5 (RFC 9562) of the five that make an effect, spelled out here so that a changed spelling shows."""
    name = f"{journey}:{case_id}:{step}:{channel}:{ordinal}".encode()
    digest = hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _everything() -> sa.Select[Any]:
    row = effects.c
    return sa.select(row.id, row.journey, row.case_id, row.step, row.channel, row.ordinal, row.key).order_by(
        row.id
    )


KEY_RULE = Rule(
    "effect.key",
    "The key of every effect is that of its journey, case, step, channel and ordinal.",
    "Nothing can be looked up at the vendor, nor kept from being sent again, under another key: report it as a bug.",
    "effect",
    _everything,
)


def ask_keys(tx: Tx) -> Finding:
    """Derive every key anew. About ten seconds per million effects."""
    count = 0
    listed: list[Violation] = []
    for row in _wrong(tx):
        count += 1
        if len(listed) < EXAMPLES:
            listed.append(Violation(f"effect {row.id}", row.case_id, row.journey))
    return Finding(KEY_RULE, count, tuple(listed))


def _wrong(tx: Tx) -> Iterator[Any]:
    rows = tx.execute(_everything().execution_options(yield_per=CHUNK))
    for row in rows:
        key = _derived(row.journey, row.case_id, row.step, row.channel, row.ordinal)
        if row.key != key:
            yield row
