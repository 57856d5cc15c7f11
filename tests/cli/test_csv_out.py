"""CSV for spreadsheets: no cell is a formula, and nothing but an apostrophe is added."""

import csv
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amends.domain.journey import ComplaintJourney
from cli.csv_out import FORMULA_SIGNS, write_csv
from cli.guard import Trouble
from tests.cli.conftest import Invoke

SIGNS = [*FORMULA_SIGNS, "'", '"', ";", ",", "\n", "|", "cmd|' /C calc'!A0"]
cells = st.one_of(
    st.none(),
    st.integers(),
    st.builds(str.__add__, st.sampled_from(SIGNS), st.text(st.characters(codec="utf-8"), max_size=8)),
    st.text(st.characters(codec="utf-8"), max_size=8),
)


@given(rows=st.lists(st.lists(cells, min_size=2, max_size=2), max_size=4))
@example(rows=[["=HYPERLINK(A1)", "＝1+1"], ["-5", -5], ["\t=1", "\r=1"]])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_read_back_no_cell_is_a_formula_and_nothing_is_lost(tmp_path: Path, rows: list[list[object]]) -> None:
    file = tmp_path / "out.csv"
    write_csv(file, ["=a", "b"], rows)
    with file.open(encoding="utf-8-sig", newline="") as written:
        header, *found = list(csv.reader(written))
    assert header == ["'=a", "b"]
    assert len(found) == len(rows)
    for given_row, row in zip(rows, found, strict=True):
        for value, text in zip(given_row, row, strict=True):
            if isinstance(value, str):
                assert not text.startswith(FORMULA_SIGNS)
                back = text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_SIGNS) else text
                assert back == value or value.startswith("'"), "one apostrophe, and only before a formula"
            else:
                assert text == ("" if value is None else str(value))


def test_excel_knows_its_encoding_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    write_csv(file, ["tên"], [["Nguyễn; Lan"], [datetime(2026, 11, 2, tzinfo=UTC)]])
    assert file.read_bytes().startswith(b'\xef\xbb\xbf"t\xc3\xaan"\r\n')
    assert '"Nguyễn; Lan"' in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="cannot be written"):
        write_csv(tmp_path, ["a"], [])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_agents_take_their_list_along(amends: Invoke, one_case: ComplaintJourney, tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    told = amends("ticket", "list", "--csv", file)
    assert told.exit_code == 0, told.output
    assert "1 ticket" in told.stdout
    with file.open(encoding="utf-8-sig", newline="") as written:
        [ticket] = list(csv.DictReader(written))
    assert (ticket["ticket"], ticket["case"], ticket["severity"]) == ("1", "AM000001", "urgent")
    assert ticket["due_at"].startswith("20")
    assert "Giao trễ 5 ngày" in ticket["summary"]
    on_screen = amends("ticket", "list", "--csv", "-").stdout
    assert on_screen.splitlines()[0].startswith('"ticket","case"')
    assert amends("ticket", "list", "--csv", file, "--json").exit_code == 2
