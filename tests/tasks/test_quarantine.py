"""Rows in quarantine read again: into the inbox once, under the identity that the corrected row has anywhere else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.columns import Columns
from amends.domain.feedback import Feedback, Rejected
from amends.domain.journey import ComplaintJourney
from amends.store import cursors, operator_log, quarantine
from amends.store.engine import Store
from amends.store.quarantine import EntryState, QuarantineProblem
from amends.store.schema import feedbacks
from amends.store.schema import quarantine as table
from connectors.files import read_feedback
from connectors.ports import RatingAnswer
from connectors.posted import read_posted
from tasks.intake import store_batch
from tasks.quarantine import Kind, Requeued, StillBad, fix, kind_of, requeue
from tasks.ratings import as_feedback
from tasks.receive import _take_in_file, receive
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.tasks.rig import answer, inbox_of, sweep_over

ZONE = JOURNEY.timezone
LATER = NINE + 24 * HOUR
BY_ID = Columns(external_id="id", rating="stars", text="words")
BY_CONTENT = Columns(rating="stars", text="words")


def with_columns(
    columns: Columns | None, source: str = "marketplace", kind: str = "file"
) -> ComplaintJourney:
    """The journey with one source of that name and mapping."""
    mapping = columns.model_dump(mode="json") if columns else None
    place = {"path": "inbox/*"} if kind == "file" else {}
    return changed(sources=[{"kind": kind, "name": source, "columns": mapping, **place}])


def import_rows(store: Store, folder: Path, columns: Columns | None, *rows: Mapping[str, Any]) -> int:
    """Import a file of these rows; returns how many were new."""
    file = folder / "reviews.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = read_feedback(file, columns=columns, now=NINE, zone=ZONE, source="marketplace")
    return store_batch(store, "complaint", list(read), NINE)[0]


def keep(store: Store, found: Sequence[Feedback | Rejected]) -> None:
    store_batch(store, "complaint", found, NINE)


def entries(store: Store) -> list[quarantine.QuarantineEntry]:
    with store.read() as tx:
        return quarantine.list_entries(tx, limit=99, oldest_first=True)


def put_right(
    store: Store,
    cells: dict[str, str],
    journey: ComplaintJourney,
    columns: Columns | None = None,
    id_: int = 0,
) -> Requeued:
    entry_id = id_ or entries(store)[0].id
    with store.begin() as tx:
        return fix(tx, quarantine.entry(tx, entry_id), cells, journey, columns, "hoa", LATER)


def again(store: Store, journey: ComplaintJourney, columns: Columns | None = None, id_: int = 0) -> Requeued:
    entry_id = id_ or entries(store)[0].id
    with store.begin() as tx:
        return requeue(tx, quarantine.entry(tx, entry_id), journey, columns, "hoa", LATER)


BAD = {"id": "r1", "stars": "9", "words": "Tệ, gọi 0912345678"}
GOOD = {**BAD, "stars": "1"}


# --- Putting right, and identity ---------------------------------------------------------------


@pytest.mark.parametrize("columns", [BY_ID, BY_CONTENT], ids=["by id", "by content"])
def test_a_row_put_right_is_the_row_of_the_corrected_file(
    store: Store, tmp_path: Path, columns: Columns
) -> None:
    import_rows(store, tmp_path, columns, BAD)
    assert put_right(store, {"stars": "1"}, with_columns(columns)) == Requeued(
        1, 0, 0, "put right: stars; 1 new, 0 known before"
    )
    assert import_rows(store, tmp_path, columns, GOOD) == 0, "the corrected file brings nothing new"
    assert len(inbox_of_store(store)) == 1


@pytest.mark.parametrize("columns", [BY_ID, BY_CONTENT], ids=["by id", "by content"])
def test_a_row_whose_corrected_file_came_first_is_known(
    store: Store, tmp_path: Path, columns: Columns
) -> None:
    import_rows(store, tmp_path, columns, BAD)
    assert import_rows(store, tmp_path, columns, GOOD) == 1
    done = put_right(store, {"stars": "1"}, with_columns(columns))
    assert (done.new, done.known) == (0, 1)
    assert entries(store)[0].state is EntryState.REQUEUED


def test_two_equal_bad_rows_stay_two(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_CONTENT, BAD, BAD)
    for entry in entries(store):
        assert put_right(store, {"stars": "1"}, with_columns(BY_CONTENT), id_=entry.id).new == 1
    assert import_rows(store, tmp_path, BY_CONTENT, GOOD, GOOD) == 0
    assert len(inbox_of_store(store)) == 2


def test_in_a_row_of_json_a_number_stays_a_number(store: Store, tmp_path: Path) -> None:
    """Else its content, and so its identity, would be another than that of the corrected file."""
    import_rows(store, tmp_path, BY_CONTENT, {**BAD, "stars": 9})
    put_right(store, {"stars": "1"}, with_columns(BY_CONTENT))
    assert import_rows(store, tmp_path, BY_CONTENT, {**BAD, "stars": 1}) == 0


def test_the_same_bad_row_again_does_not_wait_again(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, BAD)
    put_right(store, {"stars": "1"}, with_columns(BY_ID))
    import_rows(store, tmp_path, BY_ID, BAD)
    assert [entry.state for entry in entries(store)] == [EntryState.REQUEUED]


def test_who_did_it_is_kept_and_the_row_stays_as_it_came(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, BAD)
    put_right(store, {"rating": "1"}, with_columns(BY_ID))  # by the field, as well as by the column
    (entry,) = entries(store)
    assert (entry.settled_by, entry.settled_at, dict(entry.raw)) == ("hoa", LATER, BAD)
    with store.read() as tx:
        (deed,) = operator_log.of_subject(tx, f"quarantine {entry.id}")
        raw = tx.execute(sa.select(feedbacks.c.raw)).scalar_one()
    assert (deed.actor, deed.action) == ("hoa", "requeued")
    assert deed.detail == "put right: stars; 1 new, 0 known before"
    assert raw["stars"] == "1"


def test_a_row_that_is_still_bad_stays_and_says_why(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, BAD)
    with pytest.raises(StillBad, match="the rating is outside 1 to 5"):
        put_right(store, {"stars": "7"}, with_columns(BY_ID))
    assert [entry.state for entry in entries(store)] == [EntryState.OPEN]
    assert inbox_of_store(store) == []


def test_a_column_that_is_not_there_is_told(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, BAD)
    with pytest.raises(QuarantineProblem, match=r"has no column 'star'; it has .*stars"):
        put_right(store, {"star": "1"}, with_columns(BY_ID))


def test_two_weeks_ago_is_meant_from_when_the_row_came(store: Store, tmp_path: Path) -> None:
    dated = Columns(external_id="id", rating="stars", text="words", occurred_at="when")
    import_rows(store, tmp_path, dated, {**BAD, "when": "2 ngày trước"})
    put_right(store, {"stars": "1"}, with_columns(dated))
    with store.read() as tx:
        assert tx.execute(sa.select(feedbacks.c.occurred_at)).scalar_one() == NINE - 48 * HOUR


# --- Trying again as it is ---------------------------------------------------------------------


def test_a_row_is_requeued_after_its_columns_were_corrected(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, {**BAD, "points": "2"})
    with pytest.raises(StillBad):
        again(store, with_columns(BY_ID))
    corrected = Columns(external_id="id", rating="points", text="words")
    assert again(store, with_columns(corrected)).new == 1


def test_columns_given_by_hand_beat_those_of_the_source(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, BAD)
    ten = Columns.model_validate({**BY_ID.model_dump(), "scale": "ten_points"})
    assert again(store, with_columns(BY_ID), ten).new == 1


def test_columns_nobody_knows_are_asked_for(store: Store, tmp_path: Path) -> None:
    import_rows(store, tmp_path, BY_ID, BAD)
    with pytest.raises(QuarantineProblem, match="its columns are not known; they are id, stars, words"):
        again(store, with_columns(None))


def test_a_row_with_shifted_cells_is_not_requeued_but_can_be_put_right(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("id,stars,words\nr1,1,late, very\n", encoding="utf-8")
    keep(store, list(read_feedback(file, columns=BY_ID, now=NINE, zone=ZONE, source="marketplace")))
    (entry,) = entries(store)
    assert kind_of(entry) is Kind.BROKEN_ROW
    with pytest.raises(QuarantineProblem, match="the row itself is broken"):
        again(store, with_columns(BY_ID))
    assert put_right(store, {"words": "late, very"}, with_columns(BY_ID)).new == 1
    with store.read() as tx:
        assert tx.execute(sa.select(feedbacks.c.text)).scalar_one() == "late, very"


def test_a_line_that_is_no_json_is_written_anew(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "reviews.jsonl"
    file.write_text(json.dumps(GOOD) + '\n{"id": "r2", "stars": 1,\n', encoding="utf-8")
    keep(store, list(read_feedback(file, columns=BY_ID, now=NINE, zone=ZONE, source="marketplace")))
    with pytest.raises(QuarantineProblem, match="write the whole object"):
        put_right(store, {"_line": "nonsense"}, with_columns(BY_ID))
    assert put_right(store, {"_line": '{"id": "r2", "stars": 1}'}, with_columns(BY_ID)).new == 1
    assert inbox_of_store(store) == [("marketplace", "r1"), ("marketplace", "r2")]


# --- Webhooks, ratings, files ------------------------------------------------------------------


def posted(payload: Any, columns: Columns | None) -> list[Feedback | Rejected]:
    return read_posted(payload, columns, source="till", key="msg_1", now=NINE, zone=ZONE)


def test_a_webhooks_rating_has_the_identity_of_its_webhook(store: Store) -> None:
    keep(store, posted([{"stars": 1, "words": "a"}, {"stars": 9, "words": "b"}], BY_CONTENT))
    (entry,) = entries(store)
    assert kind_of(entry) is Kind.WEBHOOK_ROW
    put_right(store, {"stars": "2"}, with_columns(BY_CONTENT, "till", "webhook"))
    assert inbox_of_store(store) == [("till", "msg_1#1"), ("till", "msg_1#2")]


def test_a_webhook_whose_fields_were_not_known_is_requeued_whole(store: Store) -> None:
    payload = {"type": "rating", "data": [{"mark": 1, "said": "a"}, {"mark": 9, "said": "b"}]}
    keep(store, posted(payload, None))
    (entry,) = entries(store)
    assert kind_of(entry) is Kind.WEBHOOK
    with pytest.raises(StillBad, match="its fields are not known"):
        again(store, with_columns(None, "till", "webhook"))
    with pytest.raises(QuarantineProblem, match="a whole webhook, not a row"):
        put_right(store, {"mark": "1"}, with_columns(None, "till", "webhook"))
    mapping = Columns(rating="mark", text="said")
    assert again(store, with_columns(mapping, "till", "webhook")) == Requeued(
        1, 0, 1, "requeued as it is; 1 new, 0 known before, 1 still bad"
    )
    assert inbox_of_store(store) == [("till", "msg_1#1")]
    assert [entry.state for entry in entries(store)] == [EntryState.REQUEUED, EntryState.OPEN]


def test_a_zalo_rating_on_an_unknown_scale_is_put_right_by_naming_one(store: Store) -> None:
    strange: RatingAnswer = answer("m-1", option="ten_hearts", rate=3)
    keep(store, [as_feedback(strange, "after-purchase")])
    (entry,) = entries(store)
    assert kind_of(entry) is Kind.RATING
    with pytest.raises(StillBad, match="is no scale we know"):
        again(store, JOURNEY)
    assert put_right(store, {"option": "five_emotions"}, JOURNEY).new == 1
    keep(store, [as_feedback(answer("m-1", rate=3), "after-purchase")])  # the poll finds it later
    assert inbox_of_store(store) == [("after-purchase", "m-1")]


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is taken in by the function behind the Prefect task, so that no server is needed."""
    monkeypatch.setattr("tasks.receive._take_in_file", _take_in_file.fn)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("without_prefect")
