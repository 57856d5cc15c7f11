"""Detect: take in what the sources have, judge each feedback, and open or join cases."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from amends.domain.detection import Judgement, Verdict, joins, judge, too_old
from amends.domain.effects import EffectState, Step
from amends.store import agenda, cases, inbox, ledger, restored, surveys, timeline
from amends.store.engine import Tx
from amends.store.inbox import Route, Unrouted
from tasks.chunks import chunk_task
from tasks.ratings import VENDOR_ROW
from tasks.receive import receive, receive_news
from tasks.sweep import Sweep, timed


async def detect(sweep: Sweep) -> None:
    """Bring in new feedback from every source, then judge all that nobody has judged."""
    async with timed(sweep, "detect"):
        await receive(sweep)
        await _judge(sweep)


async def detect_news(sweep: Sweep) -> None:
    """Judge what has just come by webhook; files and regular polls are left to the next sweep."""
    async with timed(sweep, "detect"):
        await receive_news(sweep)
        await _judge(sweep)


async def _judge(sweep: Sweep) -> None:
    while _has_unrouted(sweep):
        if not await _judge_chunk(sweep):
            break


def _has_unrouted(sweep: Sweep) -> bool:
    with sweep.store.read() as tx:
        return inbox.has_unrouted(tx, sweep.journey.name)


@chunk_task("detect: judge")
async def _judge_chunk(sweep: Sweep) -> int:
    """Judge up to a chunk of feedback in one transaction; returns how many were taken."""
    now = sweep.now()
    with sweep.store.begin() as tx:
        taken = inbox.take_unrouted(tx, sweep.journey.name, sweep.settings.chunk_size)
        answers, ratings = _split_answers(tx, taken)
        routes = _record_answers(tx, sweep, answers, now) + _judge_ratings(tx, sweep, ratings, now)
        inbox.route(tx, routes, now)
    tally = sweep.tally("detect")
    tally.cases += len(taken)
    tally.results.update(route.verdict for route in routes)
    return len(taken)


def _split_answers(
    tx: Tx, taken: Sequence[Unrouted]
) -> tuple[list[tuple[Unrouted, ledger.Proof]], list[Unrouted]]:
    """Tell the answers to our own surveys (joined by message or tracking id) from other ratings."""
    ids = {feedback.id: _vendor_ids(feedback) for feedback in taken}
    proofs = ledger.find(
        tx,
        provider_ids=[msg_id for msg_id, _ in ids.values()],
        tracking_ids=[tracking_id for _, tracking_id in ids.values()],
    )
    answers, ratings = [], []
    for feedback in taken:
        proof = next((proofs[id_] for id_ in ids[feedback.id] if id_ in proofs), None)
        if proof is not None and proof.step in (Step.SURVEY, Step.REMIND):
            answers.append((feedback, proof))
        else:
            ratings.append(feedback)
    return answers, ratings


def _vendor_ids(feedback: Unrouted) -> tuple[str, str]:
    """Message and tracking id of a polled rating; empty for what did not come by poll."""
    polled = feedback.raw.get(VENDOR_ROW)
    return (str(polled["msg_id"]), str(polled["tracking_id"])) if isinstance(polled, dict) else ("", "")


def _record_answers(
    tx: Tx, sweep: Sweep, answers: Sequence[tuple[Unrouted, ledger.Proof]], now: datetime
) -> list[Route]:
    """Note the answers, settle sends they prove, and wake the cases that wait for them."""
    found = cases.load_unnamed(tx, [proof.case_id for _, proof in answers]) if answers else {}
    noted, lines, wordless = [], [], []
    for feedback, proof in answers:
        case = found[proof.case_id]
        forgotten = case.customer.forgotten_at is not None
        if forgotten:  # the mark counts, the words are not kept
            wordless.append(feedback.id)
        judgement = judge(feedback.rating, feedback.scale, sweep.version(tx, case.version_id))
        noted.append(
            surveys.Answer(
                proof.case_id,
                proof.ordinal,
                int(feedback.rating or 0),
                feedback.scale,
                judgement.verdict is Verdict.ABOVE_THRESHOLD,
                "" if forgotten else feedback.text,
                feedback.occurred_at,
                f"survey answer: {judgement.reason}",
            )
        )
        msg_id = _vendor_ids(feedback)[0]
        if proof.state is not EffectState.ACCEPTED and ledger.prove(
            tx, proof.key, msg_id, now, "proved by the customer's answer"
        ):
            told = f"message {msg_id}: the customer has answered it"
            lines.append(timeline.Entry(proof.case_id, now, f"{proof.step}.proved", told))
    first = surveys.answered(tx, noted)
    # A reminder is looked at once more rather than struck off: a sweep may have died while it was sending it.
    waiting = [
        (answer.case_id, step, answer.cycle) for answer in first for step in (Step.CONCLUDE, Step.REMIND)
    ]
    agenda.wake_all(tx, waiting, now)
    lines += [
        timeline.Entry(answer.case_id, now, "survey.answered", answer.reason, "customer") for answer in first
    ]
    timeline.append(tx, lines)
    if wordless:
        inbox.empty(tx, wordless)
    return [
        Route(feedback.id, Verdict.ANSWER, "answer to our survey", proof.case_id)
        for feedback, proof in answers
    ]


@dataclass(slots=True)
class _Complaint:
    """A case, open already or about to be opened, and the bad ratings that open it or join it, oldest first."""

    is_new: bool
    order_ref: str | None
    stars: int
    last_feedback_at: datetime
    case_id: int = 0
    """0 until it is opened."""
    ratings: list[tuple[Unrouted, str]] = field(default_factory=list)
    """Each with the reason why it is bad."""

    def add(self, feedback: Unrouted, judgement: Judgement) -> None:
        self.ratings.append((feedback, judgement.reason))
        self.stars = min(self.stars, judgement.stars or self.stars)
        self.last_feedback_at = max(self.last_feedback_at, feedback.occurred_at)


def _judge_ratings(tx: Tx, sweep: Sweep, ratings: Sequence[Unrouted], now: datetime) -> list[Route]:
    routes, bad = [], []
    for feedback in ratings:
        judgement = _judgement(feedback, sweep, now)
        if judgement.verdict is Verdict.CASE:
            bad.append((feedback, judgement))
        else:
            routes.append(Route(feedback.id, judgement.verdict, judgement.reason))
    return routes + _open_or_join(tx, sweep, _complaints(tx, sweep, bad), now) if bad else routes


def _complaints(tx: Tx, sweep: Sweep, bad: Sequence[tuple[Unrouted, Judgement]]) -> list[_Complaint]:
    """Whose each bad rating is: an open case's, a new one's, or one's that an earlier of them opens. Oldest first."""
    known: dict[int, list[_Complaint]] = {}
    touched = []
    for case in cases.open_cases(
        tx, sweep.journey.name, sorted({feedback.customer_id for feedback, _ in bad})
    ):
        complaint = _Complaint(False, case.order_ref, case.stars, case.last_feedback_at, case.id)
        known.setdefault(case.customer_id, []).append(complaint)
    for feedback, judgement in sorted(bad, key=lambda pair: (pair[0].occurred_at, pair[0].id)):
        theirs = known.setdefault(feedback.customer_id, [])
        found = next((one for one in theirs if _same_complaint(one, feedback, sweep)), None)
        if found is None:
            found = _Complaint(True, feedback.order_ref, judgement.stars or 1, feedback.occurred_at)
            theirs.append(found)
        if not found.ratings:
            touched.append(found)
        found.add(feedback, judgement)
    return touched


