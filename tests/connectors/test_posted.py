"""Ratings that other systems post: every shape, an identity for each, and bad rows that cost only themselves."""

from datetime import UTC, datetime
from typing import Any

import pytest

from amends.domain.columns import Columns
from amends.domain.feedback import Feedback, Rejected
from amends.domain.ratings import Scale
from connectors.posted import MOST_ROWS, read_posted
from tests.conftest import MONDAY

GOOD = {"rating": 2, "text": "Giao chậm"}
PHONE = "0912345678"


def read(payload: Any, columns: Columns | None = None, key: str = "msg_1") -> list[Feedback | Rejected]:
    return read_posted(payload, columns, source="till", key=key, now=MONDAY, zone="Asia/Ho_Chi_Minh")


def good(payload: Any, columns: Columns | None = None, key: str = "msg_1") -> list[Feedback]:
    found = read(payload, columns, key)
    assert all(isinstance(row, Feedback) for row in found), found
    return [row for row in found if isinstance(row, Feedback)]


def refused(payload: Any, columns: Columns | None = None) -> Rejected:
    [found] = read(payload, columns)
    assert isinstance(found, Rejected)
    return found


@pytest.mark.parametrize(
    "payload",
    [
        GOOD,
        [GOOD],
        {"type": "review.created", "timestamp": "2026-11-02T02:00:00Z", "data": GOOD},
        {"type": "review.created", "data": [GOOD]},
    ],
    ids=["object", "list", "envelope", "list in envelope"],
)
def test_one_rating_in_any_wrapping_is_one_feedback(payload: Any) -> None:
    [row] = good(payload)
    assert (row.source, row.rating, row.text, row.scale) == ("till", 2.0, "Giao chậm", Scale.FIVE_STARS)
    assert row.raw == GOOD


def test_a_field_called_data_is_no_envelope_without_a_type() -> None:
    [row] = good({**GOOD, "data": {"till": 7}})
    assert row.text == "Giao chậm"


def test_a_rating_without_a_date_is_of_the_moment_it_came() -> None:
    [row] = good(GOOD)
    assert row.occurred_at == MONDAY


def test_a_date_is_read_in_the_brands_zone() -> None:
    [row] = good({**GOOD, "created_at": "2026-11-01 08:00"})
    assert row.occurred_at == datetime(2026, 11, 1, 1, 0, tzinfo=UTC)


def test_an_id_of_the_source_is_the_ratings_identity() -> None:
    rows = good([{**GOOD, "id": "r7"}, {**GOOD, "id": "r8"}])
    assert [row.external_id for row in rows] == ["r7", "r8"]
    assert [row.external_id for row in good({**GOOD, "id": "r7"}, key="msg_2")] == ["r7"]


def test_without_an_id_the_webhooks_key_and_the_number_are_the_identity() -> None:
    assert [row.external_id for row in good([GOOD, GOOD])] == ["msg_1#1", "msg_1#2"]
    assert [row.external_id for row in good(GOOD, key="msg_2")] == ["msg_2#1"]


def test_the_same_webhook_again_is_the_same_ratings() -> None:
    assert good([GOOD, GOOD]) == good([GOOD, GOOD])


def test_ratings_of_a_webhook_with_a_long_key_stay_apart_within_what_the_store_keeps() -> None:
    ids = [row.external_id for row in good([GOOD] * 12, key="k" * 200)]
    assert len(set(ids)) == 12
    assert max(map(len, ids)) <= 200


def test_bad_rows_are_refused_and_the_good_ones_go_through_with_their_own_numbers() -> None:
    rows = read([GOOD, {"rating": 9, "text": "?"}, "rubbish", {"text": "Móp"}, {"shop": "Q1"}])
    assert [type(row) for row in rows] == [Feedback, Rejected, Rejected, Feedback, Rejected]
    assert [row.location for row in rows if isinstance(row, Rejected)] == [
        "webhook msg_1 item 2",
        "webhook msg_1 item 3",
        "webhook msg_1 item 5",
    ]
    assert [row.external_id for row in rows if isinstance(row, Feedback)] == ["msg_1#1", "msg_1#4"]


def test_a_row_tells_all_its_problems_and_keeps_what_came() -> None:
    row = refused({"id": " ", "rating": "many", "text": "Móp", "created_at": "soon"})
    assert {problem.field for problem in row.problems} == {"external_id", "rating", "occurred_at"}
    assert all(problem.problem and problem.fix for problem in row.problems)
    assert row.raw["rating"] == "many"


def test_as_many_ratings_as_allowed_go_through_and_one_more_is_refused_as_a_whole() -> None:
    assert len(good([GOOD] * MOST_ROWS)) == MOST_ROWS
    row = refused([GOOD] * (MOST_ROWS + 1))
    assert row.problems[0].problem == f"more than {MOST_ROWS} ratings"


