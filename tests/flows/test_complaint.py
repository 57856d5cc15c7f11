"""The complaint journey end to end, against a real Prefect server and the sandbox, on both databases."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import incidents, reports, timeline
from amends.store.schema import cases, effects, feedbacks, quarantine, vouchers
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.flows.bench import (
    BEST_MARK,
    LOST_ANSWER,
    NEVER_RATES,
    NOT_ON_ZALO,
    WORST_MARK,
    changed,
    drop_reviews,
    move,
    review,
    sent,
    solve_all,
)

pytestmark = pytest.mark.usefixtures("prefect_api")


def outcomes(runtime: Runtime) -> list[tuple[str | None, bool]]:
    with runtime.store.read() as tx:
        rows = tx.execute(sa.select(cases.c.outcome, cases.c.closed_at).order_by(cases.c.id)).all()
    return [(row.outcome, row.closed_at is not None) for row in rows]


def events(runtime: Runtime, case_id: int) -> list[str]:
    with runtime.store.read() as tx:
        return [entry.event for entry in timeline.of_case(tx, case_id)]


async def test_a_satisfied_customer_gets_apology_survey_and_one_voucher(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK, rating=2)])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=30)))
    move(clock, sandbox, timedelta(hours=4))
    await complaint(journey)
    move(clock, sandbox, timedelta(hours=2))
    await complaint(journey)

    assert outcomes(runtime) == [("satisfied", True)]
    messages = [(e["kind"], e.get("template_type")) for e in sandbox.book()]
    assert messages == [
        ("zns", "custom"),
        ("agent_notification", None),
        ("zns", "rating"),
        ("zns", "voucher"),
    ]
    assert events(runtime, 1) == [
        "case.opened",
        "acknowledge.sent",
        "ticket.opened",
        "notify_agent.sent",
        "ticket.taken",
        "ticket.solved",
        "survey.sent",
        "survey.answered",
        "case.satisfied",
        "reward.sent",
        "case.closed",
    ]


async def test_an_unsatisfied_customer_reopens_the_ticket_once_then_the_case_closes(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=WORST_MARK, rating=3)])
    await complaint(journey)
    for _ in range(2):
        solve_all(runtime.store, move(clock, sandbox, timedelta(hours=1)))
        move(clock, sandbox, timedelta(hours=23))
        await complaint(journey)
        move(clock, sandbox, timedelta(hours=2))
        await complaint(journey)

    assert outcomes(runtime) == [("unsatisfied", True)]
    story = events(runtime, 1)
    assert story.count("ticket.reopened") == 1
    assert "reward.sent" not in story
    assert sent(sandbox.book())[WORST_MARK, "rating"] == 2
    with runtime.store.read() as tx:
        levels = {line.severity.value for line in reports.service_levels(tx, journey.name, clock.now())}
    assert levels == {"normal", "high"}


async def test_silence_is_reminded_once_and_then_an_answer(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=NEVER_RATES)])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(hours=1)))
    for _ in range(7):
        move(clock, sandbox, timedelta(hours=24))
        await complaint(journey)

    assert outcomes(runtime) == [("silent", True)]
    assert sent(sandbox.book())[NEVER_RATES, "rating"] == 2


async def test_a_customer_without_zalo_is_unreachable_but_still_gets_a_ticket(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=NOT_ON_ZALO), review(2, phone=None)])
    await complaint(journey)
    assert solve_all(runtime.store, move(clock, sandbox, timedelta(hours=1))) == 2
    move(clock, sandbox, timedelta(hours=4))
    await complaint(journey)

    assert outcomes(runtime) == [("unreachable", True)] * 2
    assert {entry["kind"] for entry in sandbox.book()} == {"zns_refused", "agent_notification"}


async def test_an_answer_lost_after_acceptance_is_uncertain_and_never_sent_again(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=LOST_ANSWER)])
    for _ in range(4):
        await complaint(journey)
        move(clock, sandbox, timedelta(hours=3))

    assert sent(sandbox.book(kind="zns")) == {(LOST_ANSWER, "custom"): 1}
    with runtime.store.read() as tx:
        [uncertain] = reports.uncertain_effects(tx, journey.name)
    assert (uncertain.step, uncertain.state) == ("acknowledge", "uncertain")
    assert uncertain.detail


async def test_bad_ratings_of_one_customer_within_the_window_are_one_case(
    runtime: Runtime, journey: ComplaintJourney
) -> None:
    close = review(2, phone=BEST_MARK, occurred_at="2026-11-01T01:00:00+00:00")
    far = review(3, phone=BEST_MARK, occurred_at="2026-10-20T01:00:00+00:00")
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK), close, far, review(4, phone=NEVER_RATES)])
    await complaint(journey)

    with runtime.store.read() as tx:
        rows = tx.execute(sa.select(feedbacks.c.external_id, feedbacks.c.case_id)).all()
    case_of = {row.external_id: row.case_id for row in rows}
    assert case_of["r1"] == case_of["r2"]
    assert len(set(case_of.values())) == 3


async def test_bad_rows_go_to_quarantine_and_good_ones_through(
    runtime: Runtime, journey: ComplaintJourney
) -> None:
    drop_reviews(
        runtime,
        "monday",
        [review(1, phone=BEST_MARK), review(2, phone=None, rating=9), review(3, phone=None, rating=5)],
    )
    await complaint(journey)
    with runtime.store.read() as tx:
        assert tx.execute(
            sa.select(feedbacks.c.verdict).order_by(feedbacks.c.external_id)
        ).scalars().all() == [
            "case",
            "above_threshold",
        ]
        [bad] = tx.execute(sa.select(quarantine.c.problems)).scalars()
    assert bad[0]["field"] == "rating"
    assert bad[0]["fix"]


async def test_the_same_file_twice_changes_nothing(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK)])
    await complaint(journey)
    drop_reviews(runtime, "again", [review(1, phone=BEST_MARK)])
    report = await complaint(journey)
    assert report["detect"]["received"] == 0
    assert len(sandbox.book(kind="zns")) == 1


async def test_nothing_leaves_at_night_and_everything_in_the_morning(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    move(clock, sandbox, timedelta(hours=13))  # 22:00 in Viet Nam
    drop_reviews(runtime, "night", [review(1, phone=BEST_MARK)])
    await complaint(journey)
    assert sandbox.book(kind="zns") == []
    assert "acknowledge.postponed" in events(runtime, 1)
    move(clock, sandbox, timedelta(hours=10))
    await complaint(journey)
    assert sent(sandbox.book(kind="zns")) == {(BEST_MARK, "custom"): 1}


async def test_missed_targets_climb_the_ladder_each_level_once(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK, rating=1)])
    # Steps short enough that no two events fall into one sweep, whose messages leave in no particular order.
    for hours in (0.5, 4, 1.5, 2, 4, 12.5):
        await complaint(journey)
        move(clock, sandbox, timedelta(hours=hours))
    titles = [entry["title"] for entry in sandbox.book(kind="agent_notification")]
    assert len(titles) == len(set(titles))
    assert [title.partition("] ")[2] for title in titles] == [
        "urgent ticket",
        "first response missed, level 1",
        "first response missed, level 2",
        "resolution at risk",
        "resolution missed, level 1",
        "resolution missed, level 2",
    ]


async def test_the_budget_stops_vouchers_and_says_so(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    data = journey.model_dump(mode="json")
    data["reward"]["budget"] = {"count": 1, "vnd": 10_000_000}
    journey = ComplaintJourney.model_validate(data)
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK), review(2, phone="84912000001")])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(hours=1)))
    for _ in range(8):
        move(clock, sandbox, timedelta(hours=24))
        await complaint(journey)
        solve_all(runtime.store, clock.now())
    with runtime.store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).where(vouchers.c.state == "issued")).scalar() == 1
        assert reports.spent(tx, journey.name) == (1, 50_000)
    assert "reward.suppressed" in events(runtime, 1) + events(runtime, 2)


async def test_a_paused_journey_takes_ratings_in_and_sends_nothing(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK)])
    await complaint(changed(journey, paused=True))
    assert sandbox.book() == []
    move(clock, sandbox, timedelta(minutes=20))
    await complaint(journey)
    assert len(sandbox.book()) == 2


async def test_a_case_stays_on_the_version_it_entered_with(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK)])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(hours=1)))
    data = journey.model_dump(mode="json")
    data["survey"]["enabled"] = False
    move(clock, sandbox, timedelta(hours=4))
    await complaint(ComplaintJourney.model_validate(data))
    assert sent(sandbox.book(kind="zns"))[BEST_MARK, "rating"] == 1


async def test_a_vendor_problem_for_people_is_one_incident_and_the_cases_wait(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    sandbox.switch(refuse_sends_with=-137)  # the balance is used up
    drop_reviews(runtime, "monday", [review(n, phone=f"849120000{n:02d}") for n in range(1, 41)])
    await complaint(journey)
    with runtime.store.read() as tx:
        [incident] = incidents.still_open(tx)
        waiting = tx.execute(sa.select(sa.func.count()).where(effects.c.state == "waiting")).scalar()
    assert incident.code == "-137"
    assert waiting == runtime.settings.open_calls
    sandbox.switch(refuse_sends_with=None)
    move(clock, sandbox, timedelta(hours=1))
    await complaint(journey)
    with runtime.store.read() as tx:
        assert incidents.still_open(tx) == []
    assert all(count == 1 for count in sent(sandbox.book(kind="zns")).values())
    answered = sent(sandbox.book(kind="zns")).total() + len(sandbox.book(kind="zns_refused"))
    assert answered >= 40


async def test_a_vendor_that_is_not_set_up_makes_cases_wait_not_fail(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    bare = runtime.settings.model_copy(update={"zalo": None})
    use_runtime(Runtime(bare, runtime.store, runtime.clock))
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK)])
    await complaint(journey)
    assert {entry["kind"] for entry in sandbox.book()} == {"agent_notification"}
    assert "acknowledge" not in [e.partition(".")[0] for e in events(runtime, 1)]