def _open_or_join(tx: Tx, sweep: Sweep, complaints: Sequence[_Complaint], now: datetime) -> list[Route]:
    new = [complaint for complaint in complaints if complaint.is_new]
    lost = restored.last_restore(tx)
    number = restored.next_case_id(tx, lost) if new else None
    opening = [
        _new_case(sweep, complaint, now, number and number + place) for place, complaint in enumerate(new)
    ]
    for complaint, case_id in zip(new, cases.create(tx, opening), strict=True):
        complaint.case_id = case_id
    routes, lines = [], []
    for complaint in complaints:
        case_id = complaint.case_id
        if not complaint.is_new:
            severity = sweep.journey.tickets.severity(complaint.stars)
            cases.join_feedback(tx, case_id, complaint.last_feedback_at, complaint.stars, severity)
        for place, (feedback, reason) in enumerate(complaint.ratings):
            opens = complaint.is_new and place == 0
            event = "case.opened" if opens else "case.joined"
            lines.append(timeline.Entry(case_id, now, event, f"{feedback.source}: {reason}"))
            routes.append(Route(feedback.id, Verdict.CASE, reason if opens else f"joined: {reason}", case_id))
    timeline.append(tx, lines)
    agenda.plan(
        tx,
        [
            agenda.Item(complaint.case_id, sweep.journey.name, step, 0, now)
            for complaint in new
            for step in (Step.ACKNOWLEDGE, Step.OPEN_TICKET)
        ],
    )
    for complaint in new:
        if lost and complaint.ratings[0][0].occurred_at <= lost.until:
            restored.doubt(tx, complaint.case_id, Step.ACKNOWLEDGE, 0, now)
    return routes


def _judgement(feedback: Unrouted, sweep: Sweep, now: datetime) -> Judgement:
    judgement = judge(feedback.rating, feedback.scale, sweep.journey)
    if judgement.verdict is Verdict.CASE and too_old(feedback.occurred_at, now, sweep.journey):
        return Judgement(Verdict.SUPPRESSED, f"older than {sweep.journey.oldest_rating_days:g} days")
    return judgement


def _same_complaint(complaint: _Complaint, feedback: Unrouted, sweep: Sweep) -> bool:
    same_order = feedback.order_ref is not None and feedback.order_ref == complaint.order_ref
    return same_order or joins(complaint.last_feedback_at, feedback.occurred_at, sweep.journey)


def _new_case(sweep: Sweep, complaint: _Complaint, now: datetime, number: int | None) -> cases.NewCase:
    """As its ratings are: the first says what it is about, the worst how severe it is."""
    first = complaint.ratings[0][0]
    return cases.NewCase(
        sweep.journey.name,
        sweep.version_id,
        first.customer_id,
        now,
        complaint.last_feedback_at,
        complaint.stars,
        sweep.journey.tickets.severity(complaint.stars),
        first.order_ref,
        first.branch,
        first.product,
        number,
    )
