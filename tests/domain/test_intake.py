"""The gate: what becomes feedback, what is rejected and why, and who is the same row again."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.columns import Columns
from amends.domain.feedback import Feedback, Rejected
from amends.domain.intake import fingerprint, storable, to_feedback
from amends.domain.ratings import Scale

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
COLUMNS = Columns(
    external_id="id",
    rating="stars",
    text="comment",
    occurred_at="date",
    customer_ref="author.id",
    customer_name="author.name",
    phone="phone",
    email="email",
    order_ref="order",
    branch="shop",
)
GOOD: dict[str, Any] = {
    "id": "r-1",
    "stars": "2",
    "comment": "Giao chậm",
    "date": "12/05/2026 09:30",
    "author": {"id": 77, "name": "An"},
    "phone": "0912 345 678",
    "email": "An@Shop.vn",
    "order": 1001.0,
    "shop": "Quận 1",
}
ANONYMOUS = Columns(rating="stars", text="comment", occurred_at="date")


def take(row: dict[str, Any], columns: Columns = COLUMNS, occurrence: int = 1) -> Feedback | Rejected:
    return to_feedback(
        row,
        columns,
        source="shop",
        location="a.csv line 2",
        now=NOW,
        zone="Asia/Ho_Chi_Minh",
        occurrence=occurrence,
    )


def accepted(row: dict[str, Any], columns: Columns = COLUMNS, occurrence: int = 1) -> Feedback:
    taken = take(row, columns, occurrence)
    assert isinstance(taken, Feedback), taken
    return taken


def rejected(row: dict[str, Any], columns: Columns = COLUMNS) -> Rejected:
    taken = take(row, columns)
    assert isinstance(taken, Rejected), taken
    return taken


def told(row: dict[str, Any], columns: Columns = COLUMNS) -> dict[str, str]:
    return {problem.field: f"{problem.problem}: {problem.fix}" for problem in rejected(row, columns).problems}


def test_every_field_finds_its_place() -> None:
    feedback = accepted(GOOD)
    assert feedback == Feedback(
        source="shop",
        external_id="r-1",
        occurred_at=datetime(2026, 5, 12, 2, 30, tzinfo=UTC),
        scale=Scale.FIVE_STARS,
        rating=2.0,
        text="Giao chậm",
        customer_ref="77",
        customer_name="An",
        phone="84912345678",
        email="an@shop.vn",
        order_ref="1001",
        branch="Quận 1",
        raw=GOOD,
    )
    assert feedback.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("nothing", ["", "  ", "?", "null", "NULL", "N/A", "n/a", None])
def test_nothing_comes_in_many_spellings(nothing: str | None) -> None:
    feedback = accepted(GOOD | {"comment": nothing, "phone": nothing, "order": nothing, "author": nothing})
    assert (feedback.text, feedback.phone, feedback.order_ref, feedback.customer_ref) == (
        "",
        None,
        None,
        None,
    )
    assert "_problems" not in feedback.raw
    assert accepted(GOOD | {"stars": nothing}).rating is None, "a message without a mark is feedback too"
    assert "neither a rating nor a text" in told(GOOD | {"stars": nothing, "comment": nothing})["rating"]
    assert "'id'" in told(GOOD | {"id": nothing})["external_id"]
    assert "'date'" in told(GOOD | {"date": nothing})["occurred_at"]


@pytest.mark.parametrize(
    ("value", "rating"),
    [
        ("5.0", 5),
        ("4 sao", 4),
        ("3/5", 3),
        (" 2 / 5 ", 2),
        ("4,5", 4.5),
        (3, 3),
        (4.5, 4.5),
        ("1 Star", 1),
        ("5 ⭐", 5),
        ("2 điểm", 2),
    ],
)
def test_marks_as_people_write_them(value: object, rating: float) -> None:
    assert accepted(GOOD | {"stars": value}).rating == rating


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("7", "'7': the rating is outside 1 to 5"),
        ("0", "outside 1 to 5"),
        ("-3", "outside 1 to 5"),
        (5.5, "outside 1 to 5"),
        (float("nan"), "not a number"),
        ("8/10", "out of 10, the scale has 5 points: set scale=ten_points"),
        ("8/20", "out of 20, the scale has 5 points: write a mark of 1 to 5"),
        ("tốt", "'tốt': the rating is not a number: write a mark of 1 to 5"),
        ("4 5", "not a number"),
        (True, "not a number"),
        ([5], "a list or an object where one value belongs: name a value inside it"),
    ],
)
def test_marks_that_are_none(value: object, what: str) -> None:
    assert what in told(GOOD | {"stars": value})["rating"]


def test_each_scale_has_its_own_ends() -> None:
    ten = Columns(rating="stars", scale=Scale.TEN_POINTS)
    assert accepted({"stars": "8/10"}, ten).rating == 8
    assert "out of 5, the scale has 10 points: set scale=five_stars" in told({"stars": "3/5"}, ten)["rating"]
    three = Columns(rating="stars", scale=Scale.THREE_EMOTIONS)
    assert "outside 1 to 3" in told({"stars": 4}, three)["rating"]


def test_all_problems_of_a_row_are_told_together() -> None:
    row = GOOD | {"id": "", "stars": "9", "date": "31/02/2026", "comment": {"vi": "?"}, "phone": "123"}
    assert set(told(row)) == {"external_id", "rating", "occurred_at", "text"}
    assert rejected(row).raw == row
    assert rejected(row).location == "a.csv line 2"


def test_without_a_date_column_the_time_of_the_import_counts() -> None:
    assert accepted({"stars": 2}, Columns(rating="stars")).occurred_at == NOW


def test_a_bad_contact_is_dropped_and_the_rating_stays() -> None:
    feedback = accepted(GOOD | {"phone": "024 3825 1234", "email": "binh@"})
    assert (feedback.rating, feedback.phone, feedback.email) == (2.0, None, None)
    notes = feedback.raw["_problems"]
    assert [note["field"] for note in notes] == ["phone", "email"]
    assert all(note["problem"] and note["fix"] for note in notes)
    assert "3825" not in str(notes)
    assert "binh" not in str(notes)


def test_a_phone_in_a_wrong_column_is_masked_in_the_reason() -> None:
    assert "0912345678" not in str(rejected(GOOD | {"stars": "0912345678"}).problems)
    assert "0912345678" not in str(rejected(GOOD | {"date": "sđt 0912 345 678"}).problems)


def test_the_given_row_is_left_alone() -> None:
    row = GOOD | {"phone": "123"}
    accepted(row)
    assert "_problems" not in row


def test_without_an_id_the_content_and_its_occurrence_are_the_identity() -> None:
    row = {"stars": "1", "comment": "tệ", "date": "2 tuần trước"}
    first, second = accepted(row, ANONYMOUS, 1), accepted(row, ANONYMOUS, 2)
    assert first.external_id != second.external_id
    assert accepted(dict(reversed(row.items())), ANONYMOUS, 1).external_id == first.external_id
    for change in ({"comment": "tệ!"}, {"date": "3 tuần trước"}, {"more": "1"}):
        assert accepted(row | change, ANONYMOUS).external_id != first.external_id


def test_correcting_the_mapping_makes_no_new_feedback() -> None:
    row = {"stars": "1", "comment": "tệ", "date": "12/05/2026", "tel": "0912345678"}
    more = Columns(rating="stars", text="comment", occurred_at="date", phone="tel")
    assert accepted(row, ANONYMOUS).external_id == accepted(row, more).external_id


def test_row_numbers_are_no_content() -> None:
    assert fingerprint({"index": "1", "a": "x"}) == fingerprint({"index": "2", "a": "x"})
    assert fingerprint({"STT": "1", "a": "x"}) == fingerprint({"a": "x"})


def test_bad_contacts_do_not_change_the_identity() -> None:
    columns = Columns(rating="stars", phone="tel")
    row = {"stars": "1", "tel": "123"}
    assert accepted(row, columns).external_id == fingerprint(row, 1)


rows = st.dictionaries(st.text("abc", max_size=2), st.text("xyz", max_size=2) | st.integers(0, 2), max_size=2)


@given(rows, rows, st.integers(1, 2), st.integers(1, 2))
def test_fingerprints_are_equal_exactly_where_rows_are(
    one: dict[str, Any], two: dict[str, Any], m: int, n: int
) -> None:
    assert (fingerprint(one, m) == fingerprint(two, n)) == ((one, m) == (two, n))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "other"]), anything))
def test_any_row_becomes_feedback_or_is_rejected_with_reasons(row: dict[str, Any]) -> None:
    taken = take(row)
    if isinstance(taken, Rejected):
        assert taken.problems
        assert all(problem.problem and problem.fix for problem in taken.problems)
    else:
        assert taken.rating is not None or taken.text
    json.dumps(taken.raw, allow_nan=False, ensure_ascii=False).encode()  # it can be stored


def test_what_no_database_stores_is_replaced() -> None:
    row = GOOD | {"comment": "a\x00b\ud83d", "more": [{"x\x00": "\udc80"}]}
    feedback = accepted(row)
    assert feedback.text == "a\ufffdb\ufffd"
    assert feedback.raw["more"] == [{"x\ufffd": "\ufffd"}]
    assert storable("Giao chậm 😡") == "Giao chậm 😡"


def test_texts_are_composed_the_same_way() -> None:
    decomposed = "Giao cha\u0323\u0302m"
    assert accepted(GOOD | {"comment": decomposed}).text == "Giao chậm"
    row = {"stars": "1", "comment": "Giao chậm", "date": "12/05/2026"}
    assert fingerprint(row) == fingerprint(row | {"comment": decomposed})


def test_a_header_with_dots_is_not_a_path() -> None:
    assert accepted({"a.b": "2", "a": {"b": "5"}}, Columns(rating="a.b")).rating == 2
