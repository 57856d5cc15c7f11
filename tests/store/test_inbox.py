"""The inbox: every feedback once, by the first content that came, and every person once."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from amends.domain.columns import COLUMN_FIELDS, Columns
from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.domain.intake import to_feedback
from amends.store import inbox
from amends.store.engine import Store
from amends.store.inbox import Route
from amends.store.schema import customers, feedbacks, quarantine
from tests.domain.examples import HOUR, NINE
from tests.store.rows import at_once, count, feedback, wipe


def receive(store: Store, *batch: Feedback) -> int:
    with store.begin() as tx:
        return inbox.receive(tx, "complaint", batch, NINE)


def texts(store: Store) -> dict[tuple[str, str], str]:
    """What is stored: (source, external id) to text."""
    with store.read() as tx:
        return {(row.source, row.external_id): row.text for row in tx.execute(sa.select(feedbacks))}


def people(store: Store) -> list[dict[str, Any]]:
    with store.read() as tx:
        return [dict(row) for row in tx.execute(sa.select(customers).order_by("id")).mappings()]


def test_the_same_feedback_twice_is_one(store: Store) -> None:
    assert receive(store, feedback(text="first")) == 1
    assert receive(store, feedback(text="again")) == 0
    assert texts(store) == {("marketplace", "1"): "first"}


def test_the_same_feedback_twice_in_one_batch_is_one(store: Store) -> None:
    assert receive(store, feedback(text="first"), feedback(text="again")) == 1
    assert texts(store) == {("marketplace", "1"): "first"}


def test_the_same_id_of_another_source_is_another_feedback(store: Store) -> None:
    assert receive(store, feedback("1"), feedback("1", source="till")) == 2


def test_an_empty_batch_is_nothing(store: Store) -> None:
    assert receive(store) == 0


def test_what_was_received_stays_as_it_was_written(store: Store) -> None:
    raw = {"sao": 1, "ghi chú": ["Tệ 🙁", None, {"a": 1.5}]}
    receive(store, feedback(raw=raw, occurred_at=NINE - HOUR, branch="Nắng Quận 1", text="Tệ 🙁"))
    with store.begin() as tx:
        (stored,) = inbox.take_unrouted(tx, "complaint", 10)
    assert stored.raw == raw
    assert (stored.text, stored.branch, stored.occurred_at) == ("Tệ 🙁", "Nắng Quận 1", NINE - HOUR)


batches = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["marketplace", "till"]), st.integers(1, 6), st.text("xyz")), max_size=8
    ),
    max_size=6,
)


@given(batches, st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_replayed_in_whatever_order_each_id_is_stored_once_as_it_came_first(
    store: Store, batches: list[list[tuple[str, int, str]]], data: st.DataObject
) -> None:
    wipe(store)
    replayed = batches + [data.draw(st.permutations(batch)) for batch in batches]
    first: dict[tuple[str, str], str] = {}
    new = 0
    for batch in replayed:
        for source, number, text in batch:
            first.setdefault((source, str(number)), text)
        new += receive(store, *(feedback(str(n), source=source, text=text) for source, n, text in batch))
    assert texts(store) == first
    assert new == len(first)


def test_two_imports_of_one_file_at_once_store_each_row_once(store: Store) -> None:
    """They come in opposite orders, as two files with the same rows may."""
    rows = [feedback(str(n), phone=f"849{n:08}") for n in range(200)]
    new = at_once([lambda: receive(store, *rows), lambda: receive(store, *reversed(rows))])
    assert sum(new) == 200
    assert len(texts(store)) == 200
    assert len(people(store)) == 200


@pytest.mark.parametrize(
    ("contacts", "key"),
    [
        ({"phone": "84912345678", "email": "lan@example.com", "customer_ref": "u1"}, "tel:84912345678"),
        ({"email": "lan@example.com", "customer_ref": "u1"}, "mail:lan@example.com"),
        ({"customer_ref": "u1"}, "marketplace:u1"),
        ({}, "marketplace#1"),
    ],
)
def test_a_person_is_known_by_phone_then_mail_then_the_sources_own_id(
    contacts: dict[str, str], key: str
) -> None:
    assert inbox.customer_key(feedback(**contacts)) == key


@pytest.mark.parametrize("contact", [{"phone": "84912345678"}, {"email": "lan@example.com"}])
def test_one_contact_is_one_person_over_all_sources(store: Store, contact: dict[str, str]) -> None:
    receive(store, feedback("1", **contact), feedback("2", source="till", **contact))
    receive(store, feedback("3", customer_ref="u9", **contact))
    assert len(people(store)) == 1


def test_a_reference_of_one_source_means_nothing_to_another(store: Store) -> None:
    receive(store, feedback("1", customer_ref="u1"), feedback("2", customer_ref="u1", source="till"))
    assert len(people(store)) == 2


def test_strangers_are_never_merged(store: Store) -> None:
    receive(store, feedback("1"), feedback("2"))
    assert len(people(store)) == 2


def test_what_we_learn_about_a_person_later_fills_gaps_only(store: Store) -> None:
    phone = "84912345678"
    receive(store, feedback("1", phone=phone, customer_name="Lan"))
    receive(store, feedback("2", phone=phone, customer_name="L.", email="lan@example.com", language="en"))
    (person,) = people(store)
    assert (person["name"], person["email"], person["language"]) == ("Lan", "lan@example.com", "en")


def rejected(fingerprint: str = "f1", location: str = "reviews.csv line 17") -> Rejected:
    problem = FieldProblem("rating", "the rating is not a number", "write a mark of 1 to 5")
    return Rejected("marketplace", location, fingerprint, (problem,), {"sao": "năm"})


def reject(store: Store, *batch: Rejected) -> int:
    with store.begin() as tx:
        return inbox.reject(tx, "complaint", batch, NINE)


def test_a_bad_row_is_kept_with_its_reasons(store: Store) -> None:
    reject(store, rejected())
    with store.read() as tx:
        row = tx.execute(sa.select(quarantine)).one()
    assert row.raw == {"sao": "năm"}
    assert row.problems == [
        {"field": "rating", "problem": "the rating is not a number", "fix": "write a mark of 1 to 5"}
    ]


def test_the_same_bad_row_again_is_the_same_entry(store: Store) -> None:
    assert reject(store, rejected(), rejected(), rejected("f2")) == 2
    assert reject(store, rejected(location="reviews (2).csv line 3")) == 0
    with store.read() as tx:
        assert count(tx, quarantine) == 2


def test_unrouted_feedback_is_taken_oldest_first_up_to_the_limit(store: Store) -> None:
    receive(store, *(feedback(str(n)) for n in range(5)))
    with store.begin() as tx:
        assert [taken.external_id for taken in inbox.take_unrouted(tx, "complaint", 3)] == ["0", "1", "2"]


def test_feedback_of_another_journey_is_not_ours(store: Store) -> None:
    receive(store, feedback())
    with store.begin() as tx:
        assert inbox.take_unrouted(tx, "aftercare", 10) == []
        assert not inbox.has_unrouted(tx, "aftercare")


def test_a_routed_feedback_is_not_taken_again(store: Store) -> None:
    receive(store, feedback())
    with store.begin() as tx:
        assert inbox.has_unrouted(tx, "complaint")
        (taken,) = inbox.take_unrouted(tx, "complaint", 10)
        inbox.route(tx, [Route(taken.id, "above_threshold", "5 of 5 is above 3")], NINE)
        assert not inbox.has_unrouted(tx, "complaint")


def test_the_first_verdict_stays(store: Store) -> None:
    receive(store, feedback())
    with store.begin() as tx:
        (taken,) = inbox.take_unrouted(tx, "complaint", 10)
        inbox.route(tx, [Route(taken.id, "above_threshold", "first")], NINE)
        inbox.route(tx, [Route(taken.id, "suppressed", "second")], NINE)
        assert tx.execute(sa.select(feedbacks.c.reason)).scalar_one() == "first"


def test_a_second_sweep_skips_what_the_first_is_judging(postgres: Store) -> None:
    receive(postgres, *(feedback(str(n)) for n in range(5)))
    with postgres.begin() as one, postgres.begin() as other:
        first = {taken.external_id for taken in inbox.take_unrouted(one, "complaint", 3)}
        second = {taken.external_id for taken in inbox.take_unrouted(other, "complaint", 3)}
    assert (first, second) == ({"0", "1", "2"}, {"3", "4"})


def test_two_ratings_of_one_person_are_never_judged_at_once(postgres: Store) -> None:
    receive(postgres, feedback("1", phone="84912345678"), feedback("2", phone="84912345678"))
    with postgres.begin() as one:
        inbox.take_unrouted(one, "complaint", 1)
        with postgres.engine.connect() as other:
            other.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                inbox.take_unrouted(other, "complaint", 1)


@pytest.mark.parametrize("length", [64, 65, 101, 201, 10_000])
def test_whatever_the_gate_lets_through_the_store_can_hold(store: Store, length: int) -> None:
    """PostgreSQL refuses a text that is too long for its column, and one such row would stop every sweep."""
    fields = [field for field in COLUMN_FIELDS if field not in ("rating", "occurred_at", "phone", "email")]
    columns = Columns.model_validate({"rating": "rating", **{field: field for field in fields}})
    row: dict[str, object] = dict.fromkeys(fields, "x" * length) | {"rating": 1}
    made = to_feedback(
        row, columns, source="till", location="l", now=NINE, zone="Asia/Ho_Chi_Minh", occurrence=1
    )
    with store.begin() as tx:
        if isinstance(made, Rejected):
            assert inbox.reject(tx, "complaint", [made], NINE) == 1
        else:
            assert inbox.receive(tx, "complaint", [made], NINE) == 1
    assert isinstance(made, Rejected) is (length > 64)


def test_long_names_are_cut_and_languages_are_two_letters(store: Store) -> None:
    columns = Columns(rating="rating", branch="branch", product="product", language="language")
    row = {"rating": 1, "branch": "b" * 300, "product": "p" * 900, "language": "vi-VN"}
    made = to_feedback(
        row, columns, source="till", location="l", now=NINE, zone="Asia/Ho_Chi_Minh", occurrence=1
    )
    assert isinstance(made, Feedback)
    assert (len(made.branch or ""), len(made.product or ""), made.language) == (200, 500, "vi")
    with store.begin() as tx:
        assert inbox.receive(tx, "complaint", [made], NINE) == 1
