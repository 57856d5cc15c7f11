"""A look at how deep JSON is nested, while it is read: the parser's memory grows with the square of the depth."""

import re
from typing import IO, Protocol

from amends.domain.intake import DEEPEST

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_REST_OF_STRING = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
_BACKSLASHES = re.compile(rb"\\*\Z")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class TooDeep(ValueError):
    """The JSON is nested deeper than anybody's reviews are."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {DEEPEST} levels")


class Readable(Protocol):
    """What the parser needs of a file."""

    def read(self, size: int = -1, /) -> bytes: ...


class Shallow:
    """A file of UTF-8 JSON that raises TooDeep in `read` before the parser sees the depth."""

    def __init__(self, file: Readable | IO[bytes]) -> None:
        self._file = file
        self._depth = 0
        self._in_string = False
        self._escape = b""

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._look_at(chunk)
        return chunk

    def _look_at(self, chunk: bytes) -> None:
        data = self._escape + chunk
        self._escape = b""
        if self._in_string:
            ended = _REST_OF_STRING.match(data)
            if ended is None:
                self._escape = _half_escape(data)
                return
            data = data[ended.end() :]
        bare, quote, begun = _STRING.sub(b"", data).partition(b'"')
        self._in_string = bool(quote)
        if quote:
            self._escape = _half_escape(begun)
        for bracket in bare.translate(None, _ALL_BUT_BRACKETS):
            self._depth += 1 if bracket in b"[{" else -1
            if self._depth > DEEPEST:
                raise TooDeep


def _half_escape(data: bytes) -> bytes:
    """A backslash at the end of a chunk whose other half is in the next."""
    found = _BACKSLASHES.search(data)
    return b"\\" if found and len(found[0]) % 2 else b""
