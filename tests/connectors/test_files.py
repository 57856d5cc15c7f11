"""Files as they really come: any encoding and kind, broken in the usual places, and large."""

import csv
import json
import tracemalloc
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.domain.columns import Columns
from amends.domain.feedback import Feedback, Rejected
from connectors.files import BadRow, FileProblem, read_feedback, read_rows

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
ZONE = "Asia/Ho_Chi_Minh"
HEADER = "id,rating,comment,date"
ROW = "r1,2,Giao chậm quá,12/05/2026"


def write(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def rows_of(path: Path) -> list[tuple[str, Mapping[str, Any] | BadRow]]:
    return list(read_rows(path))


def good(path: Path) -> list[Mapping[str, Any]]:
    return [row for _, row in read_rows(path) if not isinstance(row, BadRow)]


def bad(path: Path) -> list[tuple[str, str]]:
    return [(place, row.problem) for place, row in read_rows(path) if isinstance(row, BadRow)]


def feedback(path: Path, columns: Columns | None = None, source: str | None = None) -> list[Feedback]:
    taken = list(read_feedback(path, columns=columns, now=NOW, zone=ZONE, source=source))
    accepted = [row for row in taken if isinstance(row, Feedback)]
    assert len(accepted) == len(taken), [row for row in taken if isinstance(row, Rejected)]
    return accepted


def windows_1258(text: str) -> bytes:
    """As Vietnamese Windows writes: vowels with their shape, tones as signs behind them."""
    tones = "\u0300\u0301\u0303\u0309\u0323"
    signs = []
    for sign in text:
        parts = unicodedata.normalize("NFD", sign)
        shape = "".join(part for part in parts if part not in tones)
        tone = "".join(part for part in parts if part in tones)
        signs.append(unicodedata.normalize("NFC", shape) + tone)
    return "".join(signs).encode("cp1258")


# Encodings.


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl"])
def test_the_unicode_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    record = dict(zip(HEADER.split(","), ROW.split(","), strict=True))
    contents = {
        "a.csv": f"{HEADER}\r\n{ROW}\r\n",
        "a.json": json.dumps([record], ensure_ascii=False),
        "a.jsonl": json.dumps(record, ensure_ascii=False) + "\n",
    }
    assert good(write(tmp_path, name, contents[name], encoding)) == [record]


def test_windows_1258_and_1252(tmp_path: Path) -> None:
    vietnamese = f"{HEADER},Người mua\n{ROW},Nguyễn Thị Ánh\n"
    (row,) = good(write(tmp_path, "a.csv", windows_1258(vietnamese)))
    assert (row["comment"], row["Người mua"]) == ("Giao chậm quá", "Nguyễn Thị Ánh")
    western = f"{HEADER}\nr1,2,“Déjà vu” – très café,12/05/2026\n"
    (row,) = good(write(tmp_path, "b.csv", western, "cp1252"))
    assert row["comment"] == "“Déjà vu” – très café"


def test_the_sample_may_end_inside_a_sign(tmp_path: Path) -> None:
    for shift in range(4):
        text = f"{HEADER}\n{'x' * shift}" + f"{ROW}\n" * 9000
        assert len(text.encode()) > 256 * 1024
        assert good(write(tmp_path, "a.csv", text))[8999]["comment"] == "Giao chậm quá"


def test_wrong_bytes_far_inside_cost_one_row(tmp_path: Path) -> None:
    lines = [HEADER.encode(), *[ROW.encode()] * 9000, b"r2,1,\xff\xfe ch\xe3,1/1/2026", ROW.encode()]
    path = write(tmp_path, "a.csv", b"\n".join(lines))
    assert bad(path) == [("a.csv line 9002", "it has bytes that are not utf-8")]
    assert len(good(path)) == 9001
    taken = list(read_feedback(path, columns=None, now=NOW, zone=ZONE))
    (one,) = [row for row in taken if isinstance(row, Rejected)]
    json.dumps(dict(one.raw), ensure_ascii=False).encode()  # it can be stored


# CSV and TSV.


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a"])
def test_the_separator_is_seen_whatever_the_suffix(tmp_path: Path, separator: str, name: str) -> None:
    text = f"{HEADER}\n{ROW}\n".replace(",", separator)
    assert good(write(tmp_path, name, text)) == [
        {"id": "r1", "rating": "2", "comment": "Giao chậm quá", "date": "12/05/2026"}
    ]


cells = st.text(st.sampled_from('ab ạ,;\t"\n\r'), max_size=6)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str, str]], newline: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=newline, quoting=csv.QUOTE_ALL)
        writer.writerows([("one", "two", "three"), *table])
    assert [tuple(row.values()) for row in good(path)] == table
    assert bad(path) == []


