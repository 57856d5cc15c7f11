"""Correctness first: what every run has to show before its speed counts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from amends.store.audit import audit
from amends.store.engine import Store
from benchmarks.part import FailedRun

Entry = Mapping[str, Any]
"""One accepted request in the vendor's book."""


def verified(store: Store, now: datetime) -> None:
    """The audit of `amends verify`; raises FailedRun when a rule is violated."""
    violated = [finding for finding in audit(store, now) if finding.violated]
    if violated:
        told = ", ".join(f"{finding.rule.id} {finding.count}x" for finding in violated)
        raise FailedRun(f"verify: {told}")


def same_book(book: Iterable[Entry], expected: Mapping[str, int], name: Callable[[Entry], str]) -> None:
    """The vendor accepted just what was expected of each kind or key; `name` says which one an entry counts for.

    Raises FailedRun.
    """
    accepted = Counter(name(entry) for entry in book)
    wrong = {key: (accepted[key], expected.get(key, 0)) for key in accepted.keys() | expected.keys()}
    wrong = {key: counts for key, counts in wrong.items() if counts[0] != counts[1]}
    if wrong:
        examples = ", ".join(
            f"{key}: {have}, expected {want}" for key, (have, want) in sorted(wrong.items())[:5]
        )
        raise FailedRun(f"the vendor's book differs in {len(wrong)} places: {examples}")
