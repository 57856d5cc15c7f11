from datetime import timedelta
from itertools import pairwise

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import people
from sandbox.magic import MAGIC

SEEDS = st.integers(0, 2**31)
REFS = [f"order-{n}" for n in range(20_000)]
PHONES = [phone for ref in REFS if (phone := people.customer_phone(7, ref))]


def share_of(hits: int, of: int) -> float:
    return hits / of


def test_phones_are_unique_valid_and_never_magic() -> None:
    assert len(set(PHONES)) == len(PHONES)
    assert not MAGIC.keys() & set(PHONES)
    for phone in PHONES[::50]:
        number = phonenumbers.parse(f"+{phone}")
        assert phonenumbers.is_valid_number(number), phone
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


def test_8_percent_left_no_phone() -> None:
    assert share_of(len(PHONES), len(REFS)) == pytest.approx(0.92, abs=0.01)


@given(seed=SEEDS, ref=st.text(max_size=40))
def test_any_ref_has_a_stable_phone_and_name(seed: int, ref: str) -> None:
    phone = people.customer_phone(seed, ref)
    assert phone == people.customer_phone(seed, ref)
    assert phone is None or (len(phone) == 11 and phone.startswith("84") and phone not in MAGIC)
    name = people.customer_name(seed, ref)
    assert name == people.customer_name(seed, ref)
    assert 2 <= len(name.split()) <= 4
    assert len(name) <= 30


@given(seed=SEEDS, number=st.integers(0, 10**8 - 2))
def test_neighbouring_refs_never_share_a_phone(seed: int, number: int) -> None:
    pair = [people.customer_phone(seed, f"r-{n:08d}") for n in (number, number + 1)]
    assert pair[0] is None or pair[0] != pair[1]


def test_5_percent_are_not_on_zalo_and_2_percent_refuse() -> None:
    codes = [people.unreachable_code(7, phone) for phone in PHONES]
    absent = sum(code in (-118, -110) for code in codes)
    refusing = sum(code in (-141, -140) for code in codes)
    assert share_of(absent, len(codes)) == pytest.approx(0.05, abs=0.006)
    assert share_of(refusing, len(codes)) == pytest.approx(0.02, abs=0.004)
    assert {code for code in codes if code} == {-118, -110, -141, -140}


def test_half_answer_the_first_request_and_a_quarter_the_reminder() -> None:
    first, reminder, third = (
        [people.answer(7, phone, "C", 1, ask, 5) for phone in PHONES] for ask in (1, 2, 3)
    )
    assert share_of(sum(map(bool, first)), len(PHONES)) == pytest.approx(0.50, abs=0.015)
    assert share_of(sum(map(bool, reminder)), len(PHONES)) == pytest.approx(0.25, abs=0.015)
    assert not any(third)
    assert not any(one and other for one, other in zip(first, reminder, strict=True))


@pytest.mark.parametrize(("points", "bad_up_to"), [(5, 3), (3, 1)])
def test_15_percent_are_unhappy_again_on_either_scale(points: int, bad_up_to: int) -> None:
    answers = [a for phone in PHONES if (a := people.answer(7, phone, "C", 1, 1, points))]
    assert {a.rate for a in answers} == set(range(1, points + 1))
    assert share_of(sum(a.rate <= bad_up_to for a in answers), len(answers)) == pytest.approx(0.15, abs=0.015)
    assert any(a.note for a in answers)
    assert any(not a.note for a in answers)


def test_answers_take_1_to_48_hours_and_mostly_come_early() -> None:
    delays = sorted(a.after for phone in PHONES if (a := people.answer(7, phone, "C", 1, 1, 5)))
    assert timedelta(hours=1) <= delays[0]
    assert timedelta(hours=40) < delays[-1] <= timedelta(hours=48)
    assert delays[len(delays) // 2] < timedelta(hours=10)


def test_most_agents_are_in_time_and_a_few_very_late() -> None:
    plans = [people.agent_plan(7, f"T-{n}", "normal", 0) for n in range(10_000)]
    assert share_of(sum(p.respond_after_minutes <= 120 for p in plans), len(plans)) == pytest.approx(
        0.85, abs=0.02
    )
    assert share_of(sum(p.solve_after_minutes <= 1_800 for p in plans), len(plans)) == pytest.approx(
        0.85, abs=0.02
    )
    assert any(p.respond_after_minutes > 480 for p in plans)
    assert any(p.solve_after_minutes > 6_000 for p in plans)
    assert all(1 <= p.respond_after_minutes <= p.solve_after_minutes for p in plans)


@given(seed=SEEDS, key=st.text(max_size=20), cycle=st.integers(0, 5))
def test_severity_sets_the_pace_and_the_cause_outlives_reopening(seed: int, key: str, cycle: int) -> None:
    plans = [people.agent_plan(seed, key, word, cycle) for word in ("urgent", "high", "normal", "low")]
    assert all(a.solve_after_minutes <= b.solve_after_minutes for a, b in pairwise(plans))
    assert people.agent_plan(seed, key, "normal", cycle + 1).root_cause == plans[2].root_cause
