"""Figures for people, counted from the rows themselves."""

from dataclasses import replace

from amends.domain.effects import Policy, Step
from amends.domain.journey.base import Severity
from amends.domain.outcome import Outcome
from amends.domain.ratings import Scale
from amends.domain.sla import ClockKind, ordinal_of
from amends.store import agenda, cases, inbox, ledger, reports, surveys, tickets, vouchers
from amends.store.agenda import Item
from amends.store.engine import Store, Tx
from amends.store.inbox import Route
from amends.store.reports import Funnel, SlaLine
from tests.domain.examples import HOUR, JOURNEY, NINE
from tests.store.rows import ACCEPTED, MINUTE, REFUSED, UNKNOWN, add_case, add_ticket, feedback, intent

NOTHING = Funnel(*[0] * 18)


def do(tx: Tx, case_id: int, step: Step, outcome: Outcome = ACCEPTED, ordinal: int = 0) -> None:
    """One effect of the case with its answer."""
    made = intent(case_id, step=step, ordinal=ordinal, policy=Policy.AT_MOST_ONCE)
    ledger.begin(tx, [made], owner="one", now=NINE, lease_until=NINE + HOUR)
    ledger.settle(tx, [(made, outcome)], owner="one", attempts={}, now=NINE)


def funnel(tx: Tx) -> Funnel:
    return reports.funnel(tx, "complaint", NINE + HOUR)


def test_an_empty_store_counts_nothing(store: Store) -> None:
    with store.read() as tx:
        assert funnel(tx) == NOTHING
        assert reports.service_levels(tx, "complaint", NINE) == []


