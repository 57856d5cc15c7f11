"""What a vendor's webhook does: answers reach the inbox, proofs the ledger, and chats the case of who wrote."""

from datetime import datetime
from itertools import count as counting

import pytest
import sqlalchemy as sa

from amends.domain.decision import may_chat
from amends.domain.effects import Step, tracking_id
from amends.domain.outcome import Outcome
from amends.store import cases, incidents, timeline, zalo_users
from amends.store.engine import Store, Tx
from amends.store.schema import customers, effects, feedbacks, quarantine
from amends.store.schema import zalo_users as users
from amends.store.webhook_events import EventState
from amends.store.zalo_users import ZaloId
from connectors.events import (
    ContactShared,
    CustomerActed,
    CustomerLeft,
    CustomerWrote,
    Delivered,
    Fact,
    Rated,
    TemplateChanged,
    VendorEvent,
)
from tasks.sweep import at_account
from tasks.vendor_events import Acted, act_on
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.store.rows import REFUSED, UNKNOWN, add_case, add_customer, count
from tests.tasks.rig import (
    ACCOUNT,
    LAN,
    PHONE,
    SURVEY,
    add_chatting_customer,
    add_effect,
    answer,
    inbox_of,
    state_of,
    story,
)

_numbers = counting(1)
WORDS = "Gọi tôi 0912345678"


def event(fact: Fact | None, at: datetime = NINE) -> VendorEvent:
    return VendorEvent(f"event-{next(_numbers)}", "event", at, fact)


def act(tx: Tx, *facts: Fact | None) -> Acted:
    return act_on(tx, ACCOUNT, [event(fact) for fact in facts], NINE + HOUR)


def state(acted: Acted) -> EventState:
    [(found, note)] = acted.fates
    assert note
    return found


def test_nothing_is_done_about_nothing(store: Store) -> None:
    with store.begin() as tx:
        assert act_on(tx, ACCOUNT, [], NINE) == Acted()


def test_an_answer_to_a_survey_of_ours_goes_into_its_journeys_inbox(store: Store) -> None:
    with store.begin() as tx:
        add_effect(tx)
        acted = act(tx, Rated(answer("m-1")))
        assert state(acted) is EventState.DONE
        assert acted.journeys == {"complaint"}
        assert inbox_of(tx) == [(f"survey-{SURVEY}", "m-1")]


def test_an_answer_to_a_message_whose_id_we_never_saw_is_known_by_our_tracking_id(store: Store) -> None:
    with store.begin() as tx:
        _, made = add_effect(tx, UNKNOWN)
        acted = act(tx, Rated(answer("m-9", tracking_id=tracking_id(made.key))))
        assert (state(acted), acted.journeys) == (EventState.DONE, {"complaint"})
        assert inbox_of(tx) == [(f"survey-{SURVEY}", "m-9")]


def test_an_answer_to_somebody_elses_message_waits_for_a_poll(store: Store) -> None:
    with store.begin() as tx:
        acted = act(tx, Rated(answer("m-9")))
        assert (state(acted), acted.journeys) == (EventState.WAITING, set())
        assert inbox_of(tx) == []


def test_the_same_answer_told_twice_is_one_feedback(store: Store) -> None:
    with store.begin() as tx:
        add_effect(tx)
        act(tx, Rated(answer("m-1")), Rated(answer("m-1")))
        act(tx, Rated(answer("m-1")))
        assert inbox_of(tx) == [(f"survey-{SURVEY}", "m-1")]


def test_an_answer_outside_its_scale_is_quarantined_in_the_journey_that_asked(store: Store) -> None:
    with store.begin() as tx:
        add_effect(tx)
        acted = act(tx, Rated(answer("m-1", rate=9)))
        assert (state(acted), acted.journeys) == (EventState.DONE, set())
        assert inbox_of(tx) == []
        assert tx.execute(sa.select(quarantine.c.journey)).scalars().all() == ["complaint"]


@pytest.mark.parametrize("outcome", [UNKNOWN, None], ids=["uncertain", "on its way"])
def test_a_delivery_settles_the_doubt_and_the_timeline_says_so(store: Store, outcome: Outcome | None) -> None:
    with store.begin() as tx:
        case_id, made = add_effect(tx, outcome, Step.ACKNOWLEDGE)
        acted = act(tx, Delivered("m-7", tracking_id(made.key)))
        assert state(acted) is EventState.DONE
        assert state_of(tx, made) == ("accepted", "m-7")
        [line] = timeline.of_case(tx, case_id)
        assert tx.execute(sa.select(effects.c.settled_at)).scalar_one() == NINE + HOUR
    assert (line.event, line.actor, line.at) == ("acknowledge.delivered", "zalo", NINE)
    assert line.detail == "message m-7 delivered; that settles the doubt"


