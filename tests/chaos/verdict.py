"""The verdict on a world: what its people dropped and what its vendor received, held against each other.

Our own ledger is asked one thing only: which effects it lists as uncertain. That our books agree with each other is
another question, and `amends verify` answers it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from amends.domain.effects import Step, effect_key, tracking_id
from amends.store import reports
from amends.store.audit import audit as verify
from amends.store.reports import CaseContact
from amends.store.schema import cases, feedbacks
from cli.demo.audit import audit
from sandbox.people import unreachable_code
from tests.chaos.people import Dropped
from tests.chaos.world import SANDBOX_SEED, World
from tests.conftest import MONDAY

_KIND = {Step.ACKNOWLEDGE: "custom", Step.SURVEY: "rating", Step.REMIND: "rating", Step.REWARD: "voucher"}
Book = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """Each list holds a sentence per finding; the first two and `unexplained` must be empty."""

    duplicates: list[str]
    lost: list[str]
    uncertain: list[str]
    unexplained: list[str]
    arrived: int
    """Of the uncertain ones, how many the vendor's book has after all."""


def judge(world: World) -> Verdict:
    """Hold the vendor's book against what was dropped into the inbox, and our books against each other.

    Meant for a world that has settled.
    """
    book = world.sandbox.book()
    routes = _routes(world)
    contacts = _contacts(world.customers.dropped, routes)
    doubts = _uncertain(world)
    taken = {entry["tracking_id"] for entry in book if entry["kind"] == "zns"}
    unsure = {f"AM{doubt.case_id:06d}" for key, doubt in doubts.items() if doubt.step == Step.ACKNOWLEDGE}
    found = audit(
        book, contacts, max_reopens=world.journey.max_reopens, unsure=unsure, staff_may_hear_twice=True
    )
    return Verdict(
        [*found.duplicates, *_one_message_per_effect(book, contacts, world), *_vouchers_twice(book)],
        [
            *_not_in_one_case(world.customers.dropped, routes),
            *found.lost,
            *_reachable_without_apology(book, contacts, unsure),
            *_unfinished(world),
        ],
        [f"AM{doubt.case_id:06d} {doubt.step}: {doubt.detail}" for doubt in doubts.values()],
        [
            *world.unexplained,
            *(
                f"verify: {found.rule.id}, {found.count} times"
                for found in verify(world.store, world.clock.now())
                if found.violated
            ),
            *_staff_told_twice(book, world),
            *(
                f"AM{doubt.case_id:06d} {doubt.step}: {doubt.state}, no kill left it open"
                for key, doubt in doubts.items()
                if key not in {call.key for call in world.left_open}
            ),
            *(
                f"AM{doubt.case_id:06d} {doubt.step}: {doubt.state} without a reason"
                for doubt in doubts.values()
                if doubt.state != "uncertain" or not doubt.detail
            ),
        ],
        sum(tracking_id(key) in taken for key in doubts),
    )


@dataclass(frozen=True, slots=True)
class _Route:
    verdict: str | None
    case_id: int | None


def _routes(world: World) -> dict[str, list[_Route]]:
    found = defaultdict(list)
    with world.store.read() as tx:
        for row in tx.execute(sa.select(feedbacks.c.external_id, feedbacks.c.verdict, feedbacks.c.case_id)):
            found[row.external_id].append(_Route(row.verdict, row.case_id))
    return found


def _not_in_one_case(dropped: Sequence[Dropped], routes: Mapping[str, list[_Route]]) -> Iterator[str]:
    """Every low rating is in exactly one case, every other one in none."""
    for each in dropped:
        its = routes.get(each.external_id, [])
        if not its:
            yield f"rating {each.external_id} is not in the inbox"
        elif len(its) > 1:
            yield f"rating {each.external_id} is in the inbox {len(its)} times"
        elif (its[0].verdict == "case") != each.low or (its[0].case_id is not None) != each.low:
            yield f"rating {each.external_id}, {each.rating} stars, was judged {its[0].verdict}"


def _contacts(dropped: Sequence[Dropped], routes: Mapping[str, list[_Route]]) -> list[CaseContact]:
    """The cases, with the phone numbers that were dropped, not those that were stored."""
    phone_of: dict[int, str | None] = {}
    ratings: Counter[int] = Counter()
    for each in dropped:
        for route in routes.get(each.external_id, []):
            if route.case_id is not None:
                phone_of[route.case_id] = each.phone
                ratings[route.case_id] += 1
    return [CaseContact(id_, phone, MONDAY, ratings[id_]) for id_, phone in sorted(phone_of.items())]


def _uncertain(world: World) -> dict[str, reports.UncertainEffect]:
    """By key."""
    with world.store.read() as tx:
        doubts = reports.uncertain_effects(tx, world.journey.name)
    return {
        effect_key(world.journey.name, doubt.case_id, Step(doubt.step), doubt.channel, doubt.ordinal): doubt
        for doubt in doubts
    }


def _one_message_per_effect(book: Book, contacts: Sequence[CaseContact], world: World) -> Iterator[str]:
    """Keys are derived, so the book alone tells which step and cycle of which case a message belongs to."""
    known = {}
    for contact in contacts:
        for step, kind in _KIND.items():
            for cycle in range(world.journey.max_reopens + 1):
                key = effect_key(world.journey.name, contact.case_id, step, "zns", cycle)
                known[tracking_id(key)] = (f"AM{contact.case_id:06d}", kind)
    for entry in book:
        if entry["kind"] == "zns":
            is_ = (entry["params"].get("case_code"), entry["template_type"])
            if known.get(entry["tracking_id"]) != is_:
                yield f"message {entry['msg_id']} belongs to no step of the case it names"


def _staff_told_twice(book: Book, world: World) -> Iterator[str]:
    """Staff hear a thing again only after a kill in the call: once for each try that was left open."""
    told = Counter((e["contact"], e["title"]) for e in book if e["kind"] == "agent_notification")
    again = told.total() - len(told)
    left_open = sum(call.step in (Step.NOTIFY_AGENT, Step.WATCH_SLA) for call in world.left_open)
    if again > left_open:
        yield f"staff told twice {again} times, after {left_open} of their calls were left open"


def _vouchers_twice(book: Book) -> Iterator[str]:
    codes = Counter(
        e["params"]["voucher_code"] for e in book if e["kind"] == "zns" and e["template_type"] == "voucher"
    )
    yield from (f"voucher {code} given {times} times" for code, times in codes.items() if times > 1)


def _reachable_without_apology(
    book: Book, contacts: Sequence[CaseContact], unsure: set[str]
) -> Iterator[str]:
    """A refusal is an excuse only where the customer really cannot be reached."""
    apologies = {
        e["params"]["case_code"] for e in book if e["kind"] == "zns" and e["template_type"] == "custom"
    }
    for contact in contacts:
        code = f"AM{contact.case_id:06d}"
        reachable = contact.phone is not None and unreachable_code(SANDBOX_SEED, contact.phone) is None
        if reachable and code not in apologies | unsure:
            yield f"{code}: reachable, and no apology"


def _unfinished(world: World) -> Iterator[str]:
    with world.store.read() as tx:
        for id_ in tx.execute(sa.select(cases.c.id).where(cases.c.closed_at.is_(None))).scalars():
            yield f"AM{id_:06d}: still open"
