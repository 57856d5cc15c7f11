"""Zalo users: until when we may write to whom, whose customer they are, and what a case then knows of them."""

from datetime import datetime
from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.case import ZaloUser
from amends.domain.detection import Verdict
from amends.store import cases, inbox, zalo_users
from amends.store.engine import Store, Tx
from amends.store.schema import customers, feedbacks
from amends.store.schema import zalo_users as table
from amends.store.zalo_users import ZaloId
from tests.domain.examples import HOUR, NINE, changed
from tests.store.rows import add_case, add_customer, at_once, count, feedback

LAN = ZaloId("default", "user-1")
AT_HANOI = ZaloId("hanoi", "user-1")


def row(tx: Tx, user: ZaloId = LAN) -> Any:
    query = sa.select(table).where(table.c.account == user.account, table.c.uid == user.uid)
    return tx.execute(query).one()


def acted(tx: Tx, at: datetime, user: ZaloId = LAN) -> None:
    zalo_users.acted(tx, {user: at})


def known_to_a_case(tx: Tx, customer_id: int) -> tuple[ZaloUser, ...]:
    case_id = add_case(tx, customer_id=customer_id)
    return cases.load(tx, [case_id], messages_since=NINE)[case_id].customer.zalo


def test_the_latest_interaction_counts_in_whichever_order_they_come(store: Store) -> None:
    with store.begin() as tx:
        for at in (NINE, NINE + HOUR, NINE - HOUR):
            acted(tx, at)
        assert row(tx).last_interaction_at == NINE + HOUR


def test_one_user_id_at_two_accounts_is_two_users(store: Store) -> None:
    with store.begin() as tx:
        acted(tx, NINE)
        acted(tx, NINE + HOUR, AT_HANOI)
        assert row(tx).last_interaction_at == NINE
        assert row(tx, AT_HANOI).last_interaction_at == NINE + HOUR


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_who_came_back_is_there_and_who_left_last_is_gone_in_whichever_order_it_is_told(
    store: Store, order: tuple[int, ...]
) -> None:
    def tell(tx: Tx, user: ZaloId, story: list[tuple[str, datetime]]) -> None:
        for number in order:
            what, at = story[number]
            if what == "left":
                zalo_users.left(tx, user, at)
            else:
                acted(tx, at, user)

    with store.begin() as tx:
        tell(tx, LAN, [("acted", NINE), ("left", NINE + HOUR), ("acted", NINE + 2 * HOUR)])
        tell(tx, AT_HANOI, [("acted", NINE - HOUR), ("acted", NINE), ("left", NINE + HOUR)])
        assert (row(tx).last_interaction_at, row(tx).left_at) == (NINE + 2 * HOUR, None)
        assert (row(tx, AT_HANOI).last_interaction_at, row(tx, AT_HANOI).left_at) == (NINE, NINE + HOUR)


def test_a_user_who_leaves_unknown_is_noted_as_gone(store: Store) -> None:
    with store.begin() as tx:
        zalo_users.left(tx, LAN, NINE)
        assert (row(tx).last_interaction_at, row(tx).left_at) == (None, NINE)


def test_a_user_is_the_customer_they_said_they_are(store: Store) -> None:
    with store.begin() as tx:
        one, other = add_customer(tx), add_customer(tx)
        zalo_users.belongs_to(tx, LAN, one)
        assert zalo_users.customers_of(tx, [LAN, AT_HANOI]) == {LAN: one}
        zalo_users.belongs_to(tx, LAN, other)
        assert zalo_users.customers_of(tx, [LAN]) == {LAN: other}
        assert zalo_users.customers_of(tx, []) == {}


@pytest.mark.parametrize("rating_first", [True, False])
def test_a_rating_that_names_the_user_id_ties_both_whichever_came_first(
    store: Store, rating_first: bool
) -> None:
    rated = feedback(zalo_uid="user-1", phone="84912345678")
    with store.begin() as tx:
        if rating_first:
            inbox.receive(tx, "complaint", [rated], NINE)
        acted(tx, NINE)
        if not rating_first:
            inbox.receive(tx, "complaint", [rated], NINE)
        customer_id = tx.execute(sa.select(customers.c.id)).scalar_one()
        assert zalo_users.customers_of(tx, [LAN]) == {LAN: customer_id}


def test_an_import_does_not_take_a_user_from_the_customer_they_said_they_are(store: Store) -> None:
    with store.begin() as tx:
        said = add_customer(tx)
        zalo_users.belongs_to(tx, LAN, said)
        inbox.receive(tx, "complaint", [feedback(zalo_uid="user-1", phone="84987654321")], NINE)
        assert zalo_users.customers_of(tx, [LAN]) == {LAN: said}


def test_of_two_customers_with_one_user_id_the_first_is_meant(store: Store) -> None:
    with store.begin() as tx:
        first = add_customer(tx, zalo_uid="user-1")
        add_customer(tx, zalo_uid="user-1")
        acted(tx, NINE)
        assert zalo_users.customers_of(tx, [LAN]) == {LAN: first}


