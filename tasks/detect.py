"""Detect: take in what the sources have, judge each feedback, and open or join cases."""

from collections.abc import Sequence
from dataclasses import replace
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
    found = cases.load(tx, [proof.case_id for _, proof in answers], messages_since=now) if answers else {}
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


def _judge_ratings(tx: Tx, sweep: Sweep, ratings: Sequence[Unrouted], now: datetime) -> list[Route]:
    judged = [(feedback, _judgement(feedback, sweep, now)) for feedback in ratings]
    bad = {feedback.customer_id for feedback, judgement in judged if judgement.verdict is Verdict.CASE}
    known: dict[int, list[cases.OpenCase]] = {}
    for case in cases.open_cases(tx, sweep.journey.name, sorted(bad)) if bad else []:
        known.setdefault(case.customer_id, []).append(case)
    routes, lines, items, doubted = [], [], [], []
    lost = restored.last_restore(tx) if bad else None
    for feedback, judgement in sorted(judged, key=lambda pair: (pair[0].occurred_at, pair[0].id)):
        if judgement.verdict is not Verdict.CASE:
            routes.append(Route(feedback.id, judgement.verdict, judgement.reason))
            continue
        open_cases = known.setdefault(feedback.customer_id, [])
        joined = next((case for case in open_cases if _same_complaint(case, feedback, sweep)), None)
        if joined is not None:
            stars = min(joined.stars, judgement.stars or joined.stars)
            severity = sweep.journey.tickets.severity(stars)
            cases.join_feedback(tx, joined.id, feedback.occurred_at, stars, severity)
            latest = max(joined.last_feedback_at, feedback.occurred_at)
            open_cases[open_cases.index(joined)] = replace(joined, last_feedback_at=latest, stars=stars)
            lines.append(
                timeline.Entry(joined.id, now, "case.joined", f"{feedback.source}: {judgement.reason}")
            )
            routes.append(Route(feedback.id, Verdict.CASE, f"joined: {judgement.reason}", joined.id))
            continue
        stars = judgement.stars or 1
        new = _new_case(sweep, feedback, stars, now)
        case_id = cases.create(tx, replace(new, id=restored.next_case_id(tx, lost)) if lost else new)
        if lost and feedback.occurred_at <= lost.until:
            doubted.append(case_id)
        open_cases.append(
            cases.OpenCase(case_id, feedback.customer_id, feedback.occurred_at, feedback.order_ref, stars)
        )
        lines.append(timeline.Entry(case_id, now, "case.opened", f"{feedback.source}: {judgement.reason}"))
        routes.append(Route(feedback.id, Verdict.CASE, judgement.reason, case_id))
        items += [
            agenda.Item(case_id, sweep.journey.name, step, 0, now)
            for step in (Step.ACKNOWLEDGE, Step.OPEN_TICKET)
        ]
    agenda.plan(tx, items)
    timeline.append(tx, lines)
    for case_id in doubted:
        restored.doubt(tx, case_id, Step.ACKNOWLEDGE, 0, now)
    return routes


def _judgement(feedback: Unrouted, sweep: Sweep, now: datetime) -> Judgement:
    judgement = judge(feedback.rating, feedback.scale, sweep.journey)
    if judgement.verdict is Verdict.CASE and too_old(feedback.occurred_at, now, sweep.journey):
        return Judgement(Verdict.SUPPRESSED, f"older than {sweep.journey.oldest_rating_days:g} days")
    return judgement


def _same_complaint(case: cases.OpenCase, feedback: Unrouted, sweep: Sweep) -> bool:
    same_order = feedback.order_ref is not None and feedback.order_ref == case.order_ref
    return same_order or joins(case.last_feedback_at, feedback.occurred_at, sweep.journey)


def _new_case(sweep: Sweep, feedback: Unrouted, stars: int, now: datetime) -> cases.NewCase:
    return cases.NewCase(
        sweep.journey.name,
        sweep.version_id,
        feedback.customer_id,
        now,
        feedback.occurred_at,
        stars,
        sweep.journey.tickets.severity(stars),
        feedback.order_ref,
        feedback.branch,
        feedback.product,
    )
