"""The book: what the vendor really received and what it said, the yardstick for duplicates and losses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal[
    "zns",
    "zns_refused",
    "chat",
    "chat_refused",
    "agent_notification",
    "webhook",
    "webhook_lost",
]
Entry = dict[str, Any]


@dataclass(slots=True)
class Book:
    """Entries in order of arrival, in memory; `n` counts from 1 without gaps."""

    entries: list[Entry] = field(default_factory=list)
    by_msg_id: dict[str, Entry] = field(default_factory=dict)

    def enter(self, kind: Kind, at: datetime, fields: Mapping[str, Any]) -> Entry:
        """Append one entry; `at` is the sandbox's clock, aware UTC."""
        entry: Entry = {"n": len(self.entries) + 1, "at": at.isoformat(), "kind": kind, **fields}
        self.entries.append(entry)
        if kind == "zns":
            self.by_msg_id[entry["msg_id"]] = entry
        return entry

    def select(self, wanted: Mapping[str, str], after: int = 0) -> Iterator[Entry]:
        """Entries with n > `after` whose fields equal all of `wanted`, compared as text."""
        for entry in self.entries[after:]:
            if all(str(entry.get(name)) == value for name, value in wanted.items()):
                yield entry
