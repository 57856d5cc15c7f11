"""Phone numbers and email addresses: one spelling for storage and joining, a masked one for people's eyes.

Numbering facts come from the `phonenumbers` metadata (Google's libphonenumber), not from lists of our own.
"""

import re
import unicodedata
from typing import Any

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberType

_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
# What nearly every number here looks like once its separators are gone. One match of the metadata's own pattern takes
# a fiftieth of the time of `parse` and `number_type`, to which everything else is left.
_BETWEEN_DIGITS = str.maketrans("", "", " .-")
_PLAN: Any = PhoneMetadata.metadata_for_region("VN")
_VIETNAMESE_MOBILE = re.compile(rf"(?:\+?84|0)?({_PLAN.mobile.national_number_pattern})", re.ASCII)
_PHONE_CHARACTERS = re.compile(r"\+?[\d\s.()\-\u00a0]+")
_LOCAL = r"[^\s@,;:<>\"()\[\]\\\x00-\x1f\x7f]"
_EMAIL = re.compile(rf"{_LOCAL}{{1,64}}@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{{2,63}}")
_EMAIL_MAX = 254

# Vietnamese numbers in any grouping, and foreign ones with their plus sign: without it, a foreign number cannot
# be told from an id. The look-aheads keep dates ("09-12-2026 10:30") and fractions ("0.912345678") readable.
_SEPARATOR = r"[\s.()\-]{0,3}"
_PHONE_IN_TEXT = re.compile(
    rf"(?<!\d)(?!\d\d[-./]\d\d[-./](?:19|20)\d\d(?!\d))"
    rf"(?:(?:\+?{_SEPARATOR}|0{_SEPARATOR}0{_SEPARATOR})8{_SEPARATOR}4{_SEPARATOR}0?|0(?!\.)){_SEPARATOR}(?:2(?:{_SEPARATOR}\d){{8,9}}"
    rf"|[35789](?:{_SEPARATOR}\d){{8}})(?!\d)"
    rf"|(?:\+\d|(?<!\d)0{_SEPARATOR}0{_SEPARATOR}[1-9])(?:{_SEPARATOR}\d){{7,14}}(?!\d)"
)
_EMAIL_IN_TEXT = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@[\w\-]+(?:\.[\w\-]+)+")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")


def normalise_phone(text: str, region: str = "VN") -> str:
    """The number as E.164 without the plus sign (`84912345678`), the form Zalo takes.

    Takes `0912 345 678`, `+84 912.345.678`, `84912345678`, `0084...` and, because spreadsheets drop leading
    zeros, `912345678`; numbers of other countries need their plus sign. `region` is ISO 3166-1 alpha-2.
    Raises `ValueError`, which never quotes the number, when it cannot be a mobile number.
    """
    # A spreadsheet that took the number for a decimal writes "912345678.0".
    cleaned = text.strip().removesuffix(".0")
    if region == "VN" and (usual := _VIETNAMESE_MOBILE.fullmatch(cleaned.translate(_BETWEEN_DIGITS))):
        return f"84{usual[1]}"
    if not _PHONE_CHARACTERS.fullmatch(cleaned.removeprefix("(")):
        raise ValueError("not one phone number: write a single number, such as 0912345678 or +84912345678")
    try:
        number = phonenumbers.parse(cleaned, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number: write it as 0912345678 or +84912345678") from error
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        raise ValueError(
            f"no such number in the numbering plan of {region} or of its country code: check the digits, "
            "write it as 0912345678 or +84912345678"
        )
    if kind not in _MOBILE:
        raise ValueError("a landline or service number cannot get Zalo or SMS: give a mobile number")
    return f"{number.country_code}{phonenumbers.national_significant_number(number)}"


def normalise_email(text: str) -> str:
    """The address in lower case without surrounding blanks; raises `ValueError`, which never quotes it.

    The part before the @ is lowered too: no mail host in use tells people apart by case, and joining one
    person's feedbacks needs one spelling.
    """
    address = text.strip().lower()
    local = address.partition("@")[0]
    dotted_badly = ".." in local or local.startswith(".") or local.endswith(".")
    if len(address) > _EMAIL_MAX or dotted_badly or not _EMAIL.fullmatch(address):
        raise ValueError("not an email address: write one address, such as an@example.com")
    return address


def mask_phone(phone: str) -> str:
    """`84912***678`: enough to recognise the network and compare two lines, not enough to call."""
    digits = re.sub(r"\D", "", phone)
    return (
        f"{digits[:5]}***{digits[-3:]}"
        if len(digits) > 10
        else f"***{digits[-3:] if len(digits) > 6 else ''}"
    )


def mask_email(email: str) -> str:
    """`n***@example.com`; a text without an @ is masked whole."""
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}" if at else "***"


def mask(text: str) -> str:
    """The text with every phone number and email address in it masked, for log lines and artifacts.

    Finds Vietnamese numbers in every usual grouping and foreign ones that carry a plus sign. Vietnamese
    numbers are first put into international form, so that one person looks the same on every line. Nine digits
    alone, which a spreadsheet leaves of a number, are not told from an id. Masking again changes nothing, or hides
    more: what is left of a number may look like another with the digits beside it.
    """
    if not text.isascii():
        text = _OTHER_DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), text)
    if "@" in text:
        text = _EMAIL_IN_TEXT.sub(lambda found: mask_email(found[0]), text)
    return _PHONE_IN_TEXT.sub(lambda found: mask_phone(_international(found[0])), text)


def _international(found: str) -> str:
    digits = re.sub(r"\D", "", found)
    if found.lstrip("( ").startswith("+"):
        return re.sub(r"^840", "84", digits)
    if digits.startswith("00") and not digits.startswith("0084"):
        return digits.removeprefix("00")
    digits = digits.removeprefix("00")
    return re.sub(r"^840", "84", digits) if digits.startswith("84") else "84" + digits.removeprefix("0")
