"""Who is one person, and whom messages may not reach."""

import pytest
import sqlalchemy as sa

from amends.store import inbox, operator_log, people, timeline, zalo_users
from amends.store.engine import Store, Tx
from amends.store.operator_log import Deed
from amends.store.people import SeveralPeople
from amends.store.schema import customers, feedbacks
from amends.store.zalo_users import ZaloId
from tests.domain.examples import HOUR, NINE
from tests.privacy import MAIL, PHONE, UID
from tests.store.rows import add_case, add_customer, count, feedback

OUT = Deed(NINE, "mai", "opt out", "", "request 12")


def receive(tx: Tx, **contacts: str) -> int:
    """A rating with these contacts; returns whose it is."""
    number = count(tx, feedbacks) + 1
    one = feedback(f"p{number}", customer_ref=f"u{number}", **contacts)
    inbox.receive(tx, "complaint", [one], NINE)
    query = sa.select(feedbacks.c.customer_id).where(feedbacks.c.external_id == one.external_id)
    return int(tx.execute(query).scalar_one())


@pytest.mark.parametrize("spelling", ["0912 345 678", "+84912345678", "912345678"])
def test_a_customer_is_found_by_phone_in_any_spelling(store: Store, spelling: str) -> None:
    with store.begin() as tx:
        lan = receive(tx, phone=PHONE)
        receive(tx, phone="84987654321")
        assert inbox.find_customer(tx, spelling) == lan
        assert inbox.find_customer(tx, "0903000111") is None


def test_one_person_is_several_customers(store: Store) -> None:
    with store.begin() as tx:
        by_phone = receive(tx, phone=PHONE, email=MAIL, zalo_uid=UID)
        by_mail = receive(tx, email=MAIL)
        by_uid = receive(tx, zalo_uid=UID)
        zalo_users.belongs_to(tx, ZaloId("hanoi", "other-uid"), by_phone)
        by_tie = receive(tx, zalo_uid="other-uid")
        case_id = add_case(tx, customer_id=by_phone)
        receive(tx, phone="84987654321", email="an@example.com")
        found = people.find(tx, "0912345678")
        assert found.customer_ids == (by_phone, by_mail, by_uid, by_tie)
        assert found.case_ids == (case_id,)
        assert [set(c) for c in (found.phones, found.mails, found.uids)] == [
            {PHONE},
            {MAIL},
            {UID, "other-uid"},
        ]
        assert people.find(tx, MAIL.upper()).customer_ids == found.customer_ids
    assert PHONE not in repr(found)


def test_a_mail_given_with_two_phones_may_be_a_familys(store: Store) -> None:
    with store.begin() as tx:
        receive(tx, phone=PHONE, email=MAIL)
        other = receive(tx, phone="84987654321", email=MAIL)
        with pytest.raises(SeveralPeople, match=r"84912\*\*\*678, 84987\*\*\*321.*by phone number"):
            people.find(tx, MAIL)
        assert other not in people.find(tx, PHONE).customer_ids


def test_a_stranger_is_nobody(store: Store) -> None:
    with store.begin() as tx:
        found = people.find(tx, PHONE)
        assert (found.customer_ids, found.case_ids, set(found.phones)) == ((), (), {PHONE})
        with pytest.raises(ValueError, match="write a single number"):
            people.find(tx, "Lan")


def test_an_opt_out_is_one_for_each_contact_and_every_case_tells_of_it(store: Store) -> None:
    with store.begin() as tx:
        lan = receive(tx, phone=PHONE, email=MAIL)
        case_id = add_case(tx, customer_id=lan)
        ids, changed = people.opt_out(tx, PHONE, OUT)
        assert (lan in ids, len(ids), changed) == (True, 2, 2)
        later = receive(tx, email=MAIL)  # a file that knows the mail alone
        row = tx.execute(sa.select(customers).where(customers.c.id == later)).one()
        assert row.opted_out_at == NINE
        [line] = timeline.of_case(tx, case_id)
        assert (line.event, line.actor, line.detail) == ("customer.opted_out", "mai", "request 12")
        assert [deed.action for deed in operator_log.of_subject(tx, f"customer {lan}")] == ["opt out"]


def test_the_first_opt_out_stands_and_can_be_taken_back(store: Store) -> None:
    with store.begin() as tx:
        lan = add_customer(tx, key=f"tel:{PHONE}", opted_out_at=NINE - HOUR)
        assert people.opt_out(tx, PHONE, OUT) == ((lan,), 0)
        assert tx.execute(sa.select(customers.c.opted_out_at)).scalar_one() == NINE - HOUR
        assert people.opt_in(tx, PHONE, OUT)[1] == 1
        assert people.opt_in(tx, PHONE, OUT)[1] == 0
        assert tx.execute(sa.select(customers.c.opted_out_at)).scalar_one() is None


@pytest.mark.parametrize("contact", [PHONE, MAIL, "+1 415 555 2671"])
def test_a_later_import_respects_the_opt_out_of_a_stranger(store: Store, contact: str) -> None:
    with store.begin() as tx:
        (stranger,), changed = people.opt_out(tx, contact, OUT)
        row = tx.execute(sa.select(customers)).one()
        assert (changed, row.phone, row.email, row.name) == (1, None, None, None)
        contacts = {"email": contact} if "@" in contact else {"phone": people.find(tx, contact).phones}
        known = {name: value if isinstance(value, str) else min(value) for name, value in contacts.items()}
        assert receive(tx, **known) == stranger
        assert tx.execute(sa.select(customers.c.opted_out_at)).scalar_one() == NINE
