"""Filling in texts: Jinja2 in its sandbox, with only the variables a journey may use."""

from collections.abc import Mapping
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, UndefinedError, meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

VOUCHER_VARIABLES = frozenset({"voucher_code", "voucher_value", "voucher_expires"})
"""What only the message that brings the voucher can fill in."""
VARIABLES = (
    frozenset({"customer_name", "case_code", "brand", "branch", "product", "stars"}) | VOUCHER_VARIABLES
)

_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def check_template(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no template or could not be filled in for some customer.

    It is filled in for trial: what fails now would otherwise fail in a sweep, for every customer, again and again.
    """
    try:
        used = variables_of(text)
    except TemplateSyntaxError as error:
        raise ValueError(
            f"{text!r} is no valid template ({error.message}); write variables as {{{{ name }}}}"
        ) from None
    if unknown := used - VARIABLES:
        raise ValueError(
            f"{text!r} uses {min(unknown)!r}, which is not known; use one of {', '.join(sorted(VARIABLES))}"
        )
    for sample in _SAMPLES:
        try:
            _compile(text).render(sample)
        except Exception as error:  # a template can fail in as many ways as a program
            raise ValueError(
                f"{text!r} cannot be filled in ({error}); use the variables as they are, {{{{ name }}}}"
            ) from None


def variables_of(text: str) -> set[str]:
    """The variables that a valid template uses."""
    return meta.find_undeclared_variables(_environment.parse(text))


_SAMPLES = (dict.fromkeys(VARIABLES, "1"), {**dict.fromkeys(VARIABLES, "Lan"), "branch": "", "product": ""})
"""Values of every variable; branch and product are empty for customers who named none."""


def render(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables filled in. Raises ValueError when a variable has no value here."""
    try:
        return _compile(text).render(variables)
    except (UndefinedError, SecurityError) as error:
        raise ValueError(f"{text!r} cannot be filled in: {error}") from None


@lru_cache(maxsize=512)
def _compile(text: str) -> Template:
    return _environment.from_string(text)
