"""Vendor tokens: one pair per account, and one refresher at a time over all processes."""

from datetime import datetime, timedelta

from amends.store import credentials
from amends.store.credentials import Credentials
from amends.store.engine import Store, Tx
from tests.domain.examples import HOUR, NINE
from tests.store.rows import at_once

PAIR = Credentials("access-1", "refresh-1", NINE + HOUR)
LEASE = timedelta(seconds=30)


def acquire(tx: Tx, holder: str, now: datetime = NINE) -> bool:
    return credentials.acquire(tx, "zalo:shop", holder, now + LEASE, now)


def test_what_was_saved_is_loaded(store: Store) -> None:
    with store.begin() as tx:
        assert credentials.load(tx, "zalo:shop") is None
        credentials.save(tx, "zalo:shop", PAIR)
        assert credentials.load(tx, "zalo:shop") == PAIR
        assert credentials.load(tx, "zalo:other") is None


def test_a_new_pair_replaces_the_old_one(store: Store) -> None:
    new = Credentials("access-2", "refresh-2", NINE + 2 * HOUR)
    with store.begin() as tx:
        credentials.save(tx, "zalo:shop", PAIR)
        credentials.save(tx, "zalo:shop", new)
        assert credentials.load(tx, "zalo:shop") == new


def test_no_repr_shows_a_token() -> None:
    assert "access-1" not in repr(PAIR)
    assert "refresh-1" not in repr(PAIR)


def test_only_one_holder_refreshes(store: Store) -> None:
    with store.begin() as tx:
        assert acquire(tx, "one")
        assert not acquire(tx, "other")
        assert acquire(tx, "one")


def test_a_dead_holders_lease_ends(store: Store) -> None:
    with store.begin() as tx:
        acquire(tx, "dead")
        assert not acquire(tx, "other", NINE + LEASE)
        assert acquire(tx, "other", NINE + LEASE + timedelta(seconds=1))


def test_a_released_lock_is_free_and_only_its_holder_releases_it(store: Store) -> None:
    with store.begin() as tx:
        acquire(tx, "one")
        credentials.release(tx, "zalo:shop", "other")
        assert not acquire(tx, "other")
        credentials.release(tx, "zalo:shop", "one")
        assert acquire(tx, "other")


def test_each_account_has_its_own_lock(store: Store) -> None:
    with store.begin() as tx:
        acquire(tx, "one")
        assert credentials.acquire(tx, "zalo:other", "two", NINE + LEASE, NINE)


def test_locking_before_the_first_save_leaves_no_tokens(store: Store) -> None:
    with store.begin() as tx:
        acquire(tx, "one")
        assert credentials.load(tx, "zalo:shop") is None


def test_saving_does_not_break_the_lock(store: Store) -> None:
    with store.begin() as tx:
        acquire(tx, "one")
        credentials.save(tx, "zalo:shop", PAIR)
        assert not acquire(tx, "other")


def test_in_a_race_one_process_refreshes(store: Store) -> None:
    def try_it(holder: str) -> bool:
        with store.begin() as tx:
            return acquire(tx, holder)

    won = at_once([lambda holder=holder: try_it(holder) for holder in "abcd"])  # type: ignore[misc]
    assert sum(won) == 1
