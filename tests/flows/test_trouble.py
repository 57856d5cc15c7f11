"""What goes wrong around a sweep must neither stop it nor be hidden: bad files, odd answers, missing addresses."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from amends.clock import VirtualClock
from amends.domain.feedback import Rejected
from amends.domain.journey import ComplaintJourney
from amends.store import incidents, reports, timeline
from amends.store.engine import Store
from amends.store.schema import cases, customers, feedbacks, quarantine, vouchers
from connectors.ports import RatingAnswer
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.ratings import as_feedback
from tasks.sweep import Runtime, use_runtime
from tests.conftest import CIPHER, MONDAY
from tests.flows.bench import BEST_MARK, drop_reviews, move, review, sent, solve_all

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ONE_DATABASE
@pytest.mark.usefixtures("prefect_api")
async def test_a_file_nobody_can_read_is_reported_and_the_others_go_through(
    runtime: Runtime, journey: ComplaintJourney
) -> None:
    (runtime.settings.home / "inbox" / "a.csv").write_text("what,is,this\n1,2,3\n", encoding="utf-8")
    (runtime.settings.home / "inbox" / "b.csv").write_bytes(b"")
    (runtime.settings.home / "inbox" / "archive").mkdir()
    drop_reviews(runtime, "c", [review(1, phone=BEST_MARK)])
    report = await complaint(journey)
    assert report["detect"]["received"] == 1
    with runtime.store.read() as tx:
        assert reports.funnel(tx, journey.name, runtime.clock.now()).cases == 1
        kept = tx.execute(sa.select(quarantine.c.location, quarantine.c.problems)).all()
    assert sorted(row.location for row in kept) == ["a.csv", "b.csv"]
    assert all(row.problems[0]["problem"] for row in kept)


@ONE_DATABASE
@pytest.mark.usefixtures("prefect_api")
async def test_a_file_cannot_pass_its_columns_off_as_an_answer_from_zalo(
    runtime: Runtime, journey: ComplaintJourney
) -> None:
    drop_reviews(runtime, "a", [review(1, phone=BEST_MARK, msg_id="m1", zns_rating="x")])
    await complaint(journey)
    with runtime.store.read() as tx:
        assert tx.execute(sa.select(feedbacks.c.verdict)).scalars().all() == ["case"]


def test_a_rating_on_an_unknown_scale_or_outside_it_goes_to_quarantine() -> None:
    good = RatingAnswer("m1", "t1", 3, "three_emotions", MONDAY, note="ok")
    strange = RatingAnswer("m2", "t2", 4, "ten_hearts", MONDAY)
    outside = RatingAnswer("m3", "t3", 5, "three_emotions", MONDAY)
    assert not isinstance(as_feedback(good, "after-purchase"), Rejected)
    for answer, field in ((strange, "option"), (outside, "rate")):
        rejected = as_feedback(answer, "after-purchase")
        assert isinstance(rejected, Rejected)
        assert [problem.field for problem in rejected.problems] == [field]
        assert rejected.raw["msg_id"] == answer.msg_id


@ONE_DATABASE
@pytest.mark.usefixtures("prefect_api")
async def test_a_contact_without_an_address_stops_only_that_contact(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    contacts = {name: url for name, url in runtime.settings.contacts.items() if name != "lan"}
    settings = runtime.settings.model_copy(update={"contacts": contacts, "open_calls": 2})
    use_runtime(Runtime(settings, runtime.store, runtime.clock))
    branches = ("Nắng Store Quận 1", "Nắng Store Cầu Giấy")  # lan's and minh's
    rows = [review(n, phone=None, branch=branches[n % 2]) for n in range(20)]
    drop_reviews(runtime, "monday", rows)
    await complaint(journey)
    assert [entry["contact"] for entry in sandbox.book()] == ["minh"] * 10
    with runtime.store.read() as tx:
        [incident] = incidents.still_open(tx)
    assert incident.stopped == "notify:lan"
    assert "AMENDS_CONTACTS" in incident.detail


@ONE_DATABASE
@pytest.mark.usefixtures("prefect_api")
async def test_an_old_export_opens_no_cases(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    drop_reviews(runtime, "old", [review(1, phone=BEST_MARK, occurred_at="2026-06-01T01:00:00+00:00")])
    await complaint(journey)
    assert sandbox.book() == []
    with runtime.store.read() as tx:
        [row] = tx.execute(sa.select(feedbacks.c.verdict, feedbacks.c.reason)).all()
    assert (row.verdict, row.reason) == ("suppressed", "older than 30 days")


@ONE_DATABASE
@pytest.mark.usefixtures("prefect_api")
async def test_a_pool_gives_each_code_once_leaves_out_long_ones_and_reserves_only_to_send(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    pool = runtime.settings.home / "codes.txt"
    pool.write_text(f"TET-1\n{'X' * 60}\nTET-2\n", encoding="utf-8")
    data = journey.model_dump(mode="json")
    data["reward"]["codes"] = {"kind": "pool", "path": str(pool)}
    data["survey"]["enabled"] = False
    data["reward"]["outcomes"] = ["suppressed"]
    journey = ComplaintJourney.model_validate(data)
    drop_reviews(runtime, "monday", [review(n, phone=f"8491200000{n}") for n in (1, 2, 3)])
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=30)))
    move(clock, sandbox, timedelta(hours=12, minutes=30))  # 22:00: quiet
    await complaint(journey)
    with runtime.store.read() as tx:
        assert set(tx.execute(sa.select(vouchers.c.state)).scalars()) == {"free"}
    move(clock, sandbox, timedelta(hours=11))
    await complaint(journey)
    codes = [entry["params"]["voucher_code"] for entry in sandbox.book(kind="zns", template_type="voucher")]
    assert sorted(codes) == ["TET-1", "TET-2"]
    with runtime.store.read() as tx:
        lines = [entry.detail for id_ in (1, 2, 3) for entry in timeline.of_case(tx, id_)]
        assert tx.execute(sa.select(sa.func.count()).where(cases.c.closed_at.is_not(None))).scalar() == 3
    assert "the pool of voucher codes is empty" in lines


@ONE_DATABASE
@pytest.mark.usefixtures("prefect_api")
async def test_a_worse_rating_in_the_same_file_sets_the_tickets_severity(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox
) -> None:
    later = review(2, phone=BEST_MARK, rating=1, occurred_at="2026-11-02T01:30:00+00:00")
    drop_reviews(runtime, "monday", [review(1, phone=BEST_MARK, rating=3), later])
    await complaint(journey)
    assert [title for _, title in sent(sandbox.book(kind="agent_notification"))] == [
        "[AM000001] urgent ticket"
    ]


def test_a_database_error_does_not_quote_what_was_to_be_written(store: Store) -> None:
    nameless = customers.insert().values(key=None, phone="84912345678", name="Nguyễn Lan")
    with store.begin() as tx, pytest.raises(sa.exc.IntegrityError) as trouble, tx.begin_nested():
        tx.execute(nameless)
    told = str(trouble.value)
    assert "parameters hidden" in told


def test_the_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "home" / "amends.db"
    store = Store(f"sqlite:///{file}", CIPHER)
    store.migrate()
    with store.begin() as tx:
        tx.execute(customers.insert().values(key="x"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    store.close()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_secrets_never_show_in_settings(runtime: Runtime) -> None:
    settings = runtime.settings.model_copy(update={"customer_mail_url": SecretStr("mailtos://u:geheim@mail")})
    assert "geheim" not in repr(settings)
    assert "sandbox-secret" not in repr(settings)
