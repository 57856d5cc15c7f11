"""The audit: what must be true of our rows, asked of the rows themselves, in one consistent snapshot.

It reads whole tables, so it is for an hourly look and not for sweeps. It shares the tables with the code that
writes them and nothing else: every rule is stated here once more, in its own words.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from amends.store.audit.cases import CASES
from amends.store.audit.effects import EFFECTS
from amends.store.audit.inbox import INBOX
from amends.store.audit.keys import KEY_RULE, ask_keys
from amends.store.audit.money import MONEY
from amends.store.audit.rule import EXAMPLES, Finding, Rule, Violation, ask
from amends.store.audit.tickets import TICKETS
from amends.store.engine import Store, Tx

__all__ = ["EXAMPLES", "PARTS", "RULES", "Books", "Finding", "Rule", "Violation", "audit", "opened_books"]

PARTS: Mapping[str, tuple[Rule, ...]] = {
    "inbox": INBOX,
    "cases": CASES,
    "tickets": TICKETS,
    "effects": (*EFFECTS, KEY_RULE),
    "money": MONEY,
}
RULES = tuple(rule for rules in PARTS.values() for rule in rules)


@dataclass(frozen=True, slots=True)
class Books:
    """The rows as they stood at one moment, whatever sweeps do meanwhile."""

    tx: Tx
    now: datetime

    def check(self, part: str) -> list[Finding]:
        """How each rule of that part of the books fared."""
        return [
            ask_keys(self.tx) if rule is KEY_RULE else ask(self.tx, rule, self.now) for rule in PARTS[part]
        ]


@contextmanager
def opened_books(store: Store, now: datetime) -> Iterator[Books]:
    """Open a snapshot for reading; `now` is aware. It holds up no writer."""
    with store.read(snapshot=True) as tx:
        yield Books(tx, now)


def audit(store: Store, now: datetime) -> list[Finding]:
    """Check every rule."""
    with opened_books(store, now) as books:
        return [finding for part in PARTS for finding in books.check(part)]
