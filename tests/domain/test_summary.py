"""The ticket's summary: everything an agent should know first, and nothing they should not."""

from datetime import UTC, datetime

from amends.domain.summary import Earlier, Rating, ticket_summary
from tests.domain.examples import JOURNEY, case


def test_a_first_complaint_reads_like_this() -> None:
    of = case(branch="Nắng Quận 1", product="Cà phê sữa")
    assert ticket_summary(of, [Rating(1, "Giao thiếu\n  hàng.")], [], JOURNEY) == (
        "AM000007 · 1/5 · Nắng Quận 1 · Cà phê sữa\n"
        "- rated 1: Giao thiếu hàng.\n"
        "First complaint of this customer."
    )


def test_earlier_cases_are_told_with_the_brands_dates() -> None:
    """20:00 UTC on the 1st is the 2nd in Viet Nam."""
    evening = datetime(2026, 10, 1, 20, 0, tzinfo=UTC)
    earlier = [Earlier(5, evening, None), Earlier(3, evening, "satisfied")]
    assert ticket_summary(case(), [], earlier, JOURNEY).splitlines()[1:] == [
        "Earlier cases:",
        "- AM000005 of 02/10/2026: still open",
        "- AM000003 of 02/10/2026: satisfied",
    ]


def test_a_rating_without_words_says_so() -> None:
    assert "- rated 2: (no words)" in ticket_summary(case(), [Rating(2, "  ")], [], JOURNEY)


def test_every_rating_of_the_case_is_told_in_its_order() -> None:
    told = ticket_summary(case(), [Rating(1, "một"), Rating(2, "hai")], [], JOURNEY)
    assert told.index("một") < told.index("hai")


def test_contacts_in_the_customers_words_are_masked() -> None:
    words = "Gọi tôi 0912 345 678 hoặc lan.tran@example.com"
    told = ticket_summary(case(), [Rating(1, words)], [], JOURNEY)
    assert "84912***678" in told
    assert "0912 345 678" not in told
    assert "lan.tran@" not in told


def test_a_long_complaint_is_cut_not_the_summary() -> None:
    told = ticket_summary(case(), [Rating(1, "x" * 5_000)], [], JOURNEY)
    assert "x" * 400 in told
    assert "x" * 401 not in told
    assert told.endswith("First complaint of this customer.")


def test_a_contact_at_the_cut_is_masked_before_it_is_cut() -> None:
    told = ticket_summary(case(), [Rating(1, "x" * 395 + " 0912345678")], [], JOURNEY)
    assert "0912" not in told
