"""`amends import` commits what it can, keeps the rest in quarantine, and counts both."""

import json
from pathlib import Path

import pytest
import yaml

from amends.store import reports
from amends.store.engine import Store
from tests.cli.conftest import COLUMNS, Invoke, run_amends


def test_rows_are_new_once_then_known(
    amends: Invoke, store: Store, journey_file: Path, reviews: Path
) -> None:
    words = ("import", reviews, "--journey", journey_file, "--columns", COLUMNS, "--json")
    first, second = (json.loads(amends(*words).stdout)["files"][0] for _ in range(2))
    assert (first["rows"], first["new"], first["known"], first["quarantined"]) == (3, 2, 0, 1)
    assert (second["rows"], second["new"], second["known"], second["quarantined"]) == (3, 0, 2, 1)
    with store.read() as tx:
        assert reports.journeys_known(tx) == ["complaint"]


def test_quarantined_rows_are_no_failure_and_their_reasons_are_told(
    amends: Invoke, journey_file: Path, reviews: Path
) -> None:
    result = amends("import", reviews, "--journey", journey_file, "--columns", COLUMNS)
    assert result.exit_code == 0
    assert "3 rows, 2 new, 0 already known, 1 quarantined" in result.stdout
    assert "reviews.csv line 4: rating: '9'" in result.stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_bad_file_does_not_stop_the_others(amends: Invoke, journey_file: Path, reviews: Path) -> None:
    result = amends("import", "nowhere.csv", reviews, "--journey", journey_file, "--columns", COLUMNS)
    assert result.exit_code == 2
    assert "nowhere.csv: there is no such file" in result.stderr
    assert "2 new" in result.stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_source_of_the_journey_brings_its_columns(
    amends: Invoke, journey_file: Path, reviews: Path
) -> None:
    data = yaml.safe_load(journey_file.read_text(encoding="utf-8"))
    data["sources"][0]["columns"] = dict(part.split("=") for part in COLUMNS.split(","))
    journey_file.write_text(yaml.safe_dump(data), encoding="utf-8")
    unknown = amends("import", reviews, "--journey", journey_file)
    assert unknown.exit_code == 2
    assert "--columns" in unknown.stderr
    known = amends("import", reviews, "--journey", journey_file, "--source", "marketplace")
    assert known.exit_code == 0
    assert "2 new" in known.stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_misspelt_mapping_is_told(amends: Invoke, journey_file: Path, reviews: Path) -> None:
    result = amends("import", reviews, "--journey", journey_file, "--columns", "ratng=stars")
    assert result.exit_code == 2
    assert "did you mean 'rating'?" in result.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_as_a_process_json_is_all_of_standard_output(
    environment: dict[str, str], journey_file: Path, reviews: Path
) -> None:
    done = run_amends("import", reviews, "--journey", journey_file, "--columns", COLUMNS, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0]["new"] == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_only_journey_need_not_be_named(
    amends: Invoke, journey_file: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journeys"
    folder.mkdir()
    monkeypatch.setattr("cli.shipped.FOLDER", folder)
    words = ("import", reviews, "--columns", COLUMNS)
    assert "no journey in deployments/journeys" in amends(*words).stderr
    (folder / "one.yaml").write_bytes(journey_file.read_bytes())
    assert "2 new" in amends(*words).stdout
    (folder / "two.yaml").write_bytes(journey_file.read_bytes())
    several = amends(*words)
    assert several.exit_code == 2
    assert "one.yaml, two.yaml" in several.stderr
