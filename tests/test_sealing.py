"""Sealing: whatever was sealed comes back, in its own column and unchanged, and nowhere else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amends.encryption import Cipher, KeyProblem, new_key
from amends.sealing import MARK, Keyring, Keys, SealBroken, new_secret, unwrap, wrap

PHONE = "84912345678"
INDEX = new_secret()
KEYS = Keys({1: new_secret(), 3: new_secret()}, INDEX)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1))
def test_any_text_comes_back_and_is_not_to_be_seen(text: str) -> None:
    sealed = KEYS.seal("customers.name", text)
    assert KEYS.open("customers.name", sealed) == text
    assert sealed.startswith(f"{MARK}3:")
    assert sealed.isascii()
    assert len(text) < 4 or text not in sealed


def test_nothing_is_sealed_as_nothing() -> None:
    assert KEYS.seal("feedbacks.text", "") == ""


def test_a_text_is_never_sealed_to_the_same_value_twice() -> None:
    assert KEYS.seal("customers.phone", PHONE) != KEYS.seal("customers.phone", PHONE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_changed_value_does_not_open(where: int, what: int) -> None:
    # What is drawn must not depend on the value: it is another one each time.
    sealed = KEYS.seal("customers.phone", PHONE)
    start = len(f"{MARK}3:")
    place = start + where % (len(sealed) - start)
    others = [character for character in "ABCxyz019+/=é" if character != sealed[place]]
    other = others[what % len(others)]
    with pytest.raises(SealBroken, match=r"customers\.phone"):
        KEYS.open("customers.phone", sealed[:place] + other + sealed[place + 1 :])


@pytest.mark.parametrize("cut", [len(f"{MARK}3:"), -1, -24])
def test_a_cut_value_does_not_open(cut: int) -> None:
    with pytest.raises(SealBroken):
        KEYS.open("customers.phone", KEYS.seal("customers.phone", PHONE)[:cut])


def test_a_value_moved_to_another_column_does_not_open() -> None:
    sealed = KEYS.seal("customers.phone", PHONE)
    with pytest.raises(SealBroken) as caught:
        KEYS.open("customers.name", sealed)
    assert PHONE not in str(caught.value)


def test_a_value_under_another_installations_key_does_not_open() -> None:
    with pytest.raises(SealBroken):
        Keys({3: new_secret()}, INDEX).open("customers.phone", KEYS.seal("customers.phone", PHONE))


@pytest.mark.parametrize("text", [PHONE, "", "sealed", "sealed1:", "sealed1:x:abc", "sealed1 is a word"])
def test_text_from_before_encryption_is_read_as_it_is(text: str) -> None:
    assert KEYS.open("customers.phone", text) == text


def test_values_under_an_older_data_key_still_open() -> None:
    first = new_secret()
    sealed = Keys({1: first}, INDEX).seal("customers.phone", PHONE)
    assert Keys({1: first, 2: new_secret()}, INDEX).open("customers.phone", sealed) == PHONE


def test_hashes_are_the_same_for_the_same_text_and_need_the_index_key() -> None:
    assert KEYS.hash(f"tel:{PHONE}") == Keys({9: new_secret()}, INDEX).hash(f"tel:{PHONE}")
    assert KEYS.hash(f"tel:{PHONE}") != KEYS.hash(f"mail:{PHONE}")
    assert KEYS.hash(f"tel:{PHONE}") != Keys({1: new_secret()}, new_secret()).hash(f"tel:{PHONE}")


def test_keys_do_not_show() -> None:
    assert repr(KEYS) == "Keys(***, newest=3)"


def test_a_keyring_is_fetched_when_needed_and_again_for_a_key_it_does_not_know() -> None:
    first = {1: new_secret()}
    state, fetched = [first], []

    def fetch() -> Keys:
        fetched.append(len(state[0]))
        return Keys(state[0], INDEX)

    ring = Keyring(fetch)
    assert fetched == []
    assert ring.open("customers.phone", PHONE) == PHONE, "text in clear needs no key"
    assert fetched == []
    assert ring.open("customers.phone", ring.seal("customers.phone", PHONE)) == PHONE
    assert fetched == [1]
    state[0] = {**first, 2: new_secret()}
    newer = Keys(state[0], INDEX).seal("customers.phone", PHONE)
    assert ring.open("customers.phone", newer) == PHONE
    assert fetched == [1, 2]
    assert ring.seal("customers.phone", PHONE).startswith(f"{MARK}2:")
    with pytest.raises(SealBroken):
        ring.open("customers.phone", newer.replace(f"{MARK}2:", f"{MARK}7:"))


def test_a_key_wrapped_by_an_older_key_of_ours_is_unwrapped_and_a_strangers_is_not() -> None:
    old, new = new_key(), new_key()
    wrapped = wrap(Cipher([old]), INDEX)
    assert unwrap(Cipher([new, old]), wrapped) == INDEX
    with pytest.raises(KeyProblem, match=r"AMENDS_ENCRYPTION_KEYS.* opens this database") as caught:
        unwrap(Cipher([new]), wrapped)
    assert not any(secret in str(caught.value) for secret in (old, new, wrapped))