def test_places_are_the_lines_where_rows_begin(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\n1,"one\ntwo\nthree"\n\n2,four\n')
    assert [place for place, _ in rows_of(path)] == ["a.csv line 2", "a.csv line 6"]


def test_too_many_and_too_few_cells(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b,c\n1,2,3\n1,2\n1,2,3,4,5\n1,2,3,,\n4,5,6\n")
    assert bad(path) == [
        ("a.csv line 3", "it has 2 cells, the header has 3"),
        ("a.csv line 4", "it has 5 cells, the header has 3"),
    ]
    broken = [row for _, row in rows_of(path) if isinstance(row, BadRow)]
    assert broken[0].raw == {"a": "1", "b": "2"}
    assert broken[1].raw == {"a": "1", "b": "2", "c": "3", "_surplus": ["4", "5"]}
    assert [row["a"] for row in good(path)] == ["1", "1", "4"], "surplus empty cells lose nothing"


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    lines = ["a,b,c", "1,x,y", '2,"never closed,y', *[f"{n},x,y" for n in range(3, 2000)]]
    path = write(tmp_path, "a.csv", "\n".join(lines) + "\n")
    assert [place for place, _ in bad(path)] == ["a.csv line 3"]
    assert [row["a"] for row in good(path)] == ["1", *[str(n) for n in range(3, 2000)]]


def test_a_quote_never_closed_that_meets_another_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'a,b,c\n1,"open,y\n2,"good ""text""",y\n3,x,y\n')
    assert [place for place, _ in bad(path)] == ["a.csv line 2"]
    assert [row["b"] for row in good(path)] == ['good "text"', "x"]


def test_an_open_quote_in_the_last_cell_of_the_last_row_keeps_its_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'a,b\n1,x\n2,"half a text')
    assert [row["b"] for row in good(path)] == ["x", "half a text"]


def test_a_very_long_cell_is_fine(tmp_path: Path) -> None:
    assert len(good(write(tmp_path, "a.csv", f"a,b\n1,{'x' * 300_000}\n"))[0]["b"]) == 300_000


def test_headers_are_trimmed_composed_and_made_distinct(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ", \u0110a\u0301nh gia\u0301 ,x,x,x (2),,\n0,1,2,3,4\n")
    assert list(good(path)[0]) == ["column 1", "Đánh giá", "x", "x (2)", "x (2) (2)"]


# JSON.


def test_an_array_an_object_with_a_list_and_a_single_object(tmp_path: Path) -> None:
    records = [{"rating": 1}, {"rating": 2.5}]
    assert good(write(tmp_path, "a.json", json.dumps(records, indent=1))) == records
    nested = {"total": 2, "tags": ["x"], "data": {"reviews": records}}
    assert good(write(tmp_path, "b.json", json.dumps(nested))) == records
    assert good(write(tmp_path, "c.json", json.dumps({"rating": 3, "tags": []}))) == [
        {"rating": 3, "tags": []}
    ]
    assert rows_of(write(tmp_path, "d.json", "[]")) == []


def test_content_wins_over_a_lying_suffix(tmp_path: Path) -> None:
    records = [{"rating": 1}, {"rating": 2}]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    assert good(write(tmp_path, "a.csv", json.dumps(records))) == records
    assert good(write(tmp_path, "b.csv", lines)) == records
    assert good(write(tmp_path, "c.json", lines)) == records
    assert good(write(tmp_path, "d.jsonl", json.dumps(records))) == records
    assert good(write(tmp_path, "e.json", f"{HEADER}\n{ROW}\n"))[0]["rating"] == "2"
    assert good(write(tmp_path, "f.csv", json.dumps(records[0], indent=2))) == records[:1]


