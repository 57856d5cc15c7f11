"""The reader on real exports, which may not be shipped: skipped where the shared data folder is absent."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import connectors
from amends.domain.feedback import Feedback
from connectors.files import read_feedback

DATA = Path(connectors.__file__).parent.parent.parent / "shared" / "data"
NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="real reviews may not be shipped: needs ../shared/data beside the checkout"
)


def accepted(name: str, source: str) -> list[Feedback]:
    rows = list(read_feedback(DATA / name, columns=None, now=NOW, zone="Asia/Ho_Chi_Minh"))
    good = [row for row in rows if isinstance(row, Feedback)]
    assert len(good) == len(rows), "every row is accepted"
    assert len({row.external_id for row in good}) == len(good), "every identity is distinct"
    assert {row.source for row in good} == {source}
    return good


def bad(rows: list[Feedback]) -> int:
    return sum(row.rating is not None and row.rating <= 3 for row in rows)


def test_shopee() -> None:
    rows = accepted("shopee/reviews.tsv", "shopee")
    assert (len(rows), bad(rows)) == (3154, 181)
    assert {row.occurred_at.year for row in rows} == {2020, 2021, 2022}
    assert len({row.branch for row in rows}) == 24


def test_uit_visfd() -> None:
    rows = accepted("uit-visfd/Train.csv", "uit-visfd")
    assert (len(rows), bad(rows)) == (7786, 2850)
    relative = [row for row in rows if not re.fullmatch(r"\d+/\d+/\d{4}", row.raw["date_time"])]
    assert len(relative) == 856
    assert all(0 <= (NOW - row.occurred_at).days <= 28 for row in relative)
    dev = accepted("uit-visfd/Dev.csv", "uit-visfd")
    assert not {row.external_id for row in rows} & {row.external_id for row in dev}


def test_tiki() -> None:
    rows = accepted("tiki/reviews.json", "tiki")
    assert (len(rows), bad(rows)) == (857, 8)
    assert all(row.product and row.customer_ref for row in rows)
    assert min(row.occurred_at for row in rows).year == 2019
