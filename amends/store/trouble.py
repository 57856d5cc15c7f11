"""What a database error means for whoever meets it: is it worth another try, and what would a person have to do?"""

from enum import Enum, auto
from sqlite3 import (
    SQLITE_BUSY,
    SQLITE_CANTOPEN,
    SQLITE_CORRUPT,
    SQLITE_FULL,
    SQLITE_IOERR,
    SQLITE_LOCKED,
    SQLITE_NOTADB,
    SQLITE_PERM,
    SQLITE_READONLY,
)

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError


class Trouble(Enum):
    """Kinds of trouble of the database itself, as opposed to a wrong statement."""

    AWAY = auto()
    """It does not answer, or the connection broke."""
    BUSY = auto()
    """Somebody else's transaction was in the way: a lock, a deadlock, a serialization failure."""
    FULL = auto()
    """Its disk is full."""
    READ_ONLY = auto()
    """It may be read but not written."""
    DAMAGED = auto()
    """Its file is corrupt, or no database at all."""


_OF_SQLITE = {
    SQLITE_BUSY: Trouble.BUSY,
    SQLITE_LOCKED: Trouble.BUSY,
    SQLITE_FULL: Trouble.FULL,
    SQLITE_READONLY: Trouble.READ_ONLY,
    SQLITE_PERM: Trouble.READ_ONLY,
    SQLITE_IOERR: Trouble.AWAY,
    SQLITE_CANTOPEN: Trouble.AWAY,
    SQLITE_CORRUPT: Trouble.DAMAGED,
    SQLITE_NOTADB: Trouble.DAMAGED,
}
# PostgreSQL's SQLSTATE, by its longest known beginning (PostgreSQL's documentation, appendix A).
_OF_POSTGRES = {
    "08": Trouble.AWAY,  # connection exception
    "25P03": Trouble.AWAY,  # idle_in_transaction_session_timeout
    "25006": Trouble.READ_ONLY,
    "40": Trouble.BUSY,  # transaction rollback: 40001 serialization failure, 40P01 deadlock
    "53": Trouble.AWAY,  # insufficient resources: memory, connections
    "53100": Trouble.FULL,
    "55P03": Trouble.BUSY,  # lock_timeout
    "57": Trouble.AWAY,  # operator intervention: shut down, restarting
    "57014": Trouble.BUSY,  # statement_timeout, or cancelled
    "58": Trouble.AWAY,  # system error: I/O
    "XX001": Trouble.DAMAGED,
    "XX002": Trouble.DAMAGED,
}


def trouble_of(error: object) -> Trouble | None:
    """The kind of trouble that `error` tells of; None when it is no error of the database's own."""
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _OF_SQLITE.get(code & 0xFF)
    state = getattr(error.orig, "sqlstate", None) or ""
    known = next((_OF_POSTGRES[state[:n]] for n in (5, 2) if state[:n] in _OF_POSTGRES), None)
    if known is not None:
        return known
    # A driver that has lost its server has no code to give.
    broken = error.connection_invalidated or (
        not state and isinstance(error, OperationalError | InterfaceError)
    )
    return Trouble.AWAY if broken else None


def may_pass(error: object) -> bool:
    """Whether the same transaction may succeed when it is begun again, in a while."""
    return trouble_of(error) not in (None, Trouble.DAMAGED)