def test_a_broken_line_of_json_lines_costs_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"rating": 1}\n{"rating": \n\n[1]\n{"rating": NaN}\n{"rating": 2}')
    assert [row["rating"] for row in good(path)] == [1, 2]
    assert [place for place, _ in bad(path)] == ["a.jsonl line 2", "a.jsonl line 4", "a.jsonl line 5"]
    assert "not an object" in bad(path)[1][1]


def test_a_truncated_array_gives_its_good_rows_and_says_where_it_broke(tmp_path: Path) -> None:
    whole = json.dumps([{"rating": n, "text": "x" * 50} for n in range(5000)])
    path = write(tmp_path, "a.json", whole[:-3000])
    count = len(good(path))
    assert 4900 < count < 5000
    assert [place for place, _ in bad(path)] == [f"a.json item {count + 1}"]
    assert "breaks off" in bad(path)[0][1]


def test_an_array_of_other_things(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '[1, {"rating": 2}, null, "x"]')
    assert [row["rating"] for row in good(path)] == [2]
    assert len(bad(path)) == 3


# Files that are none.


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b" \r\n\n", "it is empty"),
        ("a.csv", b"\xef\xbb\xbf", "it is empty"),
        ("a.csv", b"\xff\xfe", "it is empty"),
        ("a.xlsx", b"PK\x03\x04rest", "Excel workbook"),
        ("a.csv", b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
        ("a.csv.gz", b"\x1f\x8brest", "gunzip"),
        ("a.csv", b"<!DOCTYPE html><html></html>", "web page"),
    ],
)
def test_foreign_and_empty_files_are_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    with pytest.raises(FileProblem, match=told) as refused:
        read_rows(write(tmp_path, name, content))
    assert str(refused.value).startswith(f"{name}: ")
    assert "Fix: " in str(refused.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"none\.csv: there is no such file"):
        read_rows(tmp_path / "none.csv")
    with pytest.raises(FileProblem, match="it is a folder"):
        read_rows(tmp_path)


# Feedback.


def test_the_file_names_the_source_unless_somebody_else_does(tmp_path: Path) -> None:
    path = write(tmp_path, "khao-sat.csv", f"{HEADER}\n{ROW}\n")
    (one,) = feedback(path)
    assert (one.source, one.external_id, one.rating) == ("khao-sat", "r1", 2.0)
    assert one.occurred_at == datetime(2026, 5, 11, 17, tzinfo=UTC)
    columns = Columns(rating="rating", source="survey")
    assert feedback(path, columns)[0].source == "survey"
    assert feedback(path, columns, "other")[0].source == "other"


def test_columns_that_cannot_be_guessed_are_listed_with_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "alpha,beta\n1,2\n")
    with pytest.raises(FileProblem, match=r"they are alpha, beta\. Fix: .*--columns rating=n_star"):
        read_feedback(path, columns=None, now=NOW, zone=ZONE)


