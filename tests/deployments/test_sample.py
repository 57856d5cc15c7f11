"""The shipped sample says what its README says, so that demo and documents can count on its numbers."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import deployments
from amends.domain.feedback import Feedback, Rejected
from connectors.files import read_feedback

SAMPLE = Path(deployments.__file__).parent / "samples" / "reviews.tsv"
NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
ZONE = "Asia/Ho_Chi_Minh"

Sorted = tuple[list[Feedback], list[Rejected]]


@pytest.fixture(scope="module")
def sample() -> Sorted:
    rows = list(read_feedback(SAMPLE, columns=None, now=NOW, zone=ZONE))
    good = [row for row in rows if isinstance(row, Feedback)]
    return good, [row for row in rows if isinstance(row, Rejected)]


def test_the_good_rows_are_distinct_and_named_after_the_shape(sample: Sorted) -> None:
    good, _ = sample
    assert len(good) == len({feedback.external_id for feedback in good}) == 494
    assert {feedback.source for feedback in good} == {"shopee"}
    assert len({feedback.branch for feedback in good}) == 6
    assert all(str(feedback.branch).startswith("Nắng Store ") for feedback in good)


def test_a_quarter_is_bad(sample: Sorted) -> None:
    good, _ = sample
    marks = Counter(feedback.rating for feedback in good)
    assert sum(marks[mark] for mark in (1.0, 2.0, 3.0)) == 130
    assert set(marks) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_exactly_six_rows_belong_in_quarantine(sample: Sorted) -> None:
    _, rejected = sample
    assert [(row.location, [problem.field for problem in row.problems]) for row in rejected] == [
        ("reviews.tsv line 73", ["rating"]),
        ("reviews.tsv line 154", ["rating"]),
        ("reviews.tsv line 220", ["occurred_at"]),
        ("reviews.tsv line 296", ["row"]),
        ("reviews.tsv line 367", ["external_id"]),
        ("reviews.tsv line 438", ["rating"]),
    ]
    assert len({row.fingerprint for row in rejected}) == 6
    assert all(problem.fix for row in rejected for problem in row.problems)


def test_the_days_and_hours_are_those_of_people(sample: Sorted) -> None:
    good, _ = sample
    local = [feedback.occurred_at.astimezone(ZoneInfo(ZONE)) for feedback in good]
    assert datetime(2026, 6, 1, tzinfo=UTC) <= min(local)
    assert max(local) < datetime(2026, 11, 1, tzinfo=UTC)
    night = sum(when.hour in {2, 3, 4} for when in local)
    evening = sum(when.hour in {20, 21, 22} for when in local)
    assert night * 10 < evening


def test_some_customers_complain_again_within_two_days(sample: Sorted) -> None:
    good, _ = sample
    bad = sorted(
        (str(feedback.customer_ref), feedback.occurred_at) for feedback in good if (feedback.rating or 5) <= 3
    )
    again = [1 for one, two in pairwise(bad) if one[0] == two[0] and two[1] - one[1] <= timedelta(days=2)]
    assert len(again) == 17


def test_the_dirt_is_there(sample: Sorted) -> None:
    good, _ = sample
    texts = [feedback.text for feedback in good]
    assert sum(not text for text in texts) > 40
    assert sum(text.isascii() and len(text) > 20 for text in texts) > 20, "texts without diacritics, filler"
    assert any("hshshs" in text for text in texts)
    assert any(" ko " in text for text in texts)
