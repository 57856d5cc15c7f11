"""The vault: tokens are sealed in the database, whatever was there before, and keys can be changed."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from amends.encryption import Cipher, is_sealed, new_key
from amends.store import credentials as table_of_tokens
from amends.store.credentials import Credentials
from amends.store.engine import Store
from amends.store.schema import credentials
from connectors.ports import Tokens, VaultProblem
from tasks.vault import StoreVault
from tests.domain.examples import HOUR, NINE

ACCOUNT = "zalo:app-1"
KEY, OTHER = new_key(), new_key()
TOKENS = Tokens("access-token-one", "refresh-token-one", NINE + HOUR)
NEWER = Tokens("access-token-two", "refresh-token-two", NINE + 2 * HOUR)


def vault(store: Store, *keys: str) -> StoreVault:
    return StoreVault(store, Cipher(keys or [KEY]))


def raw(store: Store) -> tuple[str, str]:
    """The two columns as they are in the database."""
    with store.read() as tx:
        row = tx.execute(sa.select(credentials.c.access_token, credentials.c.refresh_token)).one()
    return row.access_token, row.refresh_token


def store_in_plain_text(store: Store) -> None:
    """What a version without encryption has left."""
    pair = Credentials(TOKENS.access_token, TOKENS.refresh_token, TOKENS.expires_at)
    with store.begin() as tx:
        table_of_tokens.save(tx, ACCOUNT, pair)


def test_what_was_saved_is_loaded_and_sealed_in_the_database(store: Store) -> None:
    vault(store).save(ACCOUNT, TOKENS)
    assert vault(store).load(ACCOUNT) == TOKENS
    for column in raw(store):
        assert is_sealed(column)
        assert "token-one" not in column


def test_an_account_that_never_logged_in_has_no_tokens(store: Store) -> None:
    assert vault(store).load(ACCOUNT) is None
    assert vault(store).acquire(ACCOUNT, "one", NINE + HOUR, NINE)
    assert vault(store).load(ACCOUNT) is None


def test_a_wrong_key_is_a_vault_problem_that_says_what_to_do_and_shows_nothing(store: Store) -> None:
    vault(store).save(ACCOUNT, TOKENS)
    before = raw(store)
    with pytest.raises(VaultProblem, match=r"AMENDS_ENCRYPTION_KEYS.*amends zalo login") as caught:
        vault(store, OTHER).load(ACCOUNT)
    assert not any(secret in str(caught.value) for secret in ("token-one", KEY, OTHER, *before))
    assert raw(store) == before


def test_a_new_log_in_replaces_what_no_key_opens(store: Store) -> None:
    vault(store).save(ACCOUNT, TOKENS)
    vault(store, OTHER).save(ACCOUNT, NEWER)
    assert vault(store, OTHER).load(ACCOUNT) == NEWER


def test_a_key_is_changed_by_putting_a_new_one_in_front(store: Store) -> None:
    vault(store).save(ACCOUNT, TOKENS)
    assert vault(store, OTHER, KEY).load(ACCOUNT) == TOKENS
    vault(store, OTHER, KEY).save(ACCOUNT, NEWER)
    assert vault(store, OTHER).load(ACCOUNT) == NEWER


def test_plain_text_of_an_older_version_is_read_and_sealed_by_that(store: Store) -> None:
    store_in_plain_text(store)
    assert vault(store).load(ACCOUNT) == TOKENS
    sealed = raw(store)
    assert all(map(is_sealed, sealed))
    assert vault(store).load(ACCOUNT) == TOKENS
    assert raw(store) == sealed


class Interrupted(Cipher):
    """A cipher during whose work another process refreshes the tokens."""

    def __init__(self, store: Store) -> None:
        super().__init__([KEY])
        self.store = store

    def open(self, sealed: str) -> str:
        vault(self.store).save(ACCOUNT, NEWER)
        return super().open(sealed)


def test_sealing_plain_text_does_not_undo_a_refresh_that_comes_between(store: Store) -> None:
    """A refresh token that was used is dead: putting it back would end the installation."""
    store_in_plain_text(store)
    StoreVault(store, Interrupted(store)).load(ACCOUNT)
    assert vault(store).load(ACCOUNT) == NEWER


def test_sealing_leaves_the_refresh_lock_to_its_holder(store: Store) -> None:
    store_in_plain_text(store)
    assert vault(store).acquire(ACCOUNT, "one", NINE + timedelta(seconds=30), NINE)
    vault(store).load(ACCOUNT)
    assert not vault(store).acquire(ACCOUNT, "two", NINE + HOUR, NINE)
    vault(store).release(ACCOUNT, "one")
    assert vault(store).acquire(ACCOUNT, "two", NINE + HOUR, NINE)
