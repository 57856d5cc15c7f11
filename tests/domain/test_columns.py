"""The mapping: as a form, from the command line, and guessed from a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amends.domain.columns import COLUMN_FIELDS, EXAMPLE, Columns, parse_columns
from amends.domain.feedback import Feedback
from amends.domain.ratings import Scale
from amends.domain.shapes import guess_columns, has_column

SHOPEE = [
    "userid",
    "shopid",
    "itemid",
    "cmtid",
    "mtime",
    "rating_star",
    "comment",
    "product_name",
    "shop_name",
]
TIKI = ["product_id", "total_reviews_fetched", "reviews[].id", "reviews[].rating", "reviews[].content"]
TIKI += ["reviews[].created_at", "reviews[].created_by.id", "reviews[].created_by.full_name"]


def test_every_field_of_the_form_has_a_title_and_a_description() -> None:
    for name, field in Columns.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert field.description.endswith("."), name


def test_a_mapping_needs_a_rating_or_a_text() -> None:
    with pytest.raises(ValidationError, match="the column of the rating or of the text"):
        Columns(occurred_at="date", rating="  ")
    assert Columns(text="comment").rating is None


def test_a_mapping_is_hashable_and_cannot_be_changed() -> None:
    columns = Columns(rating="n_star")
    assert hash(columns) == hash(Columns(rating="n_star"))
    with pytest.raises(ValidationError):
        columns.rating = "other"  # type: ignore[misc]


@pytest.mark.parametrize("form", ["%d/%m", "dd/mm/yyyy", "%Q", "%H:%M"])
def test_a_date_format_that_cannot_give_a_date_is_refused(form: str) -> None:
    with pytest.raises(ValidationError, match="write it as %d/%m/%Y"):
        Columns(rating="r", date_formats=(form,))


def test_the_command_line_form() -> None:
    columns = parse_columns(
        'rating=n_star, "text=Nội dung, ghi chú",occurred_at=ngay,scale=ten_points,date_formats=%d/%m/%Y|%d.%m.%y'
    )
    assert columns == Columns(
        rating="n_star",
        text="Nội dung, ghi chú",
        occurred_at="ngay",
        scale=Scale.TEN_POINTS,
        date_formats=("%d/%m/%Y", "%d.%m.%y"),
    )
    assert parse_columns(EXAMPLE).rating == "n_star"


@given(
    st.dictionaries(
        st.sampled_from(COLUMN_FIELDS),
        st.text("abcÀđ._=- ", min_size=1).map(str.strip).filter(bool),
        min_size=1,
    )
)
def test_what_is_written_is_what_is_read(mapping: dict[str, str]) -> None:
    mapping.setdefault("rating", "stars")
    written = ",".join(f"{field}={column}" for field, column in mapping.items())
    assert parse_columns(written).mapped() == mapping


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ratng=stars,text=c", "no field 'ratng': did you mean 'rating'?"),
        ("zzzz=stars,text=c", "no field 'zzzz': fields are external_id, rating"),
        ("rating", "'rating' is not of the form field=column"),
        ("rating=", "'rating=' is not of the form field=column"),
        ("rating=a,rating=b", "the field 'rating' is given twice"),
        ("", "the mapping is empty"),
        ("phone=sdt", "name the column of the rating or of the text"),
        ("rating=a,scale=six", "scale: Input should be 'five_stars'"),
        ("rating=a,date_formats=%Y", "'%Y' lacks the day"),
    ],
)
def test_errors_of_the_command_line_are_precise(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="Write the columns as rating=n_star") as refused:
        parse_columns(text)
    assert told in str(refused.value)


def test_all_wrong_parts_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"'ratng'.*'foo'.*'bar='"):
        parse_columns("ratng=a,foo,bar=")


def test_shopee() -> None:
    columns = guess_columns([*SHOPEE, "sold"])
    assert columns is not None
    assert (columns.source, columns.external_id, columns.branch) == ("shopee", "cmtid", "shop_name")
    assert columns.date_formats == ("%d-%m-%Y %H:%M:%S",)
    assert columns.customer_ref == "userid"


def test_a_shape_leaves_out_what_the_file_lacks() -> None:
    columns = guess_columns([name for name in SHOPEE if name != "shop_name"])
    assert columns is not None
    assert columns.branch is None
    assert columns.product == "product_name"


def test_the_row_number_of_uit_visfd_is_no_identity() -> None:
    columns = guess_columns(["index", "comment", "n_star", "date_time", "label"])
    assert columns is not None
    assert (columns.source, columns.external_id) == ("uit-visfd", None)


def test_tiki_nests_its_reviews() -> None:
    columns = guess_columns(TIKI)
    assert columns is not None
    assert (columns.source, columns.records, columns.product) == ("tiki", "reviews", "parent.product_id")
    assert (columns.customer_ref, columns.customer_name) == ("created_by.id", "created_by.full_name")
    assert columns.branch is None, "this file names no seller"


def test_our_own_names_map_onto_themselves() -> None:
    header = [name for name in Feedback.__dataclass_fields__ if name in COLUMN_FIELDS]
    assert set(header) == set(COLUMN_FIELDS), (
        "every column fills a field of the feedback and every field has one"
    )
    columns = guess_columns(header)
    assert columns is not None
    assert columns.mapped() == {name: name for name in header}


@pytest.mark.parametrize(
    ("header", "mapped"),
    [
        (
            ["STT", "Mã đơn hàng", "Họ và tên", "Số điện thoại", "Đánh giá", "Nội dung", "Ngày", "Chi nhánh"],
            {
                "rating": "Đánh giá",
                "text": "Nội dung",
                "occurred_at": "Ngày",
                "customer_name": "Họ và tên",
                "phone": "Số điện thoại",
                "order_ref": "Mã đơn hàng",
                "branch": "Chi nhánh",
            },
        ),
        (
            ["Số sao", "Đánh giá", "Thời gian", "SĐT"],
            {"rating": "Số sao", "text": "Đánh giá", "occurred_at": "Thời gian", "phone": "SĐT"},
        ),
        (
            ["ID", "Rating", "Comment", "Date", "Phone", "E-mail"],
            {
                "external_id": "ID",
                "rating": "Rating",
                "text": "Comment",
                "occurred_at": "Date",
                "phone": "Phone",
                "email": "E-mail",
            },
        ),
        (["message", "created_at"], {"text": "message", "occurred_at": "created_at"}),
    ],
)
def test_plain_words_of_two_languages(header: list[str], mapped: dict[str, str]) -> None:
    columns = guess_columns(header)
    assert columns is not None
    assert columns.mapped() == mapped
    assert columns.source is None


@pytest.mark.parametrize(
    "header", [[], ["rating", "comment"], ["date", "phone"], ["a", "b"], ["1", "tốt", "5"]]
)
def test_no_guess_without_a_date_and_a_rating_or_text(header: list[str]) -> None:
    assert guess_columns(header) is None


def test_an_unknown_nested_list_is_found_by_words() -> None:
    columns = guess_columns(["shop", "items[].id", "items[].score", "items[].date", "items[].tags[].x"])
    assert columns is not None
    assert (columns.records, columns.rating, columns.occurred_at) == ("items", "score", "date")


def test_two_lists_that_both_look_like_reviews_are_not_guessed() -> None:
    assert guess_columns(["a[].rating", "a[].date", "b[].rating", "b[].date"]) is None


def test_a_column_is_there_or_not() -> None:
    assert has_column(TIKI, "created_by.id", "reviews")
    assert has_column(TIKI, "parent.product_id", "reviews")
    assert not has_column(TIKI, "parent.shop", "reviews")
    assert not has_column(TIKI, "author", "reviews")
    assert has_column(["author", "rating"], "author.id"), "an author that was null so far may have an id"
    assert not has_column(["author.name"], "author.id")