@pytest.mark.parametrize("payload", ["rubbish", 7, None, True, [], {"type": "ping", "data": []}])
def test_what_holds_no_object_is_refused_and_kept(payload: Any) -> None:
    row = refused(payload)
    assert row.problems[0].problem == "no object with a rating"
    assert row.raw == {"body": payload}


def test_a_list_without_any_object_is_refused_once() -> None:
    assert refused([1, "two", None]).problems[0].field == "columns"


def test_fields_that_nobody_knows_are_named_with_the_way_out() -> None:
    row = refused({"wert": 2, "spruch": "Móp"})
    assert row.problems[0].problem == "its fields are not known to us: wert, spruch"
    assert "`columns`" in row.problems[0].fix


def test_named_fields_are_used_instead_of_guessed_ones() -> None:
    columns = Columns(rating="wert", text="spruch.vi", external_id="nr", scale=Scale.TEN_POINTS)
    [row] = good({"wert": 9, "rating": 1, "nr": 7, "spruch": {"vi": "Móp"}}, columns)
    assert (row.rating, row.text, row.external_id, row.scale) == (9.0, "Móp", "7", Scale.TEN_POINTS)


def test_vietnamese_field_names_are_understood() -> None:
    [row] = good(
        {
            "Mã đánh giá": "DG-7",
            "Số sao": "2 sao",
            "Nội dung": "Hộp móp",
            "Thời gian": "01/11/2026 08:00",
            "Họ và tên": "Nguyễn Lan",
            "Số điện thoại": PHONE,
            "Mã đơn hàng": "DH-1",
            "Chi nhánh": "Quận 1",
            "Sản phẩm": "Bánh",
        }
    )
    assert (row.external_id, row.rating, row.text) == ("DG-7", 2.0, "Hộp móp")
    assert (row.customer_name, row.phone) == ("Nguyễn Lan", "84912345678")
    assert (row.order_ref, row.branch, row.product) == ("DH-1", "Quận 1", "Bánh")
    assert row.occurred_at == datetime(2026, 11, 1, 1, 0, tzinfo=UTC)


def test_nested_fields_are_found_by_their_paths() -> None:
    columns = Columns(rating="review.stars", phone="customer.phone")
    [row] = good({"review": {"stars": 1}, "customer": {"phone": PHONE}}, columns)
    assert (row.rating, row.phone) == (1.0, "84912345678")


def test_an_unusable_phone_number_costs_only_itself_and_is_not_shown_in_the_problem() -> None:
    [row] = good({**GOOD, "phone": "0212"})
    assert row.phone is None
    assert [problem["field"] for problem in row.raw["_problems"]] == ["phone"]
    assert "0212" not in str(row.raw["_problems"])


@pytest.mark.parametrize(
    "payload",
    [
        {"rating": PHONE, "text": "Móp"},
        {"rating": 2, "created_at": f"sau khi gọi {PHONE}"},
        {PHONE: {"spruch": 1}, "wert": 2},
    ],
    ids=["in a mark", "in a date", "in the name of a field"],
)
def test_phone_numbers_are_masked_in_the_problems(payload: Any) -> None:
    told = str(refused(payload).problems)
    assert PHONE not in told
    assert "84912***678" in told


def test_the_same_bad_row_of_one_webhook_has_one_fingerprint_and_two_webhooks_do_not_share_it() -> None:
    assert refused("rubbish") == refused("rubbish")
    other = read("rubbish", key="msg_2")[0]
    assert isinstance(other, Rejected)
    assert other.fingerprint != refused("rubbish").fingerprint


def test_what_the_database_cannot_store_is_replaced() -> None:
    [row] = good({**GOOD, "text": "a\x00b\ud800"})
    assert row.text == "a\ufffdb\ufffd"
    assert "\x00" not in str(refused(["a\x00"]).raw)


def test_a_list_inside_the_object_is_taken_apart_with_what_stands_around_it() -> None:
    columns = Columns(records="reviews", rating="stars", branch="parent.shop")
    rows = good({"shop": "Quận 1", "reviews": [{"stars": 1}, {"stars": 5}]}, columns)
    assert [(row.rating, row.branch, row.external_id[-2:]) for row in rows] == [
        (1.0, "Quận 1", "#1"),
        (5.0, "Quận 1", "#2"),
    ]


def test_a_list_inside_the_object_is_found_by_its_words() -> None:
    inside = {"rating": 2, "comment": "Móp", "created_at": "2026-11-02T09:00:00+07:00"}
    [row] = good({"shop": "Quận 1", "reviews": [inside]})
    assert (row.rating, row.text) == (2.0, "Móp")
