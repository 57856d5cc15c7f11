"""Verify: hold our own books against what must be true of them, and tell operators what is not."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from amends.discretion import discreetly
from amends.store.audit import Books, Finding, opened_books
from tasks.announce import announce
from tasks.sweep import current_runtime

RESOURCE = "amends.installation"
"""What the events are about: an installation has one set of books, whatever its journeys."""


class Audit:
    """An audit under way: the books as they stood when it began, and what was found so far."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.findings: list[Finding] = []

    def check(self, part: str) -> None:
        self.findings += self.books.check(part)


@contextmanager
def auditing() -> Iterator[Audit]:
    """Open this installation's books at one moment; sweeps that run meanwhile are neither held up nor seen."""
    runtime = current_runtime()
    with opened_books(runtime.store, runtime.clock.now()) as books:
        yield Audit(books)


_audit_task = task(cache_policy=NO_CACHE, persist_result=False)


@_audit_task
@discreetly
async def count_every_feedback(audit: Audit) -> None:
    """What came in is a case, above the threshold, suppressed, an answer, a message, or in quarantine."""
    audit.check("inbox")


@_audit_task
@discreetly
async def follow_every_case(audit: Audit) -> None:
    """Each is in one place: on the agenda, with an agent, or closed with its outcome."""
    audit.check("cases")


@_audit_task
@discreetly
async def read_every_clock(audit: Audit) -> None:
    """Tickets, their clocks, and who was told."""
    audit.check("tickets")


@_audit_task
@discreetly
async def settle_every_effect(audit: Audit) -> None:
    """Each is settled, due, under way or in doubt with a reason, and nothing was sent twice."""
    audit.check("effects")


@_audit_task
@discreetly
async def add_up_every_voucher(audit: Audit) -> None:
    """Codes, values and budgets are one sum."""
    audit.check("money")


async def publish(audit: Audit) -> State[list[Finding]]:
    """Leave the table, tell whoever listens, and fail the run over a violation. No personal data in any of it."""
    found = audit.findings
    violated = [finding for finding in found if finding.violated]
    await acreate_table_artifact(
        table=[_row(finding) for finding in found],
        key="verify",
        description=f"Audit of **{len(found)} rules**: {told(found)}",
    )
    if not violated:
        announce("amends.verify.clean", RESOURCE, {"rules": len(found)})
        return Completed(message=told(found), data=found)
    journeys = {example.journey for finding in violated for example in finding.examples if example.journey}
    announce(
        "amends.verify.violated",
        RESOURCE,
        {"violations": {f.rule.id: f.count for f in violated}, "journeys": sorted(journeys)},
    )
    return Failed(message=told(found), data=found)


def told(findings: list[Finding]) -> str:
    """The result in a line: `clean`, or which rules are violated how often."""
    violated = [finding for finding in findings if finding.violated]
    return ", ".join(f"{f.rule.id} {f.count:,}x" for f in violated) or "clean"


def _row(finding: Finding) -> dict[str, object]:
    rule = finding.rule
    fared = "ok" if finding.count == 0 else "note" if rule.note else "VIOLATED"
    first = [f"{one.what} ({one.case})" if one.case else one.what for one in finding.examples[:5]]
    return {
        "rule": rule.id,
        "result": fared,
        "count": finding.count,
        "sentence": rule.sentence,
        "first": ", ".join(first),
        "what to do": rule.fix if finding.count else "",
    }