async def test_an_unreadable_file_is_read_again_once_its_columns_are_known(
    store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("a,b\n1,late\n", encoding="utf-8")
    unknown, known = (
        changed(sources=[{"kind": "file", "name": "shop", "path": str(file), "columns": mapping}])
        for mapping in (None, {"rating": "a", "text": "b"})
    )
    await receive(sweep_over(store, tmp_path, journey=unknown))
    (entry,) = entries(store)
    assert kind_of(entry) is Kind.FILE
    with pytest.raises(StillBad, match="its columns are not known to us"):
        again(store, unknown)
    assert again(store, known).note == "the next sweep reads the file again: 1 rows"
    await receive(sweep_over(store, tmp_path, journey=known))
    assert len(inbox_of_store(store)) == 1
    with store.read() as tx:
        assert all(
            cursors.get(tx, name) for name in tx.execute(sa.text("SELECT name FROM cursors")).scalars()
        )


@pytest.mark.usefixtures("without_prefect")
async def test_a_file_that_is_gone_can_only_be_dropped(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("a,b\n1,late\n", encoding="utf-8")
    journey = changed(sources=[{"kind": "file", "name": "shop", "path": str(file)}])
    await receive(sweep_over(store, tmp_path, journey=journey))
    file.write_text("rating,text,date\n1,late,2026-11-01\n", encoding="utf-8")
    with pytest.raises(QuarantineProblem, match="does not lie in its folder any more as it was"):
        again(store, journey)
    with pytest.raises(QuarantineProblem, match="a whole file, not a row"):
        put_right(store, {"a": "1"}, journey)


# --- The entries themselves --------------------------------------------------------------------


def test_entries_come_a_page_at_a_time_by_source_journey_and_state(store: Store, tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "stars": "9", "words": "x"} for n in range(5)]
    import_rows(store, tmp_path, BY_ID, *rows)
    with store.begin() as tx:
        ids = list(tx.execute(sa.select(table.c.id).order_by(table.c.id)).scalars())
        first = quarantine.list_entries(tx, limit=2)
        assert [entry.id for entry in first] == [ids[4], ids[3]]
        rest = quarantine.list_entries(tx, limit=9, after_id=first[-1].id)
        assert [entry.id for entry in rest] == ids[2::-1]
        dropped = quarantine.entry(tx, ids[0])
        quarantine.settle(tx, dropped, EntryState.DROPPED, by="hoa", why="a test", now=LATER)
        assert len(quarantine.list_entries(tx, limit=9, state=EntryState.OPEN)) == 4
        assert [e.note for e in quarantine.list_entries(tx, limit=9, state=EntryState.DROPPED)] == ["a test"]
        assert quarantine.list_entries(tx, limit=9, source="till") == []
        assert quarantine.list_entries(tx, limit=9, journey="aftercare") == []
        with pytest.raises(QuarantineProblem, match="there is no entry 0"):
            quarantine.entry(tx, 0)


def inbox_of_store(store: Store) -> list[tuple[str, str]]:
    with store.read() as tx:
        return inbox_of(tx)
