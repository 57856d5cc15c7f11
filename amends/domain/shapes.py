"""The shapes of reviews we know by their header: Shopee, UIT-ViSFD, Tiki, our own, and anybody's plain words.

Sources of the shapes: the Shopee and Tiki review exports as scrapers of their public review APIs write
them (Tiki: `created_at` in epoch seconds), and the UIT-ViSFD data set (Luc Phan et al., KSEM 2021).
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from amends.domain.columns import COLUMN_FIELDS, Columns

_SHOPEE = Columns(
    external_id="cmtid",
    rating="rating_star",
    text="comment",
    occurred_at="mtime",
    customer_ref="userid",
    branch="shop_name",
    product="product_name",
    date_formats=("%d-%m-%Y %H:%M:%S",),
    source="shopee",
)
# `index` is the number of the row within one file, so it is nobody's identity.
_UIT_VISFD = Columns(
    rating="n_star",
    text="comment",
    occurred_at="date_time",
    date_formats=("%d/%m/%Y",),
    source="uit-visfd",
)
_TIKI = Columns(
    external_id="id",
    rating="rating",
    text="content",
    occurred_at="created_at",
    customer_ref="created_by.id",
    customer_name="created_by.full_name",
    branch="seller.name",
    product="parent.product_id",
    records="reviews",
    source="tiki",
)
# Header marks by which a shape is known; optional columns may be missing from the file at hand.
_SHAPES = (
    ({"cmtid", "mtime", "rating_star", "comment"}, _SHOPEE),
    ({"comment", "n_star", "date_time"}, _UIT_VISFD),
    ({"reviews[].id", "reviews[].rating", "reviews[].content", "reviews[].created_at", "product_id"}, _TIKI),
)

# Best first; written as `_plain` leaves them: lower case, no diacritics, words parted by one underscore.
_SYNONYMS: dict[str, str] = {
    "external_id": "external_id review_id feedback_id comment_id ma_danh_gia ma_phan_hoi id",
    "rating": "rating rating_star n_star stars star score so_sao sao danh_gia diem diem_danh_gia diem_so "
    "xep_hang muc_do_hai_long",
    "text": "text comment content review_text review noi_dung noi_dung_danh_gia binh_luan nhan_xet gop_y "
    "y_kien phan_hoi feedback message body tin_nhan danh_gia",
    "occurred_at": "occurred_at created_at submitted_at reviewed_at timestamp date_time datetime date "
    "review_date mtime thoi_gian thoi_gian_danh_gia ngay_danh_gia ngay_gio ngay_tao ngay time",
    "customer_ref": "customer_ref customer_id user_id userid ma_khach_hang ma_kh",
    "customer_name": "customer_name full_name fullname user_name username author ten_khach_hang khach_hang "
    "ho_ten ho_va_ten ten name customer",
    "phone": "phone phone_number mobile tel telephone so_dien_thoai dien_thoai sdt so_dt",
    "email": "email e_mail email_address thu_dien_tu",
    "zalo_uid": "zalo_uid zalo_id zalo_user_id",
    "order_ref": "order_ref order_id order_code order order_number ma_don_hang ma_don don_hang so_don_hang",
    "branch": "branch branch_name store store_name shop shop_name chi_nhanh cua_hang ten_cua_hang",
    "product": "product product_name product_id item ten_san_pham san_pham",
    "language": "language lang locale ngon_ngu",
}


def header_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of all values in the rows, in order of appearance, as `guess_columns` describes them."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(_paths(row, "")))
    return list(names)


def _paths(row: Mapping[str, Any], before: str) -> Iterator[str]:
    for key, value in row.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{before}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from _paths(value[0], f"{before}{key}[].")
        else:
            yield f"{before}{key}"


def guess_columns(header: Sequence[str], *, dated: bool = True) -> Columns | None:
    """The mapping for rows with this header, or None when rating or text cannot be told; or the date, when `dated`.

    JSON is described by the dotted paths of its values, with `[]` behind the name of a list of objects:
    `product_id`, `reviews[].rating`, `reviews[].created_by.id`.
    """
    names = set(header)
    for marks, shape in _SHAPES:
        if marks <= names:
            return _present(shape, names)
    return _by_words(header, dated) or _by_words_in_list(header)


def has_column(header: Collection[str], column: str, records: str | None = None) -> bool:
    """True when rows with this header can have the column; a path below a value that was null counts."""
    if column.startswith("parent.") and records and has_column(header, column.removeprefix("parent.")):
        return True
    path = (
        f"{records}[].{column}" if records and any(n.startswith(f"{records}[].") for n in header) else column
    )
    steps = path.split(".")
    return any(".".join(steps[:end]) in header for end in range(len(steps), 0, -1))


def _present(shape: Columns, header: Collection[str]) -> Columns:
    """The shape without the columns this file does not have."""
    missing = {
        f: None for f, column in shape.mapped().items() if not has_column(header, column, shape.records)
    }
    return shape.model_copy(update=missing)


def _by_words(header: Sequence[str], dated: bool = True) -> Columns | None:
    by_plain = {_plain(name): name for name in reversed(header)}
    found: dict[str, str] = {}
    for field in COLUMN_FIELDS:
        word = next((word for word in _SYNONYMS[field].split() if word in by_plain), None)
        if word is not None:
            found[field] = by_plain.pop(word)  # one column, one meaning
    if (dated and "occurred_at" not in found) or not {"rating", "text"} & found.keys():
        return None
    return Columns.model_validate(found)


def _by_words_in_list(header: Sequence[str]) -> Columns | None:
    """The same inside the one list of a JSON file that looks like reviews, else None."""
    lists = {name.partition("[].")[0] for name in header if "[]." in name}
    guesses = []
    for records in sorted(lists):
        inner = [name.removeprefix(f"{records}[].") for name in header if name.startswith(f"{records}[].")]
        guess = _by_words(inner)
        if guess is not None:
            guesses.append(guess.model_copy(update={"records": records}))
    return guesses[0] if len(guesses) == 1 else None


def _plain(name: str) -> str:
    """`Số điện thoại ` and `so_dien_thoai` are one word for this purpose."""
    decomposed = unicodedata.normalize("NFD", name.strip().lower().replace("đ", "d"))
    letters = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")
