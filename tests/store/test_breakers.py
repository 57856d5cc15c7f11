"""Breakers in the database: nothing is kept of a channel that works, and one sweep at a time tries one that rests."""

from amends.domain.breaker import CLOSED, Breaker
from amends.store import breakers
from amends.store.engine import Store
from tests.domain.examples import HOUR, NINE
from tests.store.rows import MINUTE

OPEN = Breaker(openings=1, retry_at=NINE)


def test_a_breaker_is_kept_until_it_is_closed(store: Store) -> None:
    with store.begin() as tx:
        assert breakers.load_locked(tx, "zns") == CLOSED
        breakers.save(tx, "zns", Breaker(failures=3))
        breakers.save(tx, "zns", OPEN)
        breakers.save(tx, "email", Breaker(allowance=4, openings=2))
        assert breakers.load(tx) == {"zns": OPEN, "email": Breaker(allowance=4, openings=2)}
        assert breakers.load_locked(tx, "zns") == OPEN
        breakers.save(tx, "zns", CLOSED)
        assert set(breakers.load(tx)) == {"email"}


def test_one_sweep_at_a_time_tries_it_and_a_dead_ones_turn_ends(store: Store) -> None:
    with store.begin() as tx:
        breakers.save(tx, "zns", OPEN)
        assert not breakers.try_it(tx, "zns", "one", NINE - MINUTE, NINE + HOUR)
        assert breakers.try_it(tx, "zns", "one", NINE, NINE + HOUR)
        assert breakers.try_it(tx, "zns", "one", NINE, NINE + HOUR)
        assert not breakers.try_it(tx, "zns", "two", NINE + MINUTE, NINE + HOUR)
        assert breakers.try_it(tx, "zns", "two", NINE + HOUR + MINUTE, NINE + 2 * HOUR)


def test_whoever_tried_it_gives_the_turn_back_with_the_result(store: Store) -> None:
    with store.begin() as tx:
        breakers.save(tx, "zns", OPEN)
        breakers.try_it(tx, "zns", "one", NINE, NINE + HOUR)
        breakers.save(tx, "zns", Breaker(openings=2, retry_at=NINE + MINUTE))
        assert breakers.try_it(tx, "zns", "two", NINE + MINUTE, NINE + HOUR)
