"""Simulated people: customers who can or cannot be reached and who rate, agents who work on time or late.

Everything is a pure function of the seed and of who it is about. The rates are assumptions of ours, chosen so
that every branch of a journey is walked; they are no statement about real customers or teams.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from math import exp, gcd
from statistics import NormalDist

from sandbox import names
from sandbox.chance import digest, pick, share
from sandbox.magic import MAGIC

# Vietnamese mobile prefixes in use, as libphonenumber knows them. 90 is left out (the magic numbers live
# there), and so is 99, which is only partly assigned.
_PREFIXES = (
    "32", "33", "34", "35", "36", "37", "38", "39", "56", "58", "59", "70", "76", "77", "78", "79",
    "81", "82", "83", "84", "85", "86", "87", "88", "91", "92", "93", "94", "96", "97", "98",
)  # fmt: skip
_NUMBERS = len(_PREFIXES) * 10**7
_TRAILING_DIGITS = re.compile(r"\d{1,8}\Z")

_HAS_PHONE = 0.92
_FIRST_ASK, _REMINDER = 0.50, 0.75
_UNHAPPY_AGAIN = 0.15
_DELAY_HOURS = (1.0, 48.0)

# Log-normal laws in business minutes: at average pace about 85% respond within 120, solve within 1,800.
_RESPOND_MEDIAN, _RESPOND_SPREAD = 35.0, 1.19
_WORK_MEDIAN, _WORK_SPREAD = 460.0, 1.25
_PACE = {"urgent": 0.3, "high": 0.5, "low": 1.6}


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's reaction to one rating request; `rate` counts from 1 (worst) on the template's scale."""

    after: timedelta
    rate: int
    note: str
    feedbacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """When an agent does what, in business minutes (the team's working time) since the ticket was opened.

    Never solved before responded; `root_cause` stays the same over reopenings.
    """

    respond_after_minutes: int
    solve_after_minutes: int
    root_cause: str


def customer_phone(seed: int, ref: str) -> str | None:
    """The customer's mobile, E.164 without plus, or None for the 8% of refs that left none.

    Refs that differ only in a number at their end (up to 8 digits) never share a phone; others almost never.
    """
    if share(seed, "has phone", ref) >= _HAS_PHONE:
        return None
    digits = _TRAILING_DIGITS.search(ref)
    # Stepping through all numbers by a step coprime to their count meets none of them twice.
    index, family = (int(digits[0]), ref[: digits.start()]) if digits else (0, ref)
    start = int.from_bytes(digest(seed, "numbering", family))
    position = (start + index * _step(seed)) % _NUMBERS
    prefix, subscriber = divmod(position, 10**7)
    return f"84{_PREFIXES[prefix]}{subscriber:07d}"


def uid_of(seed: int, phone: str) -> str:
    """The person's user id at the account, 19 digits: the same person as behind the phone, by another road."""
    return str(10**18 + int.from_bytes(digest(seed, "uid", phone)) % (9 * 10**18))


def _step(seed: int) -> int:
    step = int.from_bytes(digest(seed, "numbering step")) % _NUMBERS | 1
    while gcd(step, _NUMBERS) != 1:
        step += 2
    return step


def customer_name(seed: int, ref: str) -> str:
    """Family, middle and given name in Vietnamese order, at most 30 characters."""
    woman = share(seed, "woman", ref) < 0.55
    middle, given = (names.WOMEN_MIDDLE, names.WOMEN) if woman else (names.MEN_MIDDLE, names.MEN)
    parts = (names.FAMILY_NAMES, middle, given)
    return " ".join(pick(options, seed, "name", n, ref) for n, options in enumerate(parts))


def unreachable_code(seed: int, phone: str) -> int | None:
    """Zalo's code for this person, or None: 5% are not on Zalo (-118, -110), 2% refuse (-141, -140)."""
    fate = share(seed, "reach", phone)
    for below, code in ((0.025, -118), (0.05, -110), (0.06, -141), (0.07, -140)):
        if fate < below:
            return code
    return None


def answer(seed: int, phone: str, case_code: str, round_no: int, ask: int, points: int) -> Answer | None:
    """What the person answers to the `ask`-th request (1 = first) of a survey round, or None.

    Half answer the first request, another quarter the reminder, the rest never. `points` is 5 or 3.
    """
    about = (phone, case_code, round_no)
    if phone in MAGIC and MAGIC[phone].answers is not None:
        rate = {"worst": 1, "best": points}.get(MAGIC[phone].answers or "")
        return None if rate is None or ask > 1 else Answer(timedelta(hours=1), rate, "", ())
    willing = share(seed, "willing", *about)
    if willing >= _REMINDER or ask != (1 if willing < _FIRST_ASK else 2):
        return None
    unhappy = share(seed, "unhappy", *about) < _UNHAPPY_AGAIN
    shortest, longest = _DELAY_HOURS
    # The cube draws most answers into the early hours.
    delay = timedelta(hours=shortest + (longest - shortest) * share(seed, "delay", *about) ** 3)
    notes, taps = (
        (names.UNHAPPY_NOTES, names.UNHAPPY_TAPS) if unhappy else (names.HAPPY_NOTES, names.HAPPY_TAPS)
    )
    talkative, taps_on = share(seed, "talkative", *about), share(seed, "taps", *about)
    return Answer(
        after=delay,
        rate=_rate(seed, about, unhappy, points),
        note=pick(notes, seed, "note", *about) if talkative < (0.6 if unhappy else 0.25) else "",
        feedbacks=(pick(taps, seed, "tap", *about),) if taps_on < 0.5 else (),
    )


def _rate(seed: int, about: tuple[object, ...], unhappy: bool, points: int) -> int:
    level = share(seed, "level", *about)
    if points == 3:
        return 1 if unhappy else (2 if level < 0.3 else 3)
    if unhappy:
        return 1 if level < 0.35 else 2 if level < 0.7 else 3
    return 4 if level < 0.35 else 5


def agent_plan(seed: int, ticket_key: str, severity: str, cycle: int) -> AgentPlan:
    """When the agent of this ticket responds and solves it, in business minutes since opening.

    `cycle` counts reopenings from 0. `severity` "urgent" and "high" are faster, "low" is slower, any other
    word is average. Some are late and a few very late, so that warnings and escalations really happen.
    """
    about = (ticket_key, cycle)
    pace = _PACE.get(severity, 1.0)
    respond = pace * _log_normal(_RESPOND_MEDIAN, _RESPOND_SPREAD, share(seed, "respond", *about))
    work = pace * _log_normal(_WORK_MEDIAN, _WORK_SPREAD, share(seed, "work", *about))
    return AgentPlan(
        respond_after_minutes=max(1, round(respond)),
        solve_after_minutes=max(2, round(respond + work)),
        root_cause=pick(names.ROOT_CAUSES, seed, "cause", ticket_key),
    )


def _log_normal(median: float, spread: float, chance: float) -> float:
    return median * exp(spread * NormalDist().inv_cdf(min(max(chance, 0.005), 0.995)))