def test_desks_that_note_the_same_users_at_once_do_not_lock_each_other_out(postgres: Store) -> None:
    users = [ZaloId("default", f"user-{number}") for number in range(30)]

    def note(moment: datetime, people: list[ZaloId]) -> None:
        with postgres.begin() as tx:
            zalo_users.acted(tx, dict.fromkeys(people, moment))

    at_once([lambda: note(NINE, users), lambda: note(NINE + HOUR, users[::-1])] * 3)
    with postgres.read() as tx:
        assert count(tx, table, table.c.last_interaction_at == NINE + HOUR) == 30


def test_a_case_knows_its_customers_users_the_latest_first(store: Store) -> None:
    users = [ZaloId("default", name) for name in ("never", "early", "late", "gone")]
    with store.begin() as tx:
        customer_id = add_customer(tx)
        for user in users:
            zalo_users.belongs_to(tx, user, customer_id)
        zalo_users.belongs_to(tx, ZaloId("default", "stranger"), add_customer(tx))
        acted(tx, NINE, users[1])
        acted(tx, NINE + HOUR, users[2])
        zalo_users.left(tx, users[3], NINE)
        known = known_to_a_case(tx, customer_id)
    assert known == (
        ZaloUser("default", "late", NINE + HOUR),
        ZaloUser("default", "early", NINE),
        ZaloUser("default", "never"),
        ZaloUser("default", "gone", None, NINE),
    )


def test_a_customer_nobody_knows_at_zalo_has_no_users(store: Store) -> None:
    with store.begin() as tx:
        assert known_to_a_case(tx, add_customer(tx)) == ()


def test_a_shared_phone_number_finds_the_customer_of_the_ratings(store: Store) -> None:
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [feedback(phone="84912345678", customer_name="Lan")], NINE)
        found = inbox.customer_by_phone(tx, "84912345678", "Chị Lan", "user-1")
        [row] = tx.execute(sa.select(customers)).all()
    assert (row.id, row.name, row.zalo_uid) == (found, "Lan", "user-1")


def test_a_shared_phone_number_of_a_stranger_makes_a_customer_whom_later_ratings_find(store: Store) -> None:
    with store.begin() as tx:
        made = inbox.customer_by_phone(tx, "84912345678", None, "user-1")
        assert inbox.customer_by_phone(tx, "84912345678", "Lan", "user-2") == made
        inbox.receive(tx, "complaint", [feedback(phone="84912345678")], NINE)
        [row] = tx.execute(sa.select(customers)).all()
        assert tx.execute(sa.select(feedbacks.c.customer_id)).scalar_one() == made
    assert (row.name, row.zalo_uid) == ("Lan", "user-1")


def test_the_newest_case_that_is_not_closed_is_found_in_whichever_journey(store: Store) -> None:
    with store.begin() as tx:
        customer_id = add_customer(tx)
        assert cases.newest_open(tx, customer_id) is None
        older = add_case(tx, customer_id=customer_id)
        newer = add_case(tx, changed(name="loyalty"), customer_id=customer_id)
        add_case(tx)
        assert cases.newest_open(tx, customer_id) == cases.Found(newer, "loyalty")
        cases.close(tx, [newer], NINE)
        assert cases.newest_open(tx, customer_id) == cases.Found(older, "complaint")
        cases.close(tx, [older], NINE)
        assert cases.newest_open(tx, customer_id) is None


def test_a_message_belongs_to_its_case_once_and_nobody_judges_it(store: Store) -> None:
    message = feedback("c1", source="zalo-chat", rating=None, text="Khi nào giao lại?")
    with store.begin() as tx:
        customer_id = add_customer(tx)
        case_id = add_case(tx, customer_id=customer_id)
        for _ in range(2):
            inbox.attach(tx, "complaint", message, customer_id, case_id, Verdict.MESSAGE, NINE)
        [row] = tx.execute(sa.select(feedbacks)).all()
        assert not inbox.has_unrouted(tx, "complaint")
    assert (row.case_id, row.verdict, row.text, row.routed_at) == (case_id, "message", message.text, NINE)


def test_a_message_is_no_rating_in_the_tickets_summary(store: Store) -> None:
    message = feedback("c1", source="zalo-chat", rating=None, text="Khi nào giao lại?")
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [feedback("r1", phone="84912345678")], NINE)
        customer_id = tx.execute(sa.select(customers.c.id)).scalar_one()
        case_id = add_case(tx, customer_id=customer_id)
        rating_id = tx.execute(sa.select(feedbacks.c.id)).scalar_one()
        inbox.route(tx, [inbox.Route(rating_id, Verdict.CASE, "bad", case_id)], NINE)
        inbox.attach(tx, "complaint", message, customer_id, case_id, Verdict.MESSAGE, NINE)
        case = cases.load(tx, [case_id], messages_since=NINE)[case_id]
        assert cases.histories(tx, [case])[case_id].texts == ((1, "Tệ"),)


def test_what_a_source_has_brought_is_known_by_its_id(store: Store) -> None:
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [feedback("m1", source="survey-1"), feedback("m2")], NINE)
        assert inbox.known(tx, ["m1", "m2", "m3"], ["survey-1", "after-purchase"]) == {"m1"}
        assert inbox.known(tx, [], ["survey-1"]) == set()
