"""What a benchmark prints: whole figures, also where the terminal is narrow or there is none."""

import pytest

from benchmarks.part import Part, Table
from benchmarks.show import show


def test_no_figure_is_cut_where_there_is_little_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    row = ("postgres, 50/s, in a sweep", *(f"{place}.123" for place in range(12)))
    columns = ("ratings", *(f"column {place} s" for place in range(12)))

    show(Part([Table("Webhook to agent told", columns, [row])]))

    printed = capsys.readouterr().out
    assert all(f" {cell} " in printed for cell in row)
