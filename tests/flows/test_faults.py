"""Whatever a fault script does, every customer has a message once, or it is listed as uncertain or refused, and why."""

import asyncio
from collections import Counter

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from amends.domain.effects import Step
from amends.domain.journey import ComplaintJourney
from amends.store import timeline
from amends.store.schema import feedbacks, surveys
from desk.counts import Counts
from sandbox.fault_script import REQUEST_FAULTS, WEBHOOK_FAULTS, read_file
from sandbox.faults import NEW_CONSENT
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.conftest import ROOT
from tests.connectors.smtp_rig import MailScript, mail_host
from tests.flows.bench import LOST_ANSWER, NEVER_RATES, NOT_ON_ZALO, changed, drop_reviews, review
from tests.flows.rehearsal import Rehearsal, desk_of, reachable, rehearsal

pytestmark = pytest.mark.usefixtures("prefect_api")
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

HARSHEST = [rule.written() for rule in read_file(ROOT / "deployments" / "faults" / "harshest.yaml")]
SIX = 6
ACCOUNT_FAULTS = ("expire_token", "burn_refresh_token", "quota_out", "balance_out", "template_disabled")
"""These change the account, not one request: each has a test of its own."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database_url", "webhooks"), [("sqlite", False), ("postgres", True)], indirect=["database_url"]
)
async def test_under_the_harshest_script_everyone_is_messaged_once_or_listed_with_the_reason(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, webhooks: bool
) -> None:
    """The whole journey of 45 customers; once without webhooks, once with all of them through a real desk."""
    sooner = {**journey.survey.model_dump(), "reminder_after_hours": 12, "answer_window_hours": 36}
    played = rehearsal(runtime, changed(journey, survey=sooner), sandbox, timeout_seconds=0.5)
    played.strike(*HARSHEST)
    played.complain(f"8491200{number:04d}" for number in range(45))
    if webhooks:
        async with desk_of(played) as counts:
            await _play_to_the_end(played)
        assert {"forged", "stale", "truncated", "oversized", "accepted"} <= set(_by_outcome(counts))
    else:
        await _play_to_the_end(played)

    assert played.problems() == []
    apologies = played.messages(Step.ACKNOWLEDGE)
    assert len(apologies) == 45
    assert {one.state for one in apologies} <= {"accepted", "refused", "uncertain"}
    told = {entry["title"].partition("]")[0][1:] for entry in sandbox.book(kind="agent_notification")}
    assert told == {one.case for one in apologies}, "an agent may be told twice, never not at all"
    everything = Counter(one.state for one in played.messages())
    assert everything["accepted"] > 65, everything
    doubts = [one for one in played.messages() if one.state == "uncertain"]
    assert all(one.taken == (one.state == "accepted") for one in played.messages() if one not in doubts)
    if webhooks:
        # A delivery webhook settles what was taken, unless it was robbed of its tracking id.
        nameless = {e["msg_id"] for e in sandbox.book(kind="webhook", fault="no_tracking_id")}
        open_ids = {one.tracking_id for one in doubts}
        unsettled = {e["msg_id"] for e in sandbox.book(kind="zns") if e["tracking_id"] in open_ids}
        assert unsettled <= nameless
    else:
        assert len(doubts) > 20, "a script that leaves no doubts proves nothing"
    # A token that dies again as soon as it is made is all that needs a look, and it mends itself.
    deaths = sum(rule["struck"] for rule in sandbox.faults() if rule["fault"] == "expire_token")
    tokens = [(what, code) for what, code in played.incidents() if code != "resting"]
    assert len(tokens) <= deaths
    assert {what for what, _ in played.incidents()} <= {"zns", "zns ratings"}
    assert {code for _, code in tokens} <= {"-124", "new_token_refused"}
    # The very last message may have been a bad one, and it takes a next one to find the vendor well again.
    played.strike()
    drop_reviews(runtime, "next", [review(99, phone=reachable("849121", 1)[0])])
    await played.sweep(1, 12, 24)  # beyond the night, and a quota that is used up
    assert [one.state for one in played.messages(Step.ACKNOWLEDGE)[45:]] == ["accepted"]
    assert played.incidents(still_open=True) == []


async def _play_to_the_end(played: Rehearsal) -> None:
    """Sweep until every case is closed; from the second hour on, agents solve everything at once."""
    await played.sweep(0, 0.2)
    for pause in (1, 3, 6, *[4] * 70):  # often enough that a channel which rests is tried again
        await played.sweep(pause)
        played.solve_all()
        if not played.open_cases():
            break
    assert played.open_cases() == 0
    await played.sweep(3, 1, 1)  # the last webhooks, and what is repeated of them


TAKEN_UNKNOWN = {("uncertain", 1, 1): 2, ("accepted", 1, 1): 4}
LEFT_UNKNOWN = {("uncertain", 0, 1): 2, ("accepted", 1, 1): 4}
LATER = {("accepted", 1, 2): 2, ("accepted", 1, 1): 4}
UNNOTICED = {("accepted", 1, 1): 6}
EXPECTED: dict[str, dict[tuple[str, int, int], int]] = {
    "timeout_before": LEFT_UNKNOWN,  # nobody can tell it from the next one
    "timeout_after_accept": TAKEN_UNKNOWN,
    "reset_before": LEFT_UNKNOWN,
    "reset_after_accept": TAKEN_UNKNOWN,
    "cut_off": TAKEN_UNKNOWN,
    "not_json": TAKEN_UNKNOWN,
    "empty": TAKEN_UNKNOWN,
    "http_500": LEFT_UNKNOWN,
    "http_500_after_accept": TAKEN_UNKNOWN,
    "http_502": LEFT_UNKNOWN,
    "http_429": LATER,
    "http_503": UNNOTICED,  # "busy" without a time is asked again within the call
    "code": LATER,
    "slow": UNNOTICED,
}
"""By fault: how many of six customers end in which state, how often in the book, after how many tries."""
PARTS: dict[str, dict[str, object]] = {
    "http_429": {"retry_after": 60},
    "code": {"code": -100},
    "slow": {"seconds": 0.1},
}


@ONE_DATABASE
async def test_each_fault_of_a_request_that_strikes_the_first_two_messages_alone(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    """One journey for all of them: each fault has six customers of its own, told apart by their numbers."""
    assert set(EXPECTED) | set(ACCOUNT_FAULTS) == set(REQUEST_FAULTS)
    played = rehearsal(runtime, journey, sandbox, timeout_seconds=3, quiet_agents=True, open_calls=128)
    prefix_of = {fault: f"84912{number:02d}" for number, fault in enumerate(EXPECTED)}
    played.strike(
        *(
            {"on": "send", "fault": fault, "phone": f"{prefix}*", "times": 2, **PARTS.get(fault, {})}
            for fault, prefix in prefix_of.items()
        )
    )
    played.complain(phone for prefix in prefix_of.values() for phone in reachable(prefix, SIX))
    await played.sweep(0, 0.1, 24)

    assert played.problems() == []
    fates = {
        fault: Counter(
            (one.state, one.taken, one.attempts)
            for one in played.messages(Step.ACKNOWLEDGE)
            if one.phone and one.phone.startswith(prefix)
        )
        for fault, prefix in prefix_of.items()
    }
    assert fates == EXPECTED
    assert all(rule["struck"] == 2 for rule in sandbox.faults())
    assert len(played.uncertain()) == 2 * sum(
        fate in (TAKEN_UNKNOWN, LEFT_UNKNOWN) for fate in EXPECTED.values()
    )
    assert played.incidents() == []


@pytest.fixture
def six(runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox) -> Rehearsal:
    """Six customers with a bad rating, apologised to two at a time."""
    played = rehearsal(runtime, journey, sandbox, timeout_seconds=3, quiet_agents=True, open_calls=2)
    played.complain(reachable("8491250", SIX))
    return played


def _each_once(played: Rehearsal) -> None:
    assert played.problems() == []
    assert [(one.state, one.taken) for one in played.messages(Step.ACKNOWLEDGE)] == [("accepted", 1)] * SIX
    assert played.incidents(still_open=True) == []


@ONE_DATABASE
async def test_an_access_token_that_dies_in_mid_sweep_costs_one_refresh_and_nobody_a_message(
    six: Rehearsal, sandbox: Sandbox
) -> None:
    counting = {"on": "token", "fault": "http_500", "skip": 1_000}
    six.strike({"on": "send", "fault": "expire_token", "skip": 2, "times": 1}, counting)
    await six.sweep()
    _each_once(six)
    assert {one.attempts for one in six.messages(Step.ACKNOWLEDGE)} == {1}
    assert [rule["matched"] for rule in sandbox.faults()][1] == 2, "the first token, and the one after it"
    assert six.incidents() == []


@ONE_DATABASE
async def test_while_no_new_token_can_be_had_nothing_is_sent_with_the_dead_one(
    six: Rehearsal, sandbox: Sandbox
) -> None:
    six.strike(
        {"on": "send", "fault": "expire_token", "skip": 2, "times": 1},
        {"on": "token", "fault": "http_503", "retry_after": 60, "skip": 1, "times": 1},
    )
    await six.sweep()
    in_flight = [entry["code"] for entry in sandbox.book(kind="zns_refused")]
    # How many depends on whether the second had left when the first's answer came.
    assert in_flight in ([-124], [-124, -124]), "who was on the way, of two that may be"
    assert six.states() == {"accepted": 2, "waiting": 4}
    await six.sweep(1)
    _each_once(six)


@ONE_DATABASE
async def test_a_burnt_refresh_token_is_one_incident_and_after_a_new_consent_all_is_sent(
    six: Rehearsal, runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    six.strike(
        {"on": "send", "fault": "burn_refresh_token", "times": 1},
        {"on": "send", "fault": "expire_token", "skip": 1, "times": 1},
    )
    await six.sweep()
    assert six.incidents() == [("zns", "-14014")]
    before = Counter((one.state, one.taken) for one in six.messages(Step.ACKNOWLEDGE))
    assert set(before) <= {("accepted", 1), ("waiting", 0)}
    assert before["waiting", 0] > 0

    assert runtime.settings.zalo is not None
    consent = runtime.settings.zalo.model_copy(update={"refresh_token": SecretStr(NEW_CONSENT)})
    settings = runtime.settings.model_copy(update={"zalo": consent})
    mended = Runtime(settings, runtime.store, runtime.clock)
    again = rehearsal(mended, journey, sandbox, timeout_seconds=10, quiet_agents=True)
    await again.sweep(1)
    _each_once(again)


@ONE_DATABASE
async def test_a_quota_that_is_used_up_keeps_the_others_waiting_until_the_next_day(six: Rehearsal) -> None:
    six.strike({"on": "send", "fault": "quota_out", "skip": 2, "times": 1})
    await six.sweep(0, 5)
    waiting = Counter((one.state, one.taken) for one in six.messages(Step.ACKNOWLEDGE))
    assert waiting == {("accepted", 1): 2, ("waiting", 0): 4}
    await six.sweep(20)
    _each_once(six)
    assert six.incidents() == []


@ONE_DATABASE
async def test_an_empty_balance_is_one_incident_and_ends_with_the_top_up(
    six: Rehearsal, sandbox: Sandbox
) -> None:
    six.strike({"on": "send", "fault": "balance_out", "skip": 2, "times": 1})
    await six.sweep(0, 1)
    assert six.incidents() == [("zns", "-137")]
    assert six.states()["accepted"] == 2
    sandbox.switch(refuse_sends_with=None)
    await six.sweep(1)
    _each_once(six)


@ONE_DATABASE
async def test_a_disabled_template_stops_that_template_only(six: Rehearsal, sandbox: Sandbox) -> None:
    drop_reviews(six.runtime, "english", [review(99, phone=NEVER_RATES, language="en")])
    six.strike({"on": "send", "template_id": "310001", "fault": "template_disabled", "skip": 2, "times": 1})
    await six.sweep(0, 1)
    assert [what for what, _ in six.incidents(still_open=True)] == ["zns:310001"] * len(six.incidents())
    assert ("zns:310001", "-146") in six.incidents()
    states = {one.phone: (one.state, one.taken) for one in six.messages(Step.ACKNOWLEDGE)}
    assert states.pop(NEVER_RATES) == ("accepted", 1), "the English template goes on"
    assert list(states.values()).count(("accepted", 1)) == 2
    sandbox.switch(template_status={"310001": "ENABLE"})
    await six.sweep(1)
    assert six.problems() == []
    assert six.states() == {"accepted": SIX + 1}
    assert six.incidents(still_open=True) == []


@ONE_DATABASE
async def test_a_delivery_webhook_settles_a_lost_answer_and_the_message_is_never_sent_again(
    six: Rehearsal, runtime: Runtime
) -> None:
    async with desk_of(six):
        six.strike({"on": "send", "fault": "timeout_after_accept", "skip": 2, "times": 2})
        await six.sweep()
        doubtful = {doubt.case_id for doubt in six.uncertain()}
        assert len(doubtful) == 2
        await six.sweep(0.1, 3, 24)
    assert six.uncertain() == []
    _each_once(six)
    for case_id in doubtful:
        with runtime.store.read() as tx:
            story = [(line.event, line.detail) for line in timeline.of_case(tx, case_id)]
        told = [event for event, _ in story if event.startswith("acknowledge.")]
        assert told == ["acknowledge.uncertain", "acknowledge.delivered"]
        assert any("settles the doubt" in detail for _, detail in story)


@ONE_DATABASE
async def test_whatever_befalls_the_webhook_of_an_answer_it_counts_once_and_a_bad_one_not_at_all(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    """Each fault has one customer, who answers the survey; polls find the answer whose webhook was dropped."""
    played = rehearsal(runtime, journey, sandbox, timeout_seconds=10, quiet_agents=True)
    played.complain(reachable("8491260", len(WEBHOOK_FAULTS)))
    async with desk_of(played) as counts:
        await played.sweep()
        played.solve_all()
        await played.sweep(5)
        sent = sandbox.book(kind="zns", template_type="rating")
        assert len(sent) == len(WEBHOOK_FAULTS)
        late = {"late": {"seconds": 7200}}
        played.strike(
            *(
                {"on": "webhook", "event": "user_feedback", "fault": fault, "times": 1, **late.get(fault, {})}
                for fault in WEBHOOK_FAULTS
            )
        )
        before = _by_outcome(counts)
        for entry in sent:
            await asyncio.to_thread(sandbox.rate, entry["msg_id"], 5)
        assert _by_outcome(counts) - before == {
            "accepted": 2,  # of the duplicate, and without a tracking id
            "duplicate": 1,
            "forged": 1,
            "stale": 1,
            "oversized": 1,
            "truncated": 1,
        }
        await played.sweep(0.1, 3, 16, 24)

    with runtime.store.read() as tx:
        answers = tx.execute(sa.select(feedbacks.c.external_id).where(feedbacks.c.verdict == "answer"))
        noted = tx.execute(sa.select(surveys.c.case_id).where(surveys.c.answered_at.is_not(None)))
        assert sorted(answers.scalars()) == sorted(entry["msg_id"] for entry in sent)
        assert sorted(noted.scalars()) == list(range(1, len(WEBHOOK_FAULTS) + 1))
    assert played.problems() == []


def _by_outcome(counts: Counts) -> Counter[str]:
    found = Counter[str]()
    for (_, outcome), number in counts.totals().items():
        found[outcome] += number
    return found


@ONE_DATABASE
async def test_a_mail_goes_out_when_zalo_cannot_reach_the_customer_and_not_while_a_message_is_in_doubt(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    with mail_host(MailScript()) as host:
        mails = SecretStr(f"mailto://127.0.0.1:{host.port}?from=care@shop.vn")
        played = rehearsal(
            runtime, journey, sandbox, timeout_seconds=3, quiet_agents=True, customer_mail_url=mails
        )
        busy = "84900000100"
        drop_reviews(
            runtime,
            "monday",
            [
                review(n, phone=phone, email=f"{name}@example.com")
                for n, (name, phone) in enumerate(
                    {"lost": LOST_ANSWER, "absent": NOT_ON_ZALO, "well": NEVER_RATES, "busy": busy}.items()
                )
            ],
        )
        await played.sweep(0, 1, 12, 14)
    assert host.recipients == ["absent@example.com"]
    states = {(one.phone, one.channel): one.state for one in played.messages(Step.ACKNOWLEDGE)}
    assert states == {
        (LOST_ANSWER, "zns"): "uncertain",
        (NOT_ON_ZALO, "zns"): "refused",
        (NOT_ON_ZALO, "email"): "accepted",
        (NEVER_RATES, "zns"): "accepted",
        (busy, "zns"): "waiting",
    }


@ONE_DATABASE
async def test_a_vendor_that_is_down_for_a_day_is_one_incident_and_then_everybody_is_messaged_once(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    awake = changed(journey, quiet_hours={"start": "02:00", "end": "02:30"})
    played = rehearsal(runtime, awake, sandbox, timeout_seconds=10, quiet_agents=True)
    sandbox.switch(night_rule=False)
    played.strike({"on": "send", "fault": "http_503"})
    phones = reachable("8491266", 50)
    played.complain(phones)
    await played.sweep(0, *[2] * 11)
    assert set(played.states()) == {"waiting"}
    assert played.incidents(still_open=True) == [("zns", "resting")]
    # A wave of 32, then one call after each rest; every call is tried three times within seconds.
    assert sandbox.faults()[0]["struck"] <= 3 * (32 + 11)
    played.strike()
    await played.sweep(*[2] * 5)
    assert played.problems() == []
    assert played.states() == {"accepted": 50}
    assert played.incidents(still_open=True) == []
    told = Counter(entry["phone"] for entry in sandbox.book(kind="zns"))
    assert told == dict.fromkeys(phones, 1)
