"""The keyring: data keys and the index key, sealed by the installation's own keys. The first are made by a migration.

A data key is for AES-GCM with random nonces: good for some four thousand million values, and renewed long before.
"""

from enum import StrEnum

import sqlalchemy as sa

from amends.encryption import Cipher, KeyProblem
from amends.sealing import Keys, new_secret, unwrap, wrap
from amends.store.schema import keyring


class Purpose(StrEnum):
    DATA = "data"
    INDEX = "index"


def load(tx: sa.Connection, cipher: Cipher) -> Keys:
    """All keys, opened. Raises KeyProblem when `cipher` does not open them, or there are none."""
    rows = tx.execute(sa.select(keyring).order_by(keyring.c.id)).all()
    data = {row.id: unwrap(cipher, row.wrapped) for row in rows if row.purpose == Purpose.DATA}
    index = [unwrap(cipher, row.wrapped) for row in rows if row.purpose == Purpose.INDEX]
    if not data or len(index) != 1:
        raise KeyProblem(
            "the table keyring is not whole, and without it the customers' data in this database cannot be read: "
            "restore the database from a backup"
        )
    return Keys(data, index[0])


def renew(tx: sa.Connection, cipher: Cipher) -> int:
    """Add a data key; what is sealed from now on is sealed under it. Returns its id. Old ones stay."""
    values = {"purpose": Purpose.DATA.value, "wrapped": wrap(cipher, new_secret())}
    return int(tx.execute(keyring.insert().values(values).returning(keyring.c.id)).scalar_one())


def rewrap(tx: sa.Connection, cipher: Cipher) -> int:
    """Seal every key by the newest of the installation's own; returns how many there are. Raises KeyProblem."""
    rows = tx.execute(sa.select(keyring)).all()
    for row in rows:
        wrapped = wrap(cipher, unwrap(cipher, row.wrapped))
        tx.execute(keyring.update().where(keyring.c.id == row.id).values(wrapped=wrapped))
    return len(rows)


def wrappings(tx: sa.Connection) -> list[str]:
    """Every key as it is stored."""
    return list(tx.execute(sa.select(keyring.c.wrapped).order_by(keyring.c.id)).scalars())
