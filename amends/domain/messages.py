"""Filling in texts: Jinja2 in its sandbox, with only the variables a journey may use."""

from collections.abc import Mapping
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, UndefinedError, meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = frozenset(
    {"customer_name", "case_code", "brand", "branch", "product", "stars"}
    | {"voucher_code", "voucher_value", "voucher_expires"}
)

_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def check_template(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no template or uses an unknown variable."""
    try:
        parsed = _environment.parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(
            f"{text!r} is no valid template ({error.message}); write variables as {{{{ name }}}}"
        ) from None
    if unknown := meta.find_undeclared_variables(parsed) - VARIABLES:
        raise ValueError(
            f"{text!r} uses {min(unknown)!r}, which is not known; use one of {', '.join(sorted(VARIABLES))}"
        )


def render(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables filled in. Raises ValueError when a variable has no value here."""
    try:
        return _compile(text).render(variables)
    except (UndefinedError, SecurityError) as error:
        raise ValueError(f"{text!r} cannot be filled in: {error}") from None


@lru_cache(maxsize=512)
def _compile(text: str) -> Template:
    return _environment.from_string(text)
