"""Secrets at rest: sealed text tells nothing, keys can be changed, and a key file is made once."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from amends.encryption import KEY_FILE, Cipher, KeyProblem, cipher_of, is_sealed, new_key
from amends.settings import Settings
from tests.store.rows import at_once

KEY, OTHER = new_key(), new_key()
TOKEN = "refresh-token-of-the-shop"


def settings(home: Path, *keys: str) -> Settings:
    return Settings(home=home, encryption_keys=[SecretStr(key) for key in keys])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_again(text: str) -> None:
    sealed = Cipher([KEY]).seal(text)
    assert is_sealed(sealed)
    assert Cipher([KEY]).open(sealed) == text


def test_sealed_text_shows_nothing_and_never_looks_the_same_twice() -> None:
    cipher = Cipher([KEY])
    one, other = cipher.seal(TOKEN), cipher.seal(TOKEN)
    assert one != other
    assert TOKEN not in one
    assert KEY not in one


def test_the_newest_key_seals_and_the_older_ones_still_open() -> None:
    old = Cipher([KEY]).seal(TOKEN)
    rotated = Cipher([OTHER, KEY])
    assert rotated.open(old) == TOKEN
    assert Cipher([OTHER]).open(rotated.seal(TOKEN)) == TOKEN


def test_text_without_the_mark_was_stored_before_there_was_encryption() -> None:
    assert not is_sealed(TOKEN)
    assert Cipher([KEY]).open(TOKEN) == TOKEN
    assert Cipher([KEY]).open("") == ""


def test_a_wrong_key_says_what_to_do_and_shows_nothing() -> None:
    sealed = Cipher([KEY]).seal(TOKEN)
    with pytest.raises(KeyProblem, match=r"AMENDS_ENCRYPTION_KEYS.*amends zalo login") as caught:
        Cipher([OTHER]).open(sealed)
    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert not any(secret in told for secret in (TOKEN, KEY, OTHER, sealed))


@pytest.mark.parametrize("changed", [-1, 20])
def test_sealed_text_that_was_tampered_with_does_not_open(changed: int) -> None:
    sealed = list(Cipher([KEY]).seal(TOKEN))
    sealed[changed] = "A" if sealed[changed] != "A" else "B"
    with pytest.raises(KeyProblem):
        Cipher([KEY]).open("".join(sealed))


@pytest.mark.parametrize("bad", ["", "short", "A" * 40, "A" * 44, "ä" * 44])
def test_an_unusable_key_names_the_setting_and_the_command_but_not_the_key(bad: str) -> None:
    with pytest.raises(KeyProblem, match=r"AMENDS_ENCRYPTION_KEYS: .*`amends key` makes one") as caught:
        Cipher([KEY, bad])
    assert KEY not in str(caught.value)
    assert bad not in str(caught.value) or not bad


def test_no_key_at_all_is_a_key_problem() -> None:
    with pytest.raises(KeyProblem, match="AMENDS_ENCRYPTION_KEYS"):
        Cipher([])


def test_a_cipher_shows_no_key() -> None:
    assert repr(Cipher([KEY])) == "Cipher(***)"


def test_the_settings_come_before_the_key_file(tmp_path: Path) -> None:
    sealed = cipher_of(settings(tmp_path, OTHER, KEY)).seal(TOKEN)
    assert Cipher([OTHER]).open(sealed) == TOKEN
    assert list(tmp_path.iterdir()) == []


def test_without_a_setting_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sealed = cipher_of(settings(home)).seal(TOKEN)
    assert cipher_of(settings(home)).open(sealed) == TOKEN
    assert [file.name for file in home.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_key_file_may_hold_older_keys_too(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text(f"{OTHER}\n{KEY}\n", encoding="ascii")
    cipher = cipher_of(settings(tmp_path))
    assert cipher.open(Cipher([KEY]).seal(TOKEN)) == TOKEN
    assert Cipher([OTHER]).open(cipher.seal(TOKEN)) == TOKEN


def test_an_empty_key_file_is_a_key_problem(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).touch()
    with pytest.raises(KeyProblem):
        cipher_of(settings(tmp_path))


def test_those_who_start_together_agree_on_one_key(tmp_path: Path) -> None:
    for round_ in range(20):
        home = settings(tmp_path / str(round_))
        sealed = at_once([lambda home=home: cipher_of(home).seal(TOKEN)] * 8)  # type: ignore[misc]
        assert {cipher_of(home).open(text) for text in sealed} == {TOKEN}
        assert [file.name for file in home.home.iterdir()] == [KEY_FILE]
