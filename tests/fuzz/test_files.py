"""Whatever a file holds: rows, rows in quarantine, or one clear problem. No crash, no hang, nothing unstorable."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amends.domain.columns import Columns
from amends.domain.feedback import Feedback, Rejected
from connectors.file_kinds import FileProblem
from connectors.files import read_feedback
from tests.connectors.rig import NOW
from tests.fuzz.rig import PHONE, clear, fuzz, json_values, no_hang, texts

ZONE = "Asia/Ho_Chi_Minh"
SUFFIXES = st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".txt", ""])
COLUMNS = st.sampled_from(
    [None, Columns(rating="rating", text="text"), Columns(text="a.b", records="reviews")]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1258", "cp1252", "latin-1"])


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def run(name: str, data: bytes, columns: Columns | None = None) -> list[Feedback | Rejected]:
        path = tmp_path / name
        path.write_bytes(data)
        with no_hang():
            try:
                rows = list(read_feedback(path, columns=columns, now=NOW, zone=ZONE))
            except FileProblem as problem:
                clear(str(problem))
                return []
        for row in rows:
            stored = json.dumps(row.raw, ensure_ascii=False, allow_nan=False)
            stored.encode()
            assert "\0" not in stored
            if isinstance(row, Rejected):
                for wrong in row.problems:
                    clear(f"{wrong.field}: {wrong.problem} {wrong.fix}")
            else:
                assert row.occurred_at.tzinfo is not None
                assert row.rating is None or 1 <= row.rating <= 10
        return rows

    return run


@given(data=st.binary(max_size=400), suffix=SUFFIXES, columns=COLUMNS)
@example(data=b"\xff\xfeab", suffix=".csv", columns=None)
@example(data=f"{PHONE},lan.tran@example.com,x\n1,2,3\n".encode(), suffix=".csv", columns=None)
@example(data=b"ra\xffting,t\xfe,date\n1,2,3\n", suffix=".csv", columns=None)
@example(data=b"x" * 300_000 + b"\n1\n", suffix=".csv", columns=None)
@example(data=b"a," * 50_000 + b"\n", suffix=".csv", columns=None)
@example(data=b"rating,text,date\n1," + b'"' * 60_000, suffix=".csv", columns=None)
@example(data=b"[" * 50_000, suffix=".json", columns=None)
@example(data=b'{"a":' * 50_000, suffix=".json", columns=None)
@example(data=b"[" * 50_000, suffix=".jsonl", columns=None)
@example(data=b'{"rating":1,"text":' + b"[" * 50_000, suffix=".jsonl", columns=None)
@example(
    data=b'[{"rating":1,"date":"x","text":' + b"[" * 600 + b"]" * 600 + b"}]", suffix=".json", columns=None
)
@example(data=b'{"rating":1' + b"0" * 5000 + b',"date":"x"}\n', suffix=".jsonl", columns=None)
@fuzz
def test_any_bytes(read: Any, data: bytes, suffix: str, columns: Columns | None) -> None:
    read(f"reviews{suffix}", data, columns)


@given(
    header=st.permutations(["id", "rating", "text", "date", "phone", "email", "extra"]),
    rows=st.lists(st.lists(texts, min_size=1, max_size=8), max_size=6),
    dialect=st.sampled_from([",", "\t", ";", "|"]),
    encoding=ENCODINGS,
    cut=st.integers(0, 40),
    noise=st.binary(max_size=4),
)
@fuzz
def test_tables(
    read: Any,
    header: list[str],
    rows: list[list[str]],
    dialect: str,
    encoding: str,
    cut: int,
    noise: bytes,
) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=dialect, escapechar="\\")
    writer.writerows([header, *rows])
    data = written.getvalue().encode(encoding, "replace")
    read("reviews.csv", data[: len(data) - cut] + noise)


@given(
    rows=st.lists(json_values, max_size=5),
    shape=st.sampled_from(["array", "lines", "inside"]),
    cut=st.integers(0, 3),
)
@fuzz
def test_json(read: Any, rows: list[Any], shape: str, cut: int) -> None:
    good = {"id": 1, "rating": 2, "date": "2026-11-01"}
    values = [{**good, "text": value} if n % 2 else value for n, value in enumerate(rows)]
    written = {
        "array": lambda: json.dumps([good, *values]),
        "lines": lambda: "\n".join(json.dumps(value) for value in (good, *values)),
        "inside": lambda: json.dumps({"reviews": [good, *values]}),
    }[shape]()
    data = written.encode()
    read("reviews.jsonl" if shape == "lines" else "reviews.json", data[: len(data) - cut])


@given(
    rating=st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    date=texts,
    phone=texts,
    mail=texts,
)
@fuzz
def test_any_cells_of_a_good_table(read: Any, rating: object, date: str, phone: str, mail: str) -> None:
    row = {"id": "1", "rating": rating, "text": "x", "date": date, "phone": phone, "email": mail}
    rows = read("reviews.jsonl", json.dumps(row).encode())
    assert len(rows) == 1


def test_a_name_that_is_no_text_can_be_told_and_stored(tmp_path: Path) -> None:
    path = tmp_path / b"gi\xe1 \n.csv".decode(errors="surrogateescape")
    path.write_text("rating,text,date\nx,y,z\n")
    [row] = read_feedback(path, columns=None, now=NOW, zone=ZONE)
    assert isinstance(row, Rejected)
    (row.location + row.source).encode()
    with pytest.raises(FileProblem) as problem:
        read_feedback(path.with_suffix(".no"), columns=None, now=NOW, zone=ZONE)
    clear(str(problem.value))
