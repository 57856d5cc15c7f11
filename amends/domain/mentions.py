"""Does this text or row name that person? For erasure and access: a contact may stand anywhere in what we keep."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_SEPARATOR = r"[\s.()\-\u00a0]{0,2}"


class Named:
    """Recognises one person by phone numbers (E.164 without plus), mail addresses and Zalo user ids."""

    def __init__(self, phones: Collection[str], mails: Collection[str], uids: Collection[str] = ()) -> None:
        self._patterns = [_phone_pattern(phone) for phone in phones] + [_mail_pattern(mail) for mail in mails]
        self._uids = frozenset(uids)

    def __repr__(self) -> str:
        return "Named(***)"

    def in_value(self, value: Any) -> bool:
        """Whether any text or number inside the decoded JSON value names the person, in whichever spelling."""
        return any(self._in_text(text) for text in _texts(value))

    def in_key(self, key: str) -> bool:
        """Whether a webhook's key names them: its parts are joined by colons, and one may be a user id."""
        return not self._uids.isdisjoint(key.split(":"))

    def _in_text(self, text: str) -> bool:
        return text in self._uids or any(pattern.search(text) for pattern in self._patterns)


def _phone_pattern(phone: str) -> re.Pattern[str]:
    """The number in every grouping; a Vietnamese one with its country code, its zero, or (spreadsheets) neither."""
    if phone.startswith("84"):
        head, core = rf"(?:(?:\+|00)?{_SEPARATOR}84{_SEPARATOR})?0?{_SEPARATOR}", phone[2:]
    else:
        head, core = rf"(?:\+|00)?{_SEPARATOR}", phone
    return re.compile(rf"(?<!\d){head}{_SEPARATOR.join(core)}(?!\d)")


def _mail_pattern(mail: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.+%\-]){re.escape(mail)}(?![\w\-]|\.\w)", re.IGNORECASE)


def _texts(value: Any) -> Iterator[str]:
    """Every name, text and number inside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
