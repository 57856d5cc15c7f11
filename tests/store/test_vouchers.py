"""Vouchers: one per case, each code once, and never more money than the budget, however many sweeps ask."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amends.domain.journey.aftercare import Reward
from amends.store import reports, vouchers
from amends.store.engine import Store, Tx
from amends.store.schema import vouchers as table
from amends.store.vouchers import Voucher
from tests.domain.examples import JOURNEY, NINE
from tests.store.rows import add_case, at_once, wipe


def offer(count: int = 100, vnd: int = 10**9, value: int = 50_000, **changes: Any) -> Reward:
    budget = {"count": count, "vnd": vnd}
    data = {**JOURNEY.reward.model_dump(mode="json"), "budget": budget, "value_vnd": value, **changes}
    return Reward.model_validate(data)


POOLED: dict[str, Any] = {"codes": {"kind": "pool", "path": "codes.txt"}}


def reserve(tx: Tx, reward: Reward, case_id: int) -> Voucher | str:
    return vouchers.reserve(tx, "complaint", reward, [case_id], NINE)[case_id]


def given_to(tx: Tx, case_id: int, reward: Reward | None = None) -> Voucher:
    voucher = reserve(tx, reward or offer(), case_id)
    assert isinstance(voucher, Voucher), voucher
    return voucher


def spent(store: Store) -> tuple[int, int]:
    with store.read() as tx:
        return reports.spent(tx, "complaint")


def state_of(tx: Tx, case_id: int) -> str:
    return str(tx.execute(sa.select(table.c.state).where(table.c.case_id == case_id)).scalar_one())


def test_a_voucher_has_the_prefix_the_value_and_the_days_of_the_journey(store: Store) -> None:
    with store.begin() as tx:
        voucher = given_to(tx, add_case(tx))
    assert voucher.code.startswith("NANG")
    assert len(voucher.code) == 14
    assert voucher.value_vnd == 50_000
    assert voucher.expires_at == NINE + timedelta(days=30)


def test_generated_codes_avoid_what_is_easily_misread(store: Store) -> None:
    with store.begin() as tx:
        written = "".join(given_to(tx, add_case(tx)).code.removeprefix("NANG") for _ in range(50))
    assert not set(written) & set("01OIL")


def test_a_case_asked_twice_keeps_its_voucher_and_costs_once(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        assert given_to(tx, case_id) == given_to(tx, case_id)
    assert spent(store) == (1, 50_000)


@pytest.mark.parametrize(
    ("reward", "affordable"), [(offer(count=3), 3), (offer(vnd=120_000), 2), (offer(count=0), 0)]
)
def test_the_budget_ends_by_number_or_by_money(store: Store, reward: Reward, affordable: int) -> None:
    with store.begin() as tx:
        answers = [reserve(tx, reward, add_case(tx)) for _ in range(5)]
    assert [isinstance(answer, Voucher) for answer in answers] == [True] * affordable + [False] * (
        5 - affordable
    )
    assert spent(store) == (affordable, affordable * 50_000)


def test_an_empty_budget_says_how_much_it_was(store: Store) -> None:
    with store.begin() as tx:
        assert reserve(tx, offer(count=0, vnd=1_000_000), add_case(tx)) == (
            "the budget of 0 vouchers or 1,000,000 VND is used up"
        )


def test_of_many_cases_the_first_get_what_the_budget_has_left(store: Store) -> None:
    with store.begin() as tx:
        before = add_case(tx)
        held = given_to(tx, before, offer(count=3))
        cases = [add_case(tx) for _ in range(4)]
        reserved = vouchers.reserve(tx, "complaint", offer(count=3), [*cases, before, cases[0]], NINE)
        assert reserved[before] == held
        assert [isinstance(reserved[case_id], Voucher) for case_id in cases] == [True, True, False, False]
        assert reserved[cases[3]] == "the budget of 3 vouchers or 1,000,000,000 VND is used up"
        assert len({str(reserved[case_id]) for case_id in cases[:2]}) == 2
    assert spent(store) == (3, 150_000)


def test_of_many_cases_the_first_get_what_the_pool_has_left_and_the_rest_of_the_money_stays(
    store: Store,
) -> None:
    with store.begin() as tx:
        vouchers.add_to_pool(tx, "complaint", ["A", "B"])
        cases = [add_case(tx) for _ in range(3)]
        reserved = vouchers.reserve(tx, "complaint", offer(**POOLED), cases, NINE)
        codes = [found.code if isinstance(found, Voucher) else found for found in reserved.values()]
        assert codes == ["A", "B", "the pool of voucher codes is empty"]
        assert [given_to(tx, case_id, offer(**POOLED)).code for case_id in cases[:2]] == ["A", "B"]
    assert spent(store) == (2, 100_000)


def test_every_journey_has_its_own_budget(store: Store) -> None:
    with store.begin() as tx:
        given_to(tx, add_case(tx), offer(count=1))
        case_id = add_case(tx)
        reserved = vouchers.reserve(tx, "aftercare", offer(count=1), [case_id], NINE)
        assert isinstance(reserved[case_id], Voucher)


def test_a_raised_budget_counts_from_what_was_spent(store: Store) -> None:
    with store.begin() as tx:
        given_to(tx, add_case(tx), offer(count=1))
        given_to(tx, add_case(tx), offer(count=2))
        assert isinstance(reserve(tx, offer(count=2), add_case(tx)), str)


def test_money_is_not_spent_when_the_transaction_fails(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
    with store.engine.connect() as tx:
        given_to(tx, case_id)
        tx.rollback()
    assert spent(store) == (0, 0)


@pytest.mark.parametrize("reward", [offer(count=25), offer(vnd=25 * 50_000)], ids=["by number", "by money"])
def test_sweeps_in_a_race_never_spend_more_than_the_budget(store: Store, reward: Reward) -> None:
    with store.begin() as tx:
        cases = [add_case(tx) for _ in range(40)]

    def sweep(mine: list[int]) -> int:
        won = 0
        for case_id in mine:
            with store.begin() as tx:
                won += isinstance(reserve(tx, reward, case_id), Voucher)
        return won

    won = at_once([lambda mine=cases[start::4]: sweep(mine) for start in range(4)])  # type: ignore[misc]
    assert sum(won) == 25
    assert spent(store) == (25, 25 * 50_000)


def test_pooled_codes_are_given_in_their_order_each_once(store: Store) -> None:
    with store.begin() as tx:
        assert vouchers.add_to_pool(tx, "complaint", ["A1", "B2"]) == 2
        codes = [given_to(tx, add_case(tx), offer(**POOLED)).code for _ in range(2)]
    assert codes == ["A1", "B2"]


def test_known_codes_are_not_added_again(store: Store) -> None:
    with store.begin() as tx:
        vouchers.add_to_pool(tx, "complaint", ["A1"])
        given_to(tx, add_case(tx), offer(**POOLED))
        assert vouchers.add_to_pool(tx, "complaint", ["A1", "B2"]) == 1
        assert given_to(tx, add_case(tx), offer(**POOLED)).code == "B2"


def test_an_empty_pool_costs_nothing(store: Store) -> None:
    with store.begin() as tx:
        assert reserve(tx, offer(**POOLED), add_case(tx)) == "the pool of voucher codes is empty"
    assert spent(store) == (0, 0)


def test_the_pool_of_another_journey_is_not_ours(store: Store) -> None:
    with store.begin() as tx:
        vouchers.add_to_pool(tx, "aftercare", ["A1"])
        assert isinstance(reserve(tx, offer(**POOLED), add_case(tx)), str)


def test_in_a_race_each_pooled_code_goes_to_one_case(store: Store) -> None:
    with store.begin() as tx:
        vouchers.add_to_pool(tx, "complaint", [f"C{n}" for n in range(10)])
        cases = [add_case(tx) for _ in range(12)]

    def take(case_id: int) -> Voucher | str:
        with store.begin() as tx:
            return reserve(tx, offer(**POOLED), case_id)

    answers = at_once([lambda case_id=case_id: take(case_id) for case_id in cases])  # type: ignore[misc]
    codes = [answer.code for answer in answers if isinstance(answer, Voucher)]
    assert sorted(codes) == sorted(f"C{n}" for n in range(10))
    assert spent(store) == (10, 500_000)


def test_a_cancelled_voucher_gives_its_money_back_once(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        given_to(tx, case_id)
        vouchers.cancel(tx, [case_id])
        vouchers.cancel(tx, [case_id])
        assert state_of(tx, case_id) == "cancelled"
    assert spent(store) == (0, 0)


def test_two_sweeps_that_cancel_at_once_give_the_money_back_once(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        given_to(tx, add_case(tx))
        given_to(tx, case_id)

    def cancel() -> None:
        with store.begin() as tx:
            vouchers.cancel(tx, [case_id])

    at_once([cancel] * 4)
    assert spent(store) == (1, 50_000)


def test_a_cancelled_code_is_never_used_again(store: Store) -> None:
    with store.begin() as tx:
        vouchers.add_to_pool(tx, "complaint", ["A1", "B2"])
        case_id = add_case(tx)
        given_to(tx, case_id, offer(**POOLED))
        vouchers.cancel(tx, [case_id])
        assert given_to(tx, add_case(tx), offer(**POOLED)).code == "B2"
        assert vouchers.add_to_pool(tx, "complaint", ["A1"]) == 0


def test_a_case_whose_voucher_was_cancelled_gets_none_unpaid(store: Store) -> None:
    """The code was shown to a vendor, its money is back in the budget: it must not be sent after all."""
    with store.begin() as tx:
        case_id = add_case(tx)
        given_to(tx, case_id)
        vouchers.cancel(tx, [case_id])
        assert reserve(tx, offer(), case_id) == "the voucher of this case was cancelled"
    assert spent(store) == (0, 0)


def test_an_issued_voucher_cannot_be_cancelled(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        given_to(tx, case_id)
        vouchers.issued(tx, [case_id])
        vouchers.cancel(tx, [case_id])
        assert state_of(tx, case_id) == "issued"
    assert spent(store) == (1, 50_000)


def test_a_cancelled_voucher_cannot_be_issued(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        given_to(tx, case_id)
        vouchers.cancel(tx, [case_id])
        vouchers.issued(tx, [case_id])
        assert state_of(tx, case_id) == "cancelled"


def test_cancelling_where_there_is_no_voucher_is_nothing(store: Store) -> None:
    with store.begin() as tx:
        vouchers.cancel(tx, [add_case(tx)])
    assert spent(store) == (0, 0)


deeds = st.lists(
    st.tuples(st.sampled_from(["reserve", "cancel", "issue"]), st.integers(0, 2)), min_size=1, max_size=20
)


@given(deeds, st.integers(0, 3), st.integers(0, 200_000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_books_balance_and_the_budget_holds(
    store: Store, deeds: list[tuple[str, int]], count: int, vnd: int
) -> None:
    wipe(store)
    reward = offer(count=count, vnd=vnd)
    with store.begin() as tx:
        cases = [add_case(tx) for _ in range(3)]
        for deed, who in deeds:
            match deed:
                case "reserve":
                    reserve(tx, reward, cases[who])
                case "cancel":
                    vouchers.cancel(tx, [cases[who]])
                case _:
                    vouchers.issued(tx, [cases[who]])
            out = tx.execute(sa.select(table.c.value_vnd).where(table.c.state.in_(["reserved", "issued"])))
            values = list(out.scalars())
            assert reports.spent(tx, "complaint") == (len(values), sum(values))
            assert len(values) <= count
            assert sum(values) <= vnd
