"""Vendor tokens: one row per account, one refresher at a time over all processes."""

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from amends.encryption import Cipher, KeyProblem
from amends.store.engine import Tx
from amends.store.schema import credentials
from amends.store.sql import locked, upsert


@dataclass(frozen=True, slots=True)
class Credentials:
    """A pair of tokens; `expires_at` is the access token's end, aware UTC."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


def load(tx: Tx, account: str) -> Credentials | None:
    row = tx.execute(sa.select(credentials).where(credentials.c.account == account)).one_or_none()
    if row is None or not row.access_token:
        return None
    return Credentials(row.access_token, row.refresh_token, row.expires_at)


def save(tx: Tx, account: str, pair: Credentials) -> None:
    values = {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_at": pair.expires_at,
    }
    statement = upsert(tx, credentials).values(account=account, **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["account"], set_=values))


def exchange(tx: Tx, account: str, old: Credentials, pair: Credentials) -> None:
    """Put `pair` in the place of `old`, unless somebody has saved another one meanwhile."""
    statement = credentials.update().where(
        credentials.c.account == account, credentials.c.refresh_token == old.refresh_token
    )
    tx.execute(statement.values(access_token=pair.access_token, refresh_token=pair.refresh_token))


def stored_tokens(tx: Tx) -> list[str]:
    """Every token as it is stored."""
    query = sa.select(credentials.c.access_token, credentials.c.refresh_token)
    return [token for row in tx.execute(query) for token in row if token]


def reseal(tx: Tx, cipher: Cipher) -> list[str]:
    """Seal all tokens under the newest key; returns the accounts whose tokens no key opens. Those stay as they are."""
    lost = []
    for row in tx.execute(locked(tx, sa.select(credentials).order_by(credentials.c.account))).all():
        if not row.access_token:
            continue
        old = Credentials(row.access_token, row.refresh_token, row.expires_at)
        try:
            access, refresh = cipher.open(old.access_token), cipher.open(old.refresh_token)
        except KeyProblem:
            lost.append(row.account)
            continue
        sealed = Credentials(cipher.seal(access), cipher.seal(refresh), old.expires_at)
        exchange(tx, row.account, old, sealed)
    return lost


def acquire(tx: Tx, account: str, holder: str, until: datetime, now: datetime) -> bool:
    """Take the refresh lock unless somebody else's lease on it is still running."""
    tx.execute(upsert(tx, credentials).values(account=account).on_conflict_do_nothing())
    free = sa.or_(
        credentials.c.lease_until.is_(None),
        credentials.c.lease_until < now,
        credentials.c.lease_owner == holder,
    )
    statement = credentials.update().where(credentials.c.account == account, free)
    return tx.execute(statement.values(lease_owner=holder, lease_until=until)).rowcount == 1


def release(tx: Tx, account: str, holder: str) -> None:
    mine = credentials.c.account == account, credentials.c.lease_owner == holder
    tx.execute(credentials.update().where(*mine).values(lease_owner=None, lease_until=None))