def test_the_delivery_of_what_was_accepted_is_told_and_changes_nothing_else(store: Store) -> None:
    with store.begin() as tx:
        case_id, made = add_effect(tx)
        before = tx.execute(sa.select(effects)).one()
        act(tx, Delivered("m-1", tracking_id(made.key)))
        assert tx.execute(sa.select(effects)).one() == before
        assert [line.detail for line in timeline.of_case(tx, case_id)] == ["message m-1 delivered"]


def test_a_chat_message_without_tracking_id_is_known_by_the_vendors_id(store: Store) -> None:
    with store.begin() as tx:
        case_id, _ = add_effect(tx, channel="zalo_chat")
        assert state(act(tx, Delivered("m-1", ""))) is EventState.DONE
        assert story(tx, case_id) == ["survey.delivered"]


def test_the_delivery_of_somebody_elses_message_is_ignored(store: Store) -> None:
    with store.begin() as tx:
        _, made = add_effect(tx, UNKNOWN)
        assert state(act(tx, Delivered("m-9", ""))) is EventState.IGNORED
        assert state_of(tx, made) == ("uncertain", None)


def test_a_delivery_does_not_bring_a_refused_message_back(store: Store) -> None:
    with store.begin() as tx:
        _, made = add_effect(tx, REFUSED)
        act(tx, Delivered("m-9", tracking_id(made.key)))
        assert state_of(tx, made)[0] == "refused"


def test_a_chat_goes_into_the_open_case_of_who_wrote_it(store: Store) -> None:
    with store.begin() as tx:
        customer_id, case_id = add_chatting_customer(tx)
        assert case_id is not None
        acted = act(tx, CustomerWrote(LAN.uid, "c-1", WORDS))
        assert (state(acted), acted.journeys) == (EventState.DONE, set())
        [row] = tx.execute(sa.select(feedbacks)).all()
        [line] = timeline.of_case(tx, case_id)
    assert (row.source, row.external_id, row.text, row.rating) == ("zalo-chat", "c-1", WORDS, None)
    assert (row.customer_id, row.case_id, row.verdict) == (customer_id, case_id, "message")
    assert (line.event, line.actor) == ("customer.wrote", "customer")
    assert WORDS not in line.detail


def test_a_chat_goes_into_the_newest_open_case(store: Store) -> None:
    with store.begin() as tx:
        customer_id, _ = add_chatting_customer(tx)
        newest = add_case(tx, changed(name="loyalty"), customer_id=customer_id)
        act(tx, CustomerWrote(LAN.uid, "c-1", WORDS))
        assert tx.execute(sa.select(feedbacks.c.case_id, feedbacks.c.journey)).one() == (newest, "loyalty")


def test_a_chat_without_an_open_case_is_ignored_but_opens_the_window(store: Store) -> None:
    with store.begin() as tx:
        add_chatting_customer(tx, with_case=False)
        assert state(act(tx, CustomerWrote(LAN.uid, "c-1", WORDS))) is EventState.IGNORED
        assert state(act(tx, CustomerWrote("stranger", "c-2", WORDS))) is EventState.IGNORED
        assert inbox_of(tx) == []
        assert set(tx.execute(sa.select(users.c.last_interaction_at)).scalars()) == {NINE}


def test_the_same_user_id_at_another_account_is_somebody_else(store: Store) -> None:
    with store.begin() as tx:
        add_chatting_customer(tx)
        acted = act_on(tx, "hanoi", [event(CustomerWrote(LAN.uid, "c-1", WORDS))], NINE)
        assert state(acted) is EventState.IGNORED


def test_who_shares_a_phone_number_is_the_customer_of_that_number_from_then_on(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx, key=f"tel:{PHONE}", phone=PHONE)
        case_id = add_case(tx, customer_id=customer_id)
        acted = act(tx, ContactShared(LAN.uid, PHONE, "Lan"), CustomerWrote(LAN.uid, "c-1", WORDS))
        assert [fate for fate, _ in acted.fates] == [EventState.DONE] * 2
        assert tx.execute(sa.select(customers.c.name)).scalar_one() == "Lan"
        case = cases.load(tx, [case_id], messages_since=NINE)[case_id]
    user = case.customer.zalo_user(ACCOUNT)
    assert user is not None
    assert may_chat(user, JOURNEY, NINE)


