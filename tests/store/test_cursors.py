"""Cursors and rotas: where polls stand, and whose turn it is."""

from amends.store import cursors
from amends.store.engine import Store
from tests.store.rows import at_once


def test_a_cursor_is_unknown_until_it_is_put(store: Store) -> None:
    with store.begin() as tx:
        assert cursors.get(tx, "ratings:320003") is None
        cursors.put(tx, "ratings:320003", "2026-11-02")
        cursors.put(tx, "ratings:320003", "2026-11-03")
        assert cursors.get(tx, "ratings:320003") == "2026-11-03"


def test_cursors_do_not_share_their_values(store: Store) -> None:
    with store.begin() as tx:
        cursors.put(tx, "file:a.csv", "1")
        assert cursors.get(tx, "file:b.csv") is None


def test_a_rota_counts_from_zero(store: Store) -> None:
    with store.begin() as tx:
        assert [[*cursors.take_numbers(tx, "rota:q1", count)] for count in (1, 3, 1)] == [[0], [1, 2, 3], [4]]
        assert [*cursors.take_numbers(tx, "rota:q2", 1)] == [0]


def test_in_a_race_no_two_transactions_get_the_same_number(store: Store) -> None:
    def take() -> list[int]:
        taken: list[int] = []
        for _ in range(10):
            with store.begin() as tx:
                taken += cursors.take_numbers(tx, "rota:q1", 3)
        return taken

    shares = at_once([take] * 4)
    assert sorted(number for share in shares for number in share) == list(range(120))
    assert all(share == sorted(share) for share in shares)


def test_a_number_of_a_failed_transaction_is_taken_again(store: Store) -> None:
    with store.engine.connect() as tx:
        cursors.take_numbers(tx, "rota:q1", 2)
        tx.rollback()
    with store.begin() as tx:
        assert [*cursors.take_numbers(tx, "rota:q1", 2)] == [0, 1]