def test_a_column_that_is_not_there_is_an_error_before_the_first_row(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", f"{HEADER}\n{ROW}\n")
    with pytest.raises(FileProblem, match=r"no column sao \(rating\); its columns are id, rating"):
        read_feedback(path, columns=Columns(rating="sao"), now=NOW, zone=ZONE)


def test_a_file_of_nothing_but_bad_rows_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", "{broken\n{broken\n")
    with pytest.raises(FileProblem, match="none of its first rows can be read, because it is not JSON"):
        read_feedback(path, columns=None, now=NOW, zone=ZONE)


def test_a_day_without_reviews_is_fine(tmp_path: Path) -> None:
    assert feedback(write(tmp_path, "a.csv", HEADER + "\n")) == []
    assert feedback(write(tmp_path, "a.json", "[]")) == []


def test_importing_again_adds_nothing_and_equal_rows_stay_two(tmp_path: Path) -> None:
    text = "n_star,comment,date_time\n1,tệ,2 tuần trước\n5,tốt,1/5/2020\n1,tệ,2 tuần trước\n"
    first = {one.external_id for one in feedback(write(tmp_path, "a.csv", text))}
    assert len(first) == 3
    assert {one.external_id for one in feedback(write(tmp_path, "b.csv", text))} == first
    longer = text + "4,ổn,3/5/2020\n1,tệ,2 tuần trước\n"
    again = {one.external_id for one in feedback(write(tmp_path, "a.csv", longer))}
    assert first < again
    assert len(again) == 5


def test_row_numbers_that_shift_make_no_new_feedback(tmp_path: Path) -> None:
    head = "index,comment,n_star,date_time,label\n"
    one = feedback(write(tmp_path, "a.csv", head + "0,tệ,1,1/5/2020,x\n"))
    two = feedback(write(tmp_path, "b.csv", head + "0,mới,5,2/5/2020,x\n1,tệ,1,1/5/2020,x\n"))
    assert one[0].external_id == two[1].external_id


def test_bad_rows_come_as_rejected_in_their_place_and_are_the_same_next_time(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", f"{HEADER}\n{ROW}\nr2,2\nr3,9,tệ,1/1/2026\n{ROW}\n")
    taken = list(read_feedback(path, columns=None, now=NOW, zone=ZONE))
    assert [type(row) for row in taken] == [Feedback, Rejected, Rejected, Feedback]
    refused = [row for row in taken if isinstance(row, Rejected)]
    assert [(row.location, row.problems[0].field) for row in refused] == [
        ("a.csv line 3", "row"),
        ("a.csv line 4", "rating"),
    ]
    assert {row.source for row in refused} == {"a"}
    later = write(tmp_path, "a.csv", f"{HEADER}\n{ROW}\n{ROW}\nr3,9,tệ,1/1/2026\nr2,2\n")
    again = [
        row for row in read_feedback(later, columns=None, now=NOW, zone=ZONE) if isinstance(row, Rejected)
    ]
    assert {row.fingerprint for row in again} == {row.fingerprint for row in refused}


def test_nested_reviews_know_their_parent(tmp_path: Path) -> None:
    author = {"id": 7, "full_name": "An"}
    review = {"id": 1, "rating": 2, "content": "tệ", "created_at": 1698375066, "created_by": author}
    products = [
        {"product_id": "p1", "reviews": [review, review | {"id": 2, "created_by": None}, "x"]},
        {"product_id": "p2", "reviews": []},
        {"product_id": "p3", "reviews": [review | {"id": 3}]},
    ]
    path = write(tmp_path, "a.json", json.dumps(products))
    taken = list(read_feedback(path, columns=None, now=NOW, zone=ZONE))
    accepted = [row for row in taken if isinstance(row, Feedback)]
    assert [(one.external_id, one.product, one.customer_ref) for one in accepted] == [
        ("1", "p1", "7"),
        ("2", "p1", None),
        ("3", "p3", "7"),
    ]
    assert accepted[0].source == "tiki"
    assert accepted[0].raw["parent"] == {"product_id": "p1"}
    (refused,) = [row for row in taken if isinstance(row, Rejected)]
    assert refused.location == "a.json item 1 reviews 3"


def test_a_json_key_may_be_missing_from_the_first_row(tmp_path: Path) -> None:
    lines = '{"rating": 1, "date": "1/1/2026"}\n{"rating": 2, "date": "1/1/2026", "phone": "0912345678"}\n'
    path = write(tmp_path, "a.jsonl", lines)
    assert [one.phone for one in feedback(path)] == [None, "84912345678"]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    def records(count: int) -> Iterator[dict[str, Any]]:
        for n in range(count):
            yield {"id": f"r{n}", "rating": n % 5 + 1, "comment": "Giao hàng chậm " * 5, "date": "12/05/2026"}

    def peak(count: int) -> int:
        path = tmp_path / f"{count}.{kind}"
        with path.open("w", encoding="utf-8", newline="") as file:
            if kind == "csv":
                writer = csv.DictWriter(file, ["id", "rating", "comment", "date"])
                writer.writeheader()
                writer.writerows(records(count))
            else:
                between = ",\n" if kind == "json" else "\n"
                file.write("[" if kind == "json" else "")
                for n, record in enumerate(records(count)):
                    file.write((between if n else "") + json.dumps(record))
                file.write("]" if kind == "json" else "\n")
        tracemalloc.start()
        assert sum(1 for _ in read_feedback(path, columns=None, now=NOW, zone=ZONE)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # warms the caches
    small, large = peak(2_000), peak(10_000)
    assert large < small + 500_000


def test_rows_come_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '[{"rating": 1}, {"rating": 2}' + " " * 2_000_000)
    assert len(list(islice(read_rows(path), 2))) == 2
