"""Words of the command line that more than one command reads: case numbers, days, and the brand's zone."""

import difflib
import re
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cli.guard import Trouble

if TYPE_CHECKING:
    from amends.store.engine import Tx


def case_number(text: str) -> int:
    """The id in `42` or `AM000042`. Ids fit 18 digits; a longer one is refused here and not by the database."""
    number = re.fullmatch(r"(?:AM)?0*(\d{1,18})", text.strip(), re.IGNORECASE)
    if number is None:
        raise Trouble("this is no case number; write it as 42 or AM000042", 2)
    return int(number[1])


def one_of(option: str, text: str, known: Collection[str]) -> str:
    """`text` when it is a known word. Raises Trouble with the nearest one, or all of them."""
    if text in known:
        return text
    words = [str(word) for word in known]
    near = difflib.get_close_matches(text, words, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"write one of {', '.join(words)}"
    raise Trouble(f"{option}: there is no {text!r}; {meant}", 2)


def start_of_day(option: str, text: str, zone: ZoneInfo, *, days_later: int = 0) -> datetime:
    """The first instant of that day in the brand's zone."""
    try:
        day = date.fromisoformat(text.strip()) + timedelta(days=days_later)
        return datetime(day.year, day.month, day.day, tzinfo=zone)
    except (ValueError, OverflowError):
        raise Trouble(f"{option}: {text!r} is no day; write it as 2026-11-02", 2) from None


def zone_of(tx: "Tx", journey: str, now: datetime) -> ZoneInfo:
    """The zone of the journey's newest version; that of a new journey when it has never been swept."""
    from amends.domain.journey import ComplaintJourney
    from amends.store import journeys

    versions = journeys.recent(tx, journey, now, limit=1)
    if versions:
        return journeys.load(tx, versions[0]).zone
    return ZoneInfo(str(ComplaintJourney.model_fields["timezone"].default))


def who_and_why(by: str, why: str) -> tuple[str, str]:
    """Both trimmed. Raises Trouble for an empty or overlong one: the log must tell who did what and why."""
    by, why = by.strip(), " ".join(why.split())
    if not by or len(by) > _LONGEST_NAME:
        raise Trouble(f"--by: give your name, up to {_LONGEST_NAME} characters; the log keeps it", 2)
    if not why or len(why) > _LONGEST_REASON:
        raise Trouble(f"--why: give the reason, up to {_LONGEST_REASON} characters; the log keeps it", 2)
    return by, why


_LONGEST_NAME, _LONGEST_REASON = 60, 300
