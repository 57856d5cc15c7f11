"""Phones and emails: one spelling in, nothing of them out."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amends.domain.contacts import mask, mask_email, mask_phone, normalise_email, normalise_phone

# Prefixes of Viettel, MobiFone, VinaPhone, Vietnamobile as the Ministry allotted them in 2018.
mobiles = st.builds(
    lambda prefix, rest: f"{prefix}{rest:07d}",
    st.sampled_from(["32", "39", "56", "58", "70", "77", "81", "85", "90", "91", "96", "98"]),
    st.integers(0, 9_999_999),
)
spellings = st.sampled_from(
    [
        "0{}",
        "+84{}",
        "84{}",
        "0084{}",
        " 0{} ",
        "(+84) {}",
        "+84 0{}",
    ]
)


def _grouped(digits: str, separator: str) -> str:
    return separator.join([digits[:2], digits[2:5], digits[5:]])


separators = st.sampled_from(["", " ", ".", "-"])
around = st.sampled_from(["{}", "sđt:{}nha", "({}),", "a {}\n"])
emails = st.from_regex(r"[a-z0-9._+]{1,20}@[a-z]{1,9}\.[a-z]{2,3}", fullmatch=True)


@given(mobiles, spellings, separators)
def test_every_spelling_of_a_mobile_number_is_one_number(digits: str, form: str, separator: str) -> None:
    assert normalise_phone(form.format(_grouped(digits, separator))) == f"84{digits}"


@example("006930000")
@given(
    st.builds("{}{:0{}d}".format, st.sampled_from(["", "0", "84", "+84"]), st.integers(0, 10**9), st.just(9))
    | st.builds(
        "{}{}{:05d}".format, st.sampled_from(["0", "84"]), st.integers(1000, 9999), st.integers(0, 99_999)
    )
)
def test_the_short_way_and_the_library_agree_on_every_number(text: str) -> None:
    """Most numbers are recognised by the plan's pattern alone; what the library thinks of them is the same."""
    try:
        number = phonenumbers.parse(text, "VN")
    except phonenumbers.NumberParseException:  # 00 and a country code that nobody has
        number = phonenumbers.PhoneNumber()
    mobile = phonenumbers.number_type(number) in (
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    )
    try:
        ours = normalise_phone(text)
    except ValueError:
        assert not mobile
    else:
        assert mobile
        assert ours == f"{number.country_code}{phonenumbers.national_significant_number(number)}"


@given(mobiles)
def test_the_normal_form_is_its_own_normal_form(digits: str) -> None:
    assert normalise_phone(normalise_phone(digits)) == f"84{digits}"


@pytest.mark.parametrize("text", ["912345678", "912345678.0", "84912345678.0"])
def test_what_spreadsheets_make_of_a_number_is_understood(text: str) -> None:
    assert normalise_phone(text) == "84912345678"


def test_a_foreign_mobile_number_keeps_its_country() -> None:
    assert normalise_phone("+66 81 234 5678") == "66812345678"
    assert normalise_phone("081 234 5678", region="TH") == "66812345678"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("024 3825 1234", "landline"),
        ("1900 1234", "landline or service"),
        ("01688123456", "no such number"),  # the 11-digit numbers ended in 2018
        ("0987650", "no such number"),
        ("091234567890", "no such number"),
        ("0912345678 / 0987654321", "one phone number"),
        ("0912abc678", "one phone number"),
        ("zalo 0912345678", "one phone number"),
        ("", "one phone number"),
        ("+++", "phone number"),
    ],
)
def test_a_number_that_cannot_be_a_mobile_is_refused_with_a_fix_and_without_the_number(
    text: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        normalise_phone(text)
    message = str(refused.value)
    assert ": " in message
    assert not text or text not in message


def test_an_email_is_lowered_and_trimmed() -> None:
    assert normalise_email(" Nguyen.An+shop@Example.COM ") == "nguyen.an+shop@example.com"


@pytest.mark.parametrize(
    "text",
    [
        "binh",
        "binh@",
        "@shop.vn",
        "binh@shop",
        "bi nh@shop.vn",
        "bi..nh@shop.vn",
        ".binh@shop.vn",
        "binh.@shop.vn",
        "binh@-shop.vn",
        "binh@shop..vn",
        "an@shop.vn, binh@shop.vn",
        "b" * 65 + "@shop.vn",
        "binh@" + "e" * 260 + ".vn",
    ],
)
def test_no_email_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="not an email address: write") as refused:
        normalise_email(text)
    assert text not in str(refused.value)


def test_masks() -> None:
    assert mask_phone("84912345678") == "84912***678"
    assert mask_phone("1234567") == "***567"
    assert mask_phone("12345") == "***"
    assert mask_email("nguyen.an@example.com") == "n***@example.com"
    assert mask_email("no address") == "***"


@given(
    mobiles,
    spellings,
    st.sampled_from(["", " ", ".", "-"]),
    st.sampled_from(["{}", "sđt:{}nha", "({}),", "a {}\n"]),
)
def test_no_phone_number_in_a_text_survives(digits: str, form: str, separator: str, around: str) -> None:
    masked = mask(around.format(form.format(_grouped(digits, separator))))
    assert f"84{digits[:3]}***{digits[-3:]}" in masked
    assert digits[3:6] not in masked.replace(f"84{digits[:3]}***{digits[-3:]}", "")


@given(
    st.text(alphabet="abAZ09._+-% ", max_size=40),
    st.from_regex(r"[a-z0-9._+]{1,20}@[a-z]{1,9}\.[a-z]{2,3}", fullmatch=True),
)
def test_no_email_in_a_text_survives(before: str, email: str) -> None:
    local, _, domain = email.partition("@")
    masked = mask(f"{before}{email} xin chào")
    assert masked.endswith(f"***@{domain} xin chào")
    assert len(local) == 1 or email not in masked


@given(st.text())
def test_masking_again_changes_nothing(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-12 10:30:00 sweep 1698375066 done",
        "09-12-2026 10:30:00 review 10081813698 of shop 740792399",
        "case 7f3e8a10-29bb-41d4-a716-446655440000 step 3/9",
        "took 0.912345678 s, 1 000 000 rows",
        "sha256 0a91b2345c6789d0",
    ],
)
def test_dates_ids_and_measures_stay_readable(line: str) -> None:
    assert mask(line) == line


def test_landlines_and_foreign_numbers_are_masked_too() -> None:
    assert mask("gọi 024 3825 1234 hoặc +1 415-555-2671") == "gọi 84243***234 hoặc 14155***671"


def test_a_long_text_without_any_is_quick() -> None:
    text = "a." * 200_000 + "@" + "0 " * 200_000
    assert mask(text) == text
