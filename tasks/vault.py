"""The store's credentials as the token vault that connectors ask for. Tokens are sealed before they are stored."""

from datetime import datetime

from amends.encryption import Cipher, KeyProblem, is_sealed
from amends.store import credentials
from amends.store.engine import Store
from connectors.ports import Tokens, VaultProblem


class StoreVault:
    """Keeps tokens in the store; every method is one short committed transaction.

    `load` raises `VaultProblem` when no key of this installation opens what is stored.
    """

    def __init__(self, store: Store, cipher: Cipher) -> None:
        self._store = store
        self._cipher = cipher

    def load(self, account: str) -> Tokens | None:
        with self._store.read() as tx:
            found = credentials.load(tx, account)
        if found is None:
            return None
        try:
            opened = Tokens(
                self._cipher.open(found.access_token),
                self._cipher.open(found.refresh_token),
                found.expires_at,
            )
        except KeyProblem as problem:
            raise VaultProblem(str(problem)) from None
        if not is_sealed(found.refresh_token):
            with self._store.begin() as tx:  # stored before there was encryption
                credentials.exchange(tx, account, found, self._sealed(opened))
        return opened

    def save(self, account: str, tokens: Tokens) -> None:
        with self._store.begin() as tx:
            credentials.save(tx, account, self._sealed(tokens))

    def _sealed(self, tokens: Tokens) -> credentials.Credentials:
        return credentials.Credentials(
            self._cipher.seal(tokens.access_token), self._cipher.seal(tokens.refresh_token), tokens.expires_at
        )

    def acquire(self, account: str, holder: str, until: datetime, now: datetime) -> bool:
        with self._store.begin() as tx:
            return credentials.acquire(tx, account, holder, until, now)

    def release(self, account: str, holder: str) -> None:
        with self._store.begin() as tx:
            credentials.release(tx, account, holder)
