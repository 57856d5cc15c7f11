"""Phone numbers with a fixed fate, for tests and demos, all in 84900000xxx, where no customer is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Fault = Literal["close", "hang", "http_503"]
Mark = Literal["worst", "best", "none"]


@dataclass(frozen=True, slots=True)
class Magic:
    """What befalls a message to this number.

    `code`: refused with it, only for the first `refusals` sends to the number when that is set.
    `fault`: what happens on the wire. `answers`: what the person rates, one hour after the message.
    """

    meaning: str
    code: int | None = None
    refusals: int | None = None
    fault: Fault | None = None
    answers: Mark | None = None
    admin: bool = False


MAGIC: Mapping[str, Magic] = {
    "84900000000": Magic("accepts everything, never rates", answers="none"),
    "84900000001": Magic(
        "accepts everything, gives the worst mark 1 h after a rating request", answers="worst"
    ),
    "84900000005": Magic(
        "accepts everything, gives the best mark 1 h after a rating request", answers="best"
    ),
    "84900000009": Magic("an admin of the OA: also gets mode=development", answers="none", admin=True),
    "84900000100": Magic("-100 unknown error, every time", code=-100),
    "84900000102": Magic("-100 twice, accepted from the third send on", code=-100, refusals=2),
    "84900000110": Magic("-110 Zalo version unsupported (often: not on Zalo)", code=-110),
    "84900000114": Magic("-114 inactive or opted out", code=-114),
    "84900000118": Magic("-118 no Zalo account", code=-118),
    "84900000119": Magic("-119 account cannot receive ZNS", code=-119),
    "84900000139": Magic("-139 refuses this type of ZNS", code=-139),
    "84900000141": Magic("-141 refuses ZNS from this OA", code=-141),
    "84900000503": Magic("HTTP 503 without an envelope, message not taken", fault="http_503"),
    "84900000998": Magic("message taken, then no answer until the client gives up", fault="hang"),
    "84900000999": Magic("message taken, then the connection is closed without an answer", fault="close"),
}


def describe() -> str:
    """The table as text, one number a line."""
    return "\n".join(f"  {phone}  {magic.meaning}" for phone, magic in MAGIC.items())
