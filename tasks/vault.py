"""The store's credentials as the token vault that connectors ask for."""

from datetime import datetime

from amends.store import credentials
from amends.store.engine import Store
from connectors.ports import Tokens


class StoreVault:
    """Keeps tokens in the store; every method is one short committed transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, account: str) -> Tokens | None:
        with self._store.read() as tx:
            found = credentials.load(tx, account)
        return Tokens(found.access_token, found.refresh_token, found.expires_at) if found else None

    def save(self, account: str, tokens: Tokens) -> None:
        pair = credentials.Credentials(tokens.access_token, tokens.refresh_token, tokens.expires_at)
        with self._store.begin() as tx:
            credentials.save(tx, account, pair)

    def acquire(self, account: str, holder: str, until: datetime, now: datetime) -> bool:
        with self._store.begin() as tx:
            return credentials.acquire(tx, account, holder, until, now)

    def release(self, account: str, holder: str) -> None:
        with self._store.begin() as tx:
            credentials.release(tx, account, holder)