def test_a_name_longer_than_we_keep_is_cut(store: Store) -> None:
    with store.begin() as tx:
        act(tx, ContactShared(LAN.uid, PHONE, "Lan " * 100))
        assert len(tx.execute(sa.select(customers.c.name)).scalar_one()) == 200


def test_a_phone_number_nobody_can_use_makes_no_customer(store: Store) -> None:
    with store.begin() as tx:
        assert state(act(tx, ContactShared(LAN.uid, None, "Lan"))) is EventState.IGNORED
        assert count(tx, customers) == 0


def test_who_leaves_gets_no_chat_until_they_come_back(store: Store) -> None:
    def reachable(tx: Tx) -> bool:
        case = cases.load(tx, [case_id], messages_since=NINE)[case_id]
        user = case.customer.zalo_user(ACCOUNT)
        return user is not None and may_chat(user, JOURNEY, NINE + 4 * HOUR)

    with store.begin() as tx:
        case_id = add_chatting_customer(tx)[1] or 0
        for fact, at, may in (
            (CustomerActed(LAN.uid), NINE, True),
            (CustomerLeft(LAN.uid), NINE + HOUR, False),
            (CustomerActed(LAN.uid), NINE + 2 * HOUR, True),
        ):
            acted = act_on(tx, ACCOUNT, [event(fact, at)], NINE + 3 * HOUR)
            assert (state(acted), reachable(tx)) == (EventState.DONE, may)


@pytest.mark.parametrize("returned", [True, False])
def test_of_leaving_and_following_in_one_batch_the_later_one_holds(store: Store, returned: bool) -> None:
    left, acted = event(CustomerLeft(LAN.uid), NINE), event(CustomerActed(LAN.uid), NINE + HOUR)
    if not returned:
        left = event(CustomerLeft(LAN.uid), NINE + 2 * HOUR)
    for batch in ([left, acted], [acted, left]):
        with store.begin() as tx:
            act_on(tx, ACCOUNT, batch, NINE + 3 * HOUR)
            left_at = tx.execute(sa.select(users.c.left_at)).scalar_one()
            tx.execute(users.delete())
        assert (left_at is None) is returned


def test_a_template_that_was_stopped_is_an_incident_until_it_is_enabled_again(store: Store) -> None:
    stop = TemplateChanged("310001", "DISABLE", usable=False, reason="Bị báo xấu")
    with store.begin() as tx:
        assert state(act(tx, stop)) is EventState.DONE
        act(tx, stop)
        [incident] = incidents.still_open(tx)
        assert (incident.stopped, incident.code, incident.times) == ("zns:310001", "template_disable", 2)
        assert "310001" in incident.detail
        act(tx, TemplateChanged("310002", "ENABLE", usable=True))
        assert len(incidents.still_open(tx)) == 1
        act(tx, TemplateChanged("310001", "ENABLE", usable=True))
        assert incidents.still_open(tx) == []


def test_a_template_of_another_account_is_another_accounts_incident(store: Store) -> None:
    stop = TemplateChanged("310001", "DISABLE", usable=False)
    with store.begin() as tx:
        act(tx, stop)
        act_on(tx, "hanoi", [event(stop)], NINE)
        act(tx, TemplateChanged("310001", "ENABLE", usable=True))
        assert [incident.stopped for incident in incidents.still_open(tx)] == [
            at_account("zns:310001", "hanoi")
        ]


def test_every_event_of_a_batch_has_its_fate_in_its_place(store: Store) -> None:
    with store.begin() as tx:
        _, made = add_effect(tx)
        zalo_users.belongs_to(tx, ZaloId(ACCOUNT, "user-2"), add_customer(tx))
        acted = act(
            tx,
            None,
            Rated(answer("m-9")),
            Delivered("m-1", tracking_id(made.key)),
            CustomerWrote("user-2", "c-1", WORDS),
            CustomerActed("user-3"),
        )
        assert [fate for fate, _ in acted.fates] == ["ignored", "waiting", "done", "ignored", "done"]


def test_notes_and_timeline_hold_no_personal_data(store: Store) -> None:
    with store.begin() as tx:
        _, case_id = add_chatting_customer(tx)
        acted = act(
            tx,
            CustomerWrote(LAN.uid, "c-1", WORDS),
            ContactShared(LAN.uid, PHONE, "Lan"),
            CustomerActed(LAN.uid),
        )
        told = f"{acted.fates} {timeline.of_case(tx, case_id or 0)}"
    assert not any(secret in told for secret in (WORDS, "0912345678", PHONE, "Lan", LAN.uid))
