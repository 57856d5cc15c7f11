"""Filling in texts: Jinja2 in its sandbox, with only the variables a journey may use."""

import re
from collections.abc import Mapping
from functools import lru_cache

from jinja2 import Template, TemplateSyntaxError, meta

from amends.domain import template_language as language

VOUCHER_VARIABLES = frozenset({"voucher_code", "voucher_value", "voucher_expires"})
"""What only the message that brings the voucher can fill in."""
VARIABLES = (
    frozenset({"customer_name", "case_code", "brand", "branch", "product", "stars"}) | VOUCHER_VARIABLES
)

LONGEST = 10_000
"""Characters of a text filled in: more is a mistake, and no channel takes it."""
_SHOWN = 80


@lru_cache(maxsize=512)
def check_template(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no template or could not be filled in for some customer.

    It is filled in for trial, every branch of it: what fails now would otherwise fail in a sweep, again and again.
    What has passed is kept, as in `variables_of`; what fails is looked at again.
    """
    try:
        tree = language.parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(
            f"{_shown(text)} is no valid template ({error.message}); write variables as {{{{ name }}}}"
        ) from None
    except ValueError as error:  # too long, too deep, a number of 5,000 digits
        raise ValueError(f"{_shown(text)} is no valid template: {_first_words(error)}") from None
    if wrong := language.forbidden(tree):
        raise ValueError(
            f"{_shown(text)} cannot be filled in ({wrong}); use the variables as they are, {{{{ name }}}}"
        )
    if unknown := meta.find_undeclared_variables(tree) - VARIABLES:
        raise ValueError(
            f"{_shown(text)} uses {min(unknown)!r}, which is not known; use one of {', '.join(sorted(VARIABLES))}"
        )
    try:
        everything = language.environment.from_string(language.every_branch(tree))
        for sample in _SAMPLES:
            everything.render(sample)
            render(text, sample)
    except Exception as error:  # a template can fail in as many ways as a program
        raise ValueError(
            f"{_shown(text)} cannot be filled in ({_first_words(error)}); use the variables as they are, "
            "{{ name }}"
        ) from None


@lru_cache(maxsize=512)
def variables_of(text: str) -> frozenset[str]:
    """The variables that a valid template uses. Kept: Prefect validates a journey anew at every run."""
    return frozenset(meta.find_undeclared_variables(language.parse(text)))


_SAMPLES = (dict.fromkeys(VARIABLES, "1"), {**dict.fromkeys(VARIABLES, "Lan"), "branch": "", "product": ""})
"""Values of every variable; branch and product are empty for customers who named none."""


def render(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables filled in. Raises ValueError when one has no value here, or for too long a result."""
    # Most parameters of a template are one variable and nothing else: Jinja2 takes ten times as long to look it up.
    value = variables.get(_alone(text))
    if value is not None and len(value) <= LONGEST:
        return value
    try:
        parts, length = [], 0
        for part in _compile(text).generate(variables):
            parts.append(part)
            length += len(part)
            if length > LONGEST:
                raise ValueError(f"it would be longer than {LONGEST:,} characters")
        return "".join(parts)
    except Exception as error:  # whatever a text does wrong is the text's fault, and told the same way
        raise ValueError(f"{_shown(text)} cannot be filled in: {_first_words(error)}") from None


_ALONE = re.compile(r"\{\{ ?(\w+) ?\}\}")


@lru_cache(maxsize=512)
def _alone(text: str) -> str:
    """The variable that is all of `text`; empty, which is nobody's name, when there is more to it."""
    found = _ALONE.fullmatch(text)
    return found[1] if found else ""


@lru_cache(maxsize=512)
def _compile(text: str) -> Template:
    tree = language.parse(text)
    if wrong := language.forbidden(tree):
        raise ValueError(wrong)
    return language.environment.from_string(tree)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _first_words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
