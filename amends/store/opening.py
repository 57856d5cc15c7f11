"""Opening what an installation keeps, with its keys: the database and the spool."""

from amends.encryption import cipher_of
from amends.settings import Settings
from amends.store.engine import Store
from amends.store.spool import Spool


def open_store(settings: Settings) -> Store:
    """The database of these settings, not yet migrated. Raises ValueError for a wrong URL, KeyProblem, OSError."""
    return Store(settings.database(), cipher_of(settings))


def open_spool(settings: Settings) -> Spool:
    """The spool, made if there is none. It needs no database. Raises KeyProblem, OSError, sqlite3.Error."""
    return Spool(settings.spool_file(), cipher_of(settings))
