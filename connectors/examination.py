"""What an examination of a vendor's account looks at and finds, in plain words. For `amends doctor` and `check`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `told` says what was found, `fix` what to do unless all is well.

    `problem`: messages will not go out. `warning`: they do, but somebody should look. Free of personal data
    and secrets.
    """

    what: str
    state: Literal["ok", "warning", "problem"]
    told: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """One use that a journey makes of a vendor's template.

    `used_by` names the journey's field, e.g. `survey.message`. `params` holds what would be sent: a sample of
    the longest usual value, or None where the value is not known beforehand.
    """

    template_id: str
    used_by: str
    params: Mapping[str, str | None] = field(repr=False)
    purpose: Literal["care", "rating", "voucher"]
