"""The vendor's own proof ends a doubt: whenever it comes, the message was sent once, and everybody can see so."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain import steps
from amends.domain.decision import Decision
from amends.domain.effects import Step, tracking_id
from amends.domain.outcome import Outcome, OutcomeClass
from amends.encryption import Cipher, new_key
from amends.store import agenda, incidents, ledger, timeline
from amends.store.engine import Store
from amends.store.schema import agenda as agenda_table
from amends.store.schema import effects
from connectors.events import Delivered, VendorEvent
from connectors.ports import Message, Recipient
from connectors.registry import open_connectors
from sandbox.process import Sandbox
from tasks.calls import Job
from tasks.delivery import deliver, one_by_one
from tasks.sweep import Runtime, Sweep
from tasks.tidy_up import tidy_up
from tasks.vault import StoreVault
from tasks.vendor_events import act_on
from tests.conftest import MONDAY, sandbox_settings
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.store.rows import ACCEPTED, BUSY, REFUSED, UNKNOWN, add_case, add_customer, intent, open_items
from tests.tasks.rig import ACCOUNT, add_effect, state_of, story, sweep_over

LOST = Outcome(OutcomeClass.UNCERTAIN, code="ReadTimeout", detail="no answer in 10 s")


class Killed(BaseException):
    """The end of a process, which no `except Exception` survives."""


class Vendor:
    """A channel that answers as told, after whatever happens while the call is open."""

    name = "zns"

    def __init__(self, outcome: Outcome, meanwhile: Callable[[Message], None] = lambda _: None) -> None:
        self.outcome, self.meanwhile = outcome, meanwhile
        self.sent: list[str] = []

    def reaches(self, recipient: Recipient) -> bool:
        return recipient.phone is not None

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message.tracking_id)
        self.meanwhile(message)
        return self.outcome


class Apologies:
    """A case whose apology is due, and the sweeps that send it."""

    def __init__(self, store: Store, home: Path, vendor: Vendor) -> None:
        self.store, self.home, self.vendor, self.mail = store, home, vendor, Vendor(ACCEPTED)
        self.clock = VirtualClock(NINE)
        with store.begin() as tx:
            self.case_id = add_case(tx, customer_id=add_customer(tx, email="lan@example.com"))
            self.intent = intent(self.case_id)
            agenda.plan(tx, [agenda.Item(self.case_id, JOURNEY.name, Step.ACKNOWLEDGE, 0, NINE)])

    async def sweep(self) -> Sweep:
        """One sweep over what is due; whoever died before has lost its lease by now."""
        channels = {"zns": self.vendor, "email": self.mail}
        sweep = sweep_over(self.store, self.home, clock=self.clock, channels=channels)
        with self.store.begin() as tx:
            claims = agenda.claim(
                tx,
                JOURNEY.name,
                Step.ACKNOWLEDGE,
                now=self.clock.now(),
                owner=sweep.owner,
                lease_until=sweep.lease_until(),
                limit=10,
            )
        await deliver(sweep, Step.ACKNOWLEDGE, claims, one_by_one(_decide))
        self.clock.advance(HOUR)
        return sweep

    def proved(self, msg_id: str = "m-7") -> None:
        """The delivery webhook comes in."""
        with self.store.begin() as tx:
            [row] = tx.execute(sa.select(effects.c.key)).all()
            fact = Delivered(msg_id, tracking_id(row.key))
            act_on(tx, ACCOUNT, [VendorEvent("k", "user_received_message", NINE, fact)], self.clock.now())

    def story(self) -> list[str]:
        with self.store.read() as tx:
            return story(tx, self.case_id)

    def state(self) -> tuple[str, str | None]:
        with self.store.read() as tx:
            return state_of(tx, self.intent)

    def is_over(self) -> bool:
        with self.store.read() as tx:
            return open_items(tx, self.case_id) == {}


def _decide(job: Job, now: datetime) -> Decision:
    return steps.acknowledge(job.case, job.effects, job.journey, now)


def apologies(store: Store, home: Path, outcome: Outcome, *, proved_meanwhile: bool = False) -> Apologies:
    vendor = Vendor(outcome)
    made = Apologies(store, home, vendor)
    if proved_meanwhile:
        vendor.meanwhile = lambda _: made.proved()
    return made


async def test_a_proof_that_comes_while_the_call_is_open_settles_the_doubt(
    store: Store, tmp_path: Path
) -> None:
    case = apologies(store, tmp_path, LOST, proved_meanwhile=True)
    sweep = await case.sweep()
    assert case.state() == ("accepted", "m-7")
    assert case.story() == ["acknowledge.delivered", "acknowledge.sent"]
    assert sweep.tally(Step.ACKNOWLEDGE).results == {"sent": 1}
    with store.read() as tx:
        told = timeline.of_case(tx, case.case_id)[-1].detail
    assert told.endswith("proved by the vendor; message m-7")
    assert case.is_over()


async def test_without_a_proof_the_doubt_stays_one(store: Store, tmp_path: Path) -> None:
    case = apologies(store, tmp_path, LOST)
    await case.sweep()
    assert (case.state(), case.story()) == (("uncertain", None), ["acknowledge.uncertain"])


async def test_a_proof_after_the_doubt_settles_the_effect_and_the_timeline_says_so(
    store: Store, tmp_path: Path
) -> None:
    case = apologies(store, tmp_path, LOST)
    await case.sweep()
    case.proved()
    assert case.state() == ("accepted", "m-7")
    assert case.story() == ["acknowledge.uncertain", "acknowledge.delivered"]
    with store.read() as tx:
        assert timeline.of_case(tx, case.case_id)[-1].detail.endswith("that settles the doubt")


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_nothing_is_sent_again_after_a_proof(store: Store, tmp_path: Path, meanwhile: bool) -> None:
    case = apologies(store, tmp_path, LOST, proved_meanwhile=meanwhile)
    await case.sweep()
    if not meanwhile:
        case.proved()
    with store.begin() as tx:  # even if somebody put the step on the agenda again
        tx.execute(agenda_table.update().values(due_at=NINE))
        assert ledger.begin(tx, [case.intent], owner="x", now=NINE, lease_until=NINE + HOUR) == set()
    await case.sweep()
    assert len(case.vendor.sent) == 1
    assert case.state() == ("accepted", "m-7")


async def test_a_sweep_that_died_in_a_call_which_was_then_proved_leaves_no_doubt(
    store: Store, tmp_path: Path
) -> None:
    case = apologies(store, tmp_path, LOST)

    def die(_: Message) -> None:
        raise Killed

    case.vendor.meanwhile = die
    with pytest.raises(Killed):
        await case.sweep()
    assert case.state() == ("sending", None)
    case.proved()
    case.clock.advance(HOUR)
    await case.sweep()
    assert len(case.vendor.sent) == 1
    assert (case.state(), case.story()) == (("accepted", "m-7"), ["acknowledge.delivered"])
    assert case.is_over()


async def test_a_proof_that_overtakes_the_answer_loses_neither_its_cost_nor_its_id(
    store: Store, tmp_path: Path
) -> None:
    case = apologies(store, tmp_path, ACCEPTED, proved_meanwhile=True)
    await case.sweep()
    with store.read() as tx:
        row = tx.execute(sa.select(effects)).one()
    assert (row.state, row.cost_vnd, row.provider_id) == ("accepted", ACCEPTED.cost_vnd, ACCEPTED.provider_id)
    assert case.story() == ["acknowledge.delivered", "acknowledge.sent"]


@pytest.mark.parametrize("answer", [REFUSED, BUSY])
async def test_a_proof_is_believed_more_than_an_answer_that_denies_it(
    store: Store, tmp_path: Path, answer: Outcome
) -> None:
    case = apologies(store, tmp_path, answer, proved_meanwhile=True)
    await case.sweep()
    await case.sweep()
    assert (case.state(), case.story()) == (
        ("accepted", "m-7"),
        ["acknowledge.delivered", "acknowledge.sent"],
    )
    assert (len(case.vendor.sent), case.mail.sent) == (1, [])
    assert case.is_over()


def test_only_doubts_of_this_journey_and_channel_with_an_id_can_be_asked_about(store: Store) -> None:
    with store.begin() as tx:
        odd = Outcome(OutcomeClass.UNCERTAIN, provider_id="m-1")
        case_id, made = add_effect(tx, odd)
        add_effect(tx, UNKNOWN)
        add_effect(tx, ACCEPTED)
        add_effect(tx, odd, channel="zalo_chat")
        add_effect(tx, odd, journey="loyalty")
        later, _ = add_effect(tx, odd)
        found = ledger.doubts(tx, "complaint", "zns", 10)
        assert found[0] == ledger.Doubt(case_id, Step.SURVEY, made.key, "m-1")
        assert [doubt.case_id for doubt in found] == [case_id, later]
        assert len(ledger.doubts(tx, "complaint", "zns", 1)) == 1


def test_only_the_accepted_ones_of_the_given_effects_are_told(store: Store) -> None:
    with store.begin() as tx:
        _, done = add_effect(tx, ACCEPTED)
        _, doubtful = add_effect(tx, UNKNOWN)
        add_effect(tx, ACCEPTED)
        assert ledger.accepted_among(tx, [done.key, doubtful.key]) == {done.key: "m-1"}


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted")  # a task without a flow
async def test_the_vendors_message_status_settles_a_doubt_whose_id_we_have(
    store: Store, sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = sandbox_settings(sandbox, tmp_path, "sqlite://")
    clock = VirtualClock(MONDAY)
    vault = StoreVault(store, Cipher([new_key()]))
    async with open_connectors(settings, clock.now, vault) as connectors:
        sweep = Sweep(changed(), Runtime(settings, store, clock), connectors, timedelta(0))
        known, doubtful = await _send(connectors.channels["zns"].send), "m-nobody-knows"
        with store.begin() as tx:
            arrived, lost, chat = (
                add_effect(tx, Outcome(OutcomeClass.UNCERTAIN, provider_id=id_), channel=channel)
                for id_, channel in ((known, "zns"), (doubtful, "zns"), (known, "zalo_chat"))
            )
        await tidy_up(sweep)
        with store.read() as tx:
            assert state_of(tx, arrived[1]) == ("accepted", known)
            assert state_of(tx, lost[1]) == ("uncertain", doubtful)
            assert state_of(tx, chat[1]) == ("uncertain", known)
            [line] = timeline.of_case(tx, arrived[0])
            assert story(tx, lost[0]) == []
            assert incidents.still_open(tx) == []
        assert line.event == "survey.proved"
        assert line.detail.startswith(f"message {known}: ")
        assert sweep.tally("settle doubts").results == {"proved": 1}
        await tidy_up(sweep)
        assert sweep.tally("settle doubts").results == {"proved": 1}
    assert len(sandbox.book(kind="zns")) == 1


async def _send(send: Callable[[Message], Awaitable[Outcome]]) -> str:
    params = {"customer_name": "Lan", "case_code": "AM1", "brand": "Nắng"}
    outcome = await send(Message("k", "t1", Recipient("84912345678"), "310001", params))
    assert outcome.accepted, outcome
    return str(outcome.provider_id)
