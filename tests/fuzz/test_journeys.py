"""Whatever stands in a journey's file: a journey, or its problems with field and fix."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from amends.domain.journey import ComplaintJourney, JourneyProblem, load_journey, version_of
from tests.fuzz.rig import JOURNEY, clear, fuzz, json_values, no_hang, texts

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{'brand' if n == 9 else f'a{n}'}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
DATA = yaml.safe_load(JOURNEY)
LINES = JOURNEY.splitlines(keepends=True)


def load(folder: Path, text: str | bytes) -> ComplaintJourney | None:
    path = folder / "journey.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with no_hang():
        try:
            journey = load_journey(path)
            # What is loaded must be fit to be stored, and to decide with.
            version_of(journey)
            json.dumps(journey.model_dump(mode="json"), ensure_ascii=False, allow_nan=False).encode()
            assert journey.calendar
            return journey
        except JourneyProblem as problem:
            for told in problem.problems:
                clear(told, quotes_nobody=False)
            return None


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(path for key, part in inner for path in paths(part, (*before, key)))]


PATHS = [path for path in paths(DATA) if path]


@given(
    data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
)
@example(data=BOMB.encode())
@example(data=b"a: &a [*a]\nname: *a\n")
@example(data=b"&a\nname: *a\n")
@example(data=b"[" * 50_000)
@example(data=b"{a: " * 20_000)
@example(data=b'!!python/object/apply:os.system ["echo"]')
@example(data=b"name: !!python/name:os.system\n")
@example(data=b"name: 2026-99-99\n")
@example(data=b"? [a]\n: b\n")
@example(data=b"<<: [1]\n")
@example(data="\ufeffname: x\n".encode("utf-16"))
@example(data=b"merge_window_hours: " + b"9" * 5000)
@example(data=b"merge_window_hours: 1" + b":1" * 9000)
@example(data=b"x" * 200_000)
@example(data=b"".join(b"k%d: 1\n" % n for n in range(9000)))
@fuzz
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    assert load(tmp_path, data) is None


@given(path=st.sampled_from(PATHS), value=json_values)
@example(path=("reward", "message", "zns", "vi", "params", "customer_name"), value="Chị \U0001f338")
@example(path=("brand",), value="\ud83c")
@example(path=("agents", 0, "name"), value="\udf38\ud83c")
@fuzz
def test_anything_in_any_field(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    data = deepcopy(DATA)
    part = data
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    load(tmp_path, json.dumps(data))  # JSON is YAML, and written much faster


@given(
    at=st.integers(0, len(LINES) - 1),
    piece=texts,
    how=st.sampled_from(["line", "drop", "twice", "indent", "inside"]),
)
@fuzz
def test_slips_of_the_hand(tmp_path: Path, at: int, piece: str, how: str) -> None:
    line = LINES[at]
    changed = {
        "line": f"{piece}\n",
        "drop": "",
        "twice": line * 2,
        "indent": f"  {line}",
        "inside": line[: len(line) // 2] + piece + line[len(line) // 2 :],
    }[how]
    load(tmp_path, "".join([*LINES[:at], changed, *LINES[at + 1 :]]))


def test_a_field_that_is_written_twice_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journey.yaml"
    path.write_text(f"{JOURNEY}brand: Another\n", encoding="utf-8")
    with pytest.raises(JourneyProblem, match=rf"line {len(LINES) + 1}, .*the field 'brand' is written twice"):
        load_journey(path)


def test_a_character_that_json_writes_in_two_halves_is_one(tmp_path: Path) -> None:
    journey = load(tmp_path, json.dumps({**DATA, "brand": "Nắng \U0001f338"}))
    assert journey is not None
    assert journey.brand == "Nắng \U0001f338"


def test_half_a_character_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journey.yaml"
    path.write_text(f'{JOURNEY}notes: "\\ud83c"\n', encoding="utf-8")
    with pytest.raises(JourneyProblem, match=rf"line {len(LINES) + 1}, .*half a character"):
        load_journey(path)


def test_aliases_and_merged_fields_are_welcome(tmp_path: Path) -> None:
    shared = JOURNEY.replace("    urgent: {first", "    urgent: &most {first", 1).replace(
        "    high: {first_response_minutes: 60, resolution_hours: 24}",
        "    high: {<<: *most, resolution_hours: 24}",
        1,
    )
    assert shared != JOURNEY
    journey = load(tmp_path, shared)
    assert journey is not None
    assert journey.sla.targets["high"].resolution_hours == 24  # type: ignore[index]
    assert journey.sla.targets["high"].first_response_minutes == 30  # type: ignore[index]
