"""A staff contact that is a file: one JSON line per notification, for demos, tests and hand-overs by file.

Apprise has no file plugin. A file of our own can also do what a plugin of Apprise could not: write the
message's key, so that a reader can tell a repeated notification from a second one.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from amends.domain.outcome import Outcome, OutcomeClass
from connectors.ports import Message

SCHEME = "amends-file"


@dataclass(frozen=True, slots=True)
class InboxFile:
    """Lines of `key`, `at` (ISO, UTC), `contact`, `subject` and `body`; readable by the owner only."""

    path: Path

    @classmethod
    def from_url(cls, url: str) -> "InboxFile | None":
        """From `amends-file:///absolute/file` or `amends-file://relative/file`; None for another scheme."""
        parts = urlsplit(url)
        if parts.scheme != SCHEME or not (parts.netloc + parts.path).strip("/"):
            return None
        return cls(Path(unquote(parts.netloc + parts.path)))

    def writable(self) -> bool:
        """Whether a line could be appended, as far as rights and folders tell; writes nothing."""
        if self.path.exists():
            return os.access(self.path, os.W_OK)
        there = next((folder for folder in self.path.absolute().parents if folder.exists()), None)
        return there is not None and there.is_dir() and os.access(there, os.W_OK)

    def append(self, message: Message, now: datetime) -> Outcome:
        """Blocking; the line is on the disk when this returns `ACCEPTED`."""
        line = json.dumps(
            {
                "key": message.key,
                "at": now.isoformat(),
                "contact": message.recipient.contact,
                "subject": message.subject,
                "body": message.body,
            },
            ensure_ascii=False,
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # One write in append mode: lines of several processes do not run into each other.
                os.write(file, f"{line}\n".encode())
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            return Outcome(
                OutcomeClass.NEEDS_HUMAN,
                code=type(error).__name__,
                detail=f"the inbox file of contact {message.recipient.contact!r} cannot be written: "
                f"{error.strerror}",
                stops="target",
            )
        return Outcome(OutcomeClass.ACCEPTED, provider_id=message.key)
