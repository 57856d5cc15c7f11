"""The Zalo connector against the sandbox over real HTTP, judged by the sandbox's own book."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from amends.domain.outcome import OutcomeClass
from amends.settings import ZaloSettings
from connectors.errors import NeedsHuman
from connectors.ports import Message, Recipient
from connectors.zalo import ZaloZns
from sandbox.process import Sandbox, running_sandbox
from sandbox.templates import TEMPLATES
from tests.connectors.rig import NOW, Clock, MemoryVault, message, zalo_settings


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    with running_sandbox(seed=7, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    process.reset()
    return process


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def zns(sandbox: Sandbox, clock: Clock) -> AsyncIterator[ZaloZns]:
    async with ZaloZns(settings_for(sandbox), clock, MemoryVault()) as channel:
        yield channel


def settings_for(sandbox: Sandbox) -> ZaloSettings:
    return zalo_settings(
        sandbox.url, app_id="sandbox-app", secret_key="sandbox-secret", refresh_token="sandbox-refresh-token"
    )


def to(phone: str, template_id: str = "310001", tracking_id: str = "t1", case_code: str = "AM-1") -> Message:
    values = {
        param.name: "31/12/2026" if param.type == "DATE" else "Nguyễn"
        for param in TEMPLATES[template_id].params
    }
    return message(
        recipient=Recipient(phone=phone),
        template_id=template_id,
        params=values | {"case_code": case_code},
        tracking_id=tracking_id,
    )


async def test_send_is_in_the_vendors_book_once(sandbox: Sandbox, zns: ZaloZns) -> None:
    outcome = await zns.send(to("84900000000", tracking_id="case_1"))
    entries = sandbox.book(kind="zns")
    assert outcome.accepted
    assert [(entry["tracking_id"], entry["msg_id"]) for entry in entries] == [("case_1", outcome.provider_id)]


@pytest.mark.parametrize("template_id", ["310001", "310002", "320001", "330001"])
async def test_every_template_of_the_journey_goes_through(
    sandbox: Sandbox, zns: ZaloZns, template_id: str
) -> None:
    outcome = await zns.send(to("84900000000", template_id))
    assert outcome.accepted, outcome


@pytest.mark.parametrize(
    ("phone", "cls", "taken"),
    [
        ("84900000100", OutcomeClass.RETRY_LATER, 0),
        ("84900000110", OutcomeClass.UNREACHABLE, 0),
        ("84900000114", OutcomeClass.UNREACHABLE, 0),
        ("84900000118", OutcomeClass.UNREACHABLE, 0),
        ("84900000119", OutcomeClass.UNREACHABLE, 0),
        ("84900000139", OutcomeClass.UNREACHABLE, 0),
        ("84900000141", OutcomeClass.UNREACHABLE, 0),
        ("84900000503", OutcomeClass.RETRY_LATER, 0),
        ("84900000998", OutcomeClass.UNCERTAIN, 1),
        ("84900000999", OutcomeClass.UNCERTAIN, 1),
        ("0912345678", OutcomeClass.PAYLOAD_REFUSED, 0),
    ],
)
async def test_fates(sandbox: Sandbox, zns: ZaloZns, phone: str, cls: OutcomeClass, taken: int) -> None:
    outcome = await zns.send(to(phone))
    assert outcome.cls is cls
    assert len(sandbox.book(kind="zns")) == taken, "an unknown fate is never tried twice"


async def test_many_at_once_share_one_refresh(sandbox: Sandbox, zns: ZaloZns) -> None:
    outcomes = await asyncio.gather(
        *(zns.send(to("84900000000", tracking_id=f"case_{n}")) for n in range(60))
    )
    assert all(outcome.accepted for outcome in outcomes)
    tracking_ids = [entry["tracking_id"] for entry in sandbox.book(kind="zns")]
    assert sorted(tracking_ids) == sorted(f"case_{n}" for n in range(60))


async def test_two_processes_outlive_each_others_refresh(sandbox: Sandbox) -> None:
    clock, vault = Clock(), MemoryVault()
    async with (
        ZaloZns(settings_for(sandbox), clock, vault) as one,
        ZaloZns(settings_for(sandbox), clock, vault) as two,
    ):
        assert (await one.send(to("84900000000"))).accepted
        assert (await two.send(to("84900000000"))).accepted
        clock.now += timedelta(hours=21)
        sandbox.set_clock(clock.now)
        assert (await one.send(to("84900000000"))).accepted, "refreshed ahead of time"
        assert (await two.send(to("84900000000"))).accepted
    assert len(vault.saved) == 2


async def test_token_that_another_program_replaced_is_refreshed_on_refusal(sandbox: Sandbox) -> None:
    vault = MemoryVault()
    async with ZaloZns(settings_for(sandbox), Clock(), vault) as zns:
        assert (await zns.send(to("84900000000"))).accepted
        # 26 hours pass for Zalo only: our own reckoning says fresh, the vendor's -124 is right.
        sandbox.set_clock(NOW + timedelta(hours=26))
        assert (await zns.send(to("84900000000"))).accepted
    assert len(vault.saved) == 2
    assert len(sandbox.book(kind="zns_refused")) == 1


async def test_spent_refresh_token_needs_a_human(sandbox: Sandbox) -> None:
    async with ZaloZns(settings_for(sandbox), Clock(), MemoryVault()) as first:
        assert (await first.send(to("84900000000"))).accepted
    async with ZaloZns(settings_for(sandbox), Clock(), MemoryVault()) as without_the_vault:
        outcome = await without_the_vault.send(to("84900000000"))
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "-14014")


async def test_night_and_quota_name_their_windows(sandbox: Sandbox, clock: Clock, zns: ZaloZns) -> None:
    sandbox.switch(daily_quota=0)
    outcome = await zns.send(to("84900000000"))
    assert (outcome.cls, outcome.code) == (OutcomeClass.WAIT_FOR_WINDOW, "-144")
    assert outcome.retry_at == datetime(2026, 11, 23, 17, tzinfo=UTC)

    sandbox.switch(daily_quota=500, night_rule=True)
    clock.now = datetime(2026, 11, 23, 16, tzinfo=UTC)  # 23:00 in Viet Nam
    sandbox.set_clock(clock.now)
    outcome = await zns.send(to("84900000000", "320001"))
    assert (outcome.cls, outcome.code) == (OutcomeClass.WAIT_FOR_WINDOW, "-133")
    assert outcome.retry_at == datetime(2026, 11, 23, 23, tzinfo=UTC)
    clock.now = outcome.retry_at
    sandbox.set_clock(clock.now)
    assert (await zns.send(to("84900000000", "320001"))).accepted, "the window named is really open"


@pytest.mark.parametrize(
    ("code", "cls"), [(-137, OutcomeClass.NEEDS_HUMAN), (-999, OutcomeClass.NEEDS_HUMAN)]
)
async def test_account_trouble(sandbox: Sandbox, zns: ZaloZns, code: int, cls: OutcomeClass) -> None:
    sandbox.switch(refuse_sends_with=code)
    outcome = await zns.send(to("84900000000"))
    assert (outcome.cls, outcome.code) == (cls, str(code))


async def test_ratings_come_back_with_our_ids(sandbox: Sandbox, clock: Clock, zns: ZaloZns) -> None:
    worst = await zns.send(to("84900000001", "320001", tracking_id="bad_case"))
    best = await zns.send(to("84900000005", "320001", tracking_id="good_case"))
    clock.now += timedelta(hours=2)
    sandbox.set_clock(clock.now)
    found = {answer.tracking_id: answer for answer in await zns.ratings("320001", NOW, clock.now)}
    assert {name: (answer.msg_id, answer.rate, answer.option) for name, answer in found.items()} == {
        "bad_case": (worst.provider_id, 1, "five_stars"),
        "good_case": (best.provider_id, 5, "five_stars"),
    }
    assert all(NOW < answer.submitted_at <= clock.now for answer in found.values())
    assert await zns.ratings("320001", NOW, NOW + timedelta(minutes=30)) == []


async def test_ratings_over_many_pages(sandbox: Sandbox, clock: Clock, zns: ZaloZns) -> None:
    await asyncio.gather(
        *(zns.send(to("84900000001", "320001", f"case_{n}", case_code=f"AM-{n}")) for n in range(230))
    )
    clock.now += timedelta(hours=2)
    sandbox.set_clock(clock.now)
    found = await zns.ratings("320001", NOW, clock.now)
    assert sorted(answer.tracking_id for answer in found) == sorted(f"case_{n}" for n in range(230))


async def test_template_info_tells_what_a_template_wants(sandbox: Sandbox, zns: ZaloZns) -> None:
    info = await zns.template_info("330001")
    assert info.enabled
    assert [(param.name, param.max_length) for param in info.params] == [
        (param.name, param.max_length) for param in TEMPLATES["330001"].params
    ]
    assert not (await zns.template_info("390002")).enabled
    with pytest.raises(NeedsHuman, match="-109"):
        await zns.template_info("1")