def test_ratings_are_counted_by_where_they_went(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        inbox.receive(tx, "complaint", [feedback(str(n)) for n in range(5)], NINE)
        verdicts = ["case", "case", "above_threshold", "answer", None]
        taken = inbox.take_unrouted(tx, "complaint", 10)
        inbox.route(
            tx,
            [
                Route(rating.id, verdict, "", case_id if verdict == "case" else None)
                for rating, verdict in zip(taken, verdicts, strict=True)
                if verdict
            ],
            NINE,
        )
        assert funnel(tx) == replace(NOTHING, feedback=4, low_ratings=2, cases=1, merged=1, open=1)


def test_messages_are_counted_once_the_vendor_took_them(store: Store) -> None:
    with store.begin() as tx:
        one, other = add_case(tx), add_case(tx)
        for step in (Step.ACKNOWLEDGE, Step.NOTIFY_AGENT, Step.SURVEY):
            do(tx, one, step)
            do(tx, other, step, REFUSED)
        do(tx, one, Step.REMIND)
        counted = funnel(tx)
    assert (counted.acknowledged, counted.notified, counted.surveys_sent) == (1, 1, 1)


def test_warnings_are_no_escalations(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        for kind in ClockKind:
            for level in (0, 1, 2):
                do(tx, case_id, Step.WATCH_SLA, ordinal=ordinal_of(kind, 1, level))
        assert funnel(tx).escalations == 4


def test_clocks_are_met_breached_or_still_running(store: Store) -> None:
    with store.begin() as tx:
        for taken_after in (10, 40, None):  # the target is 30 minutes
            _, ticket_id = add_ticket(tx)
            if taken_after:
                tickets.take(tx, ticket_id, "lan", NINE + taken_after * MINUTE)
        early = reports.funnel(tx, "complaint", NINE + 20 * MINUTE)
        late = reports.funnel(tx, "complaint", NINE + 30 * MINUTE)
        assert (early.sla_met, early.sla_breached) == (1, 1)
        assert (late.sla_met, late.sla_breached) == (1, 2)
        assert late.tickets == 3


def test_service_levels_are_told_per_severity_and_target_the_worst_first(store: Store) -> None:
    with store.begin() as tx:
        add_ticket(tx, severity=Severity.LOW)
        _, met = add_ticket(tx)
        add_ticket(tx)
        tickets.take(tx, met, "lan", NINE + MINUTE)
        lines = reports.service_levels(tx, "complaint", NINE + HOUR)
    assert lines == [
        SlaLine(Severity.URGENT, ClockKind.FIRST_RESPONSE, met=1, breached=1, running=0),
        SlaLine(Severity.URGENT, ClockKind.RESOLUTION, met=0, breached=0, running=2),
        SlaLine(Severity.LOW, ClockKind.FIRST_RESPONSE, met=0, breached=0, running=1),
        SlaLine(Severity.LOW, ClockKind.RESOLUTION, met=0, breached=0, running=1),
    ]
    assert [line.share_met for line in lines] == [0.5, None, None, None]


def test_surveys_vouchers_and_closings_are_counted(store: Store) -> None:
    with store.begin() as tx:
        happy, unhappy, open_ = (add_case(tx) for _ in range(3))
        for case_id, satisfied in ((happy, True), (unhappy, False)):
            answer = surveys.Answer(case_id, 0, 5, Scale.FIVE_STARS, satisfied, "", NINE, "")
            surveys.answered(tx, [answer])
            cases.close(tx, [case_id], NINE)
        for case_id in (happy, open_):
            vouchers.reserve(tx, "complaint", JOURNEY.reward, [case_id], NINE)
        vouchers.issued(tx, [happy])
        counted = funnel(tx)
        assert reports.spent(tx, "complaint") == (2, 100_000)
    assert (counted.surveys_answered, counted.satisfied, counted.vouchers) == (2, 1, 1)
    assert (counted.closed, counted.open) == (2, 1)


def test_other_journeys_do_not_count(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_ticket(tx)
        do(tx, case_id, Step.ACKNOWLEDGE)
        inbox.receive(tx, "complaint", [feedback()], NINE)
        assert reports.funnel(tx, "aftercare", NINE) == NOTHING
        assert reports.service_levels(tx, "aftercare", NINE) == []
        assert reports.spent(tx, "aftercare") == (0, 0)


def test_an_operator_sees_every_effect_of_unknown_fate(store: Store) -> None:
    with store.begin() as tx:
        lost, open_, sent = (add_case(tx) for _ in range(3))
        do(tx, lost, Step.ACKNOWLEDGE, UNKNOWN)
        ledger.begin(tx, [intent(open_)], owner="one", now=NINE, lease_until=NINE)
        do(tx, sent, Step.ACKNOWLEDGE)
        shown = reports.uncertain_effects(tx, "complaint")
        assert funnel(tx).uncertain == 2
    assert [(effect.case_id, effect.state) for effect in shown] == [(lost, "uncertain"), (open_, "sending")]


def test_the_backlog_is_what_the_next_sweep_will_find(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        dues = [(Step.SURVEY, 0, NINE), (Step.SURVEY, 1, NINE - HOUR), (Step.REMIND, 0, NINE + HOUR)]
        agenda.plan(tx, [Item(case_id, "complaint", step, ordinal, due) for step, ordinal, due in dues])
        assert reports.backlog(tx, "complaint", NINE) == {"survey": 2}


def test_journeys_are_known_by_their_feedback_or_cases(store: Store) -> None:
    with store.begin() as tx:
        add_case(tx)
        inbox.receive(tx, "aftercare", [feedback()], NINE)
        assert reports.journeys_known(tx) == ["aftercare", "complaint"]


def test_an_audit_finds_each_case_with_its_contact_and_low_ratings(store: Store) -> None:
    with store.begin() as tx:
        case_id = add_case(tx)
        inbox.receive(tx, "complaint", [feedback("1"), feedback("2")], NINE)
        taken = inbox.take_unrouted(tx, "complaint", 10)
        inbox.route(tx, [Route(rating.id, "case", "", case_id) for rating in taken], NINE)
        (found,) = reports.case_contacts(tx, "complaint")
    assert (found.case_id, found.phone, found.low_ratings) == (case_id, "84912345678", 2)
