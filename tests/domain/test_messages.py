"""Texts with variables: what is refused when the journey is checked, and how they are filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.messages import VARIABLES, check_template, render


def test_variables_are_filled_in() -> None:
    assert render("Chào {{ customer_name }}!", {"customer_name": "Lan"}) == "Chào Lan!"


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_every_variable_may_be_used(name: str) -> None:
    text = f"{{{{ {name} }}}}"
    check_template(text)
    assert render(text, {name: "x"}) == "x"


def test_an_unknown_variable_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"uses 'customer', which is not known; use one of .*customer_name"):
        check_template("Chào {{ customer }}")


def test_a_broken_template_is_shown_with_the_right_spelling() -> None:
    with pytest.raises(ValueError, match=r"\{\{ brand.*no valid template.*write variables as \{\{ name \}\}"):
        check_template("{{ brand")


@pytest.mark.parametrize(
    "text",
    [
        "{{ brand | uper }}",
        "{{ brand.name }}",
        "{{ stars + 1 }}",
        "{{ 1 / 0 }}",
        "{{ brand.__class__.__mro__ }}",
        "{% for n in range(10**9) %}x{% endfor %}",
        "{% include 'secrets.txt' %}",
    ],
)
def test_what_could_not_be_filled_in_later_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"no valid template|cannot be filled in"):
        check_template(text)


@pytest.mark.parametrize(
    "text", ["", "giá 50% {", "{{ brand | upper }}", "{% if branch %}at {{ branch }}{% endif %}"]
)
def test_ordinary_texts_pass(text: str) -> None:
    check_template(text)


def test_a_variable_without_a_value_is_an_error_not_a_gap() -> None:
    with pytest.raises(ValueError, match="voucher_code"):
        render("Mã {{ voucher_code }}", {"brand": "Nắng"})


def test_a_text_cannot_reach_into_python() -> None:
    with pytest.raises(ValueError, match="cannot be filled in"):
        render("{{ brand.__class__.__subclasses__() }}", {"brand": "Nắng"})


@given(st.text())
def test_values_are_taken_as_they_are_never_as_templates(name: str) -> None:
    assert render("{{ customer_name }}", {"customer_name": name}) == name
