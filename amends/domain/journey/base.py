"""What all parts of a journey share: strict models, severities, languages and times of day."""

from datetime import time
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Part(BaseModel):
    """A part of a journey: unknown keys are errors, because a misspelt option must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Severity(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    def one_up(self) -> "Severity":
        """The next more serious severity; urgent stays urgent."""
        ladder = list(Severity)
        return ladder[min(ladder.index(self) + 1, len(ladder) - 1)]


class Language(StrEnum):
    VI = "vi"
    EN = "en"


DEFAULT_ACCOUNT = "default"
"""What journeys call the Official Account of AMENDS_ZALO__..., the only one most brands have."""

_NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"
_PERIOD = r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$"
CODE_PREFIX = r"^[A-Z0-9]*$"

SPELLINGS = {
    _NAME: "use up to 40 lower-case letters, digits, - and _, such as quan-1",
    _TIME: 'write it as "08:30", in quotes',
    _PERIOD: 'write it as "08:00-12:00", in quotes; "24:00" is the end of the day',
    CODE_PREFIX: "use capital letters A to Z and digits only",
}
"""What to tell a marketer whose text does not match a pattern."""

Name = Annotated[str, StringConstraints(pattern=_NAME)]
"""A short technical name: lower-case letters, digits, - and _."""

TimeOfDay = Annotated[str, StringConstraints(pattern=_TIME)]
"""A time such as `08:30`."""

Period = Annotated[str, StringConstraints(pattern=_PERIOD)]
"""Opening hours such as `08:00-12:00`; `24:00` is the end of the day."""


def time_of(text: str) -> time:
    """`08:30` as a time; `24:00` is midnight at the end of the day."""
    return time(0) if text == "24:00" else time.fromisoformat(text)
