"""Phones, mail addresses, dates, marks: read or refused with the way to put it right, in bounded time; and the mask."""

import re
from datetime import UTC

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from amends.domain.columns import Columns
from amends.domain.contacts import mask, normalise_email, normalise_phone
from amends.domain.dates import parse_when
from amends.domain.feedback import Feedback, Rejected
from amends.domain.intake import to_feedback
from tests.connectors.rig import NOW
from tests.fuzz.rig import clear, fuzz, json_values, no_hang, texts

ZONE = "Asia/Ho_Chi_Minh"
phones = st.one_of(
    texts,
    st.from_regex(r"\(?\+?(?:84|0084|0|00)?[\s.()\-]{0,3}(?:[0-9][\s.()\-]{0,3}){7,12}", fullmatch=True),
    st.text("0123456789+-. ()０９\u00a0٣", max_size=24),
)
mails = st.one_of(
    texts,
    st.emails(),
    st.builds(
        "{}@{}".format,
        st.text("a0.+-_'/=!#$%&*{}|~^?`ă@:\\[", max_size=12),
        st.sampled_from(["x.vn", "a-b.com.vn"]),
    ),
)
LONG = 60_000


@given(text=phones)
@fuzz
def test_phones(text: str) -> None:
    with no_hang():
        try:
            phone = normalise_phone(text)
        except ValueError as refused:
            clear(str(refused))
            return
    assert phone.isascii()
    assert phone.isdigit()
    assert 7 <= len(phone) <= 15
    assert normalise_phone(f"+{phone}") == phone


@given(text=mails)
@fuzz
def test_mails(text: str) -> None:
    with no_hang():
        try:
            mail = normalise_email(text)
        except ValueError as refused:
            clear(str(refused))
            return
    assert mail.isprintable()
    assert normalise_email(mail) == mail


GAPS = ["", "", "", " ", ".", "-", "  ", " - ", "\u00a0", ") ", "\n"]
ALPHABETS = ["0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩"]


@st.composite
def spelt(draw: st.DrawFn) -> str:
    """A mobile number as people write it, in any grouping of up to three signs between two digits."""
    alphabet = draw(st.sampled_from(ALPHABETS))
    country, prefix, length = draw(
        st.sampled_from([("", "0", 9), ("84", "+", 9), ("84", "00", 9), ("84", "", 9), ("66", "+", 9)])
    )
    national = draw(st.sampled_from("35789")) + "".join(
        draw(st.lists(st.sampled_from("0123456789"), min_size=8, max_size=8))
    )
    digits = (prefix if prefix != "+" else "") + country + national[:length]
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=len(digits), max_size=len(digits)))
    written = "".join(alphabet[int(digit)] + gap for digit, gap in zip(digits, gaps, strict=True)).strip()
    return ("+" if prefix == "+" else "") + written


@given(
    before=st.sampled_from(["", "a ", "sđt:", "(", "gọi "]),
    text=spelt(),
    after=st.sampled_from(["", " nhé", ")", ", "]),
)
@example(before="", text="０９１２３４５６７８", after="")
@example(before="", text="0912   345   678", after="")
@example(before="", text="00 66 81 234 5678", after="")
@fuzz
def test_the_mask_leaves_no_number_that_we_would_take(before: str, text: str, after: str) -> None:
    """But for nine digits alone, as a spreadsheet leaves them, and what looks like a fraction or a date."""
    assume(not re.match(r"\d\.|\d\d[-./]\d\d[-./](?:19|20)\d\d", text))
    try:
        phone = normalise_phone(text)
    except ValueError:
        return
    left = "".join(sign for sign in mask(f"{before}{text}{after}") if sign.isdigit())
    assert phone[-9:] not in left


@given(
    before=st.sampled_from(["", "a ", "mailto:", "<", '"', "x,"]),
    text=mails,
    after=st.sampled_from(["", " nhé", ">", ","]),
)
@fuzz
def test_the_mask_leaves_no_address_that_we_would_take(before: str, text: str, after: str) -> None:
    try:
        mail = normalise_email(text)
    except ValueError:
        assume(False)
    local = mail.partition("@")[0]
    masked = mask(f"{before}{text.strip()}{after}").lower()
    assert len(local) == 1 or mail not in masked


@given(text=st.one_of(texts, phones, mails, st.text("0123456789+-. ()@a*ă\n", max_size=60)))
@fuzz
def test_masking_again_changes_nothing(text: str) -> None:
    masked = mask(text)
    assert mask(masked) == masked


ADVERSARIES = (
    "0 ", "+1", "a@", "a.", "@a.", "09", "+", "(", "84 ", "0 9 1 2 ", "+84 0", "x@y", "0(", "--", "09-12-", "0.", "2",
    "0\u00a0", "a@b.", "a-", "@", "%", "+84(", "00", "0084", "\u0660", "1/", "1:", "tháng ", "2026-", "ngày 3 ", ".5",
)  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSARIES)
def test_long_texts_that_almost_match_take_no_time(piece: str) -> None:
    """Catastrophic backtracking would be minutes here: each step of a million characters, squared."""
    text = piece * (LONG // len(piece))
    for one in (text, f"a@{text}", f"{text}@", f"+{text}!", f"0{text}x"):
        with no_hang():
            mask(one)
            for read in (normalise_phone, normalise_email):
                with pytest.raises(ValueError, match=": "):
                    read(one)
            with pytest.raises(ValueError, match=": "):
                parse_when(one, now=NOW, zone=ZONE)


DATE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T,]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?([+-]\d{2}:\d{2}|Z)?"
dates = st.one_of(
    texts,
    st.datetimes().map(str),
    st.from_regex(DATE, fullmatch=True),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.builds("{} {} trước".format, st.integers(0, 10**12), st.sampled_from(["năm", "tháng", "tuần", "giây"])),
)  # fmt: skip


@given(value=dates, formats=st.sampled_from([(), ("%d/%m/%Y",), ("%Y-%m-%d %z", "%Y")]))
@example(value="0001-01-01", formats=())
@example(value="9999-12-31T23:59:59-14:00", formats=())
@example(value="9" * 5000, formats=())
@fuzz
def test_dates(value: object, formats: tuple[str, ...]) -> None:
    with no_hang():
        try:
            when = parse_when(value, now=NOW, zone=ZONE, formats=formats)
        except ValueError as refused:
            clear(str(refused))
            return
    assert when.tzinfo is UTC
    assert when.year >= 1990


@given(row=st.dictionaries(st.sampled_from(["rating", "text", "when", "phone", "mail", "id"]), json_values))
@fuzz
def test_any_row_is_feedback_or_rejected(row: dict[str, object]) -> None:
    columns = Columns(
        rating="rating", text="text", occurred_at="when", phone="phone", email="mail", external_id="id"
    )
    with no_hang():
        found = to_feedback(row, columns, source="s", location="here", now=NOW, zone=ZONE, occurrence=1)
    assert isinstance(found, Feedback | Rejected)
    if isinstance(found, Rejected):
        for problem in found.problems:
            clear(f"{problem.problem} {problem.fix}")


def test_what_is_left_beside_a_masked_number_may_be_masked_too() -> None:
    """Found by `make fuzz-deep`. Masking until nothing changes would take a time that grows with the square."""
    assert mask(mask("+111+11111111111")).count("*") > mask("+111+11111111111").count("*")
