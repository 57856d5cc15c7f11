"""How many requests each door took in and turned away; in memory, so that a flood of forgeries costs no writes."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Literal

Outcome = Literal[
    "accepted",
    "duplicate",
    "forged",
    "replayed",
    "stale",
    "oversized",
    "truncated",
    "slow",
    "not_json",
    "unknown_source",
    "unavailable",
]

ZALO = "zalo"
"""The door of requests to Zalo's URL that belong to no account of ours, or not yet known to."""
WEBHOOK = "webhook"
"""The door of requests to sources we do not have: one name for all, or strangers could fill our memory."""
CONNECTION = "connection"
"""The door of connections that were turned away before they named any other."""


class Counts:
    """Counters by (door, outcome). Doors are those of the settings and the three above; safe for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[tuple[str, str]] = Counter()
        self._new: Counter[tuple[str, str]] = Counter()

    def add(self, door: str, outcome: Outcome) -> None:
        with self._lock:
            self._totals[door, outcome] += 1
            self._new[door, outcome] += 1

    def take(self) -> dict[tuple[str, str], int]:
        """What was counted since the last `take`; it is counted from zero again."""
        with self._lock:
            taken, self._new = self._new, Counter()
        return dict(taken)

    def put_back(self, taken: Mapping[tuple[str, str], int]) -> None:
        """What `take` gave could not be written down: give it again next time. Totals do not change."""
        with self._lock:
            self._new.update(taken)

    def totals(self) -> dict[tuple[str, str], int]:
        """Everything counted since this process started."""
        with self._lock:
            return dict(self._totals)
