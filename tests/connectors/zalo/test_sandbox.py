"""The Zalo connector against the sandbox over real HTTP, judged by the sandbox's own book."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from amends.domain.outcome import Outcome, OutcomeClass
from amends.settings import ZaloSettings
from connectors.events import (
    ContactShared,
    CustomerActed,
    CustomerLeft,
    CustomerWrote,
    Delivered,
    Rated,
    TemplateChanged,
)
from connectors.examination import TemplateUse
from connectors.ports import Message, Recipient, Tokens
from connectors.zalo.account import ZaloAccount
from connectors.zalo.events import read_event
from connectors.zalo.oauth import challenge_of, consent_url, new_verifier
from connectors.zalo.signature import verify
from connectors.zalo.zns import ZaloZns
from sandbox.process import Sandbox, running_sandbox
from sandbox.templates import TEMPLATES
from tests.connectors.rig import (
    NOW,
    Answer,
    Clock,
    MemoryVault,
    Request,
    http,
    message,
    wire_server,
    zalo_settings,
)


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
async def account(sandbox: Sandbox, clock: Clock) -> AsyncIterator[ZaloAccount]:
    async with ZaloAccount("default", settings_for(sandbox), clock, MemoryVault()) as account:
        yield account


@pytest.fixture
def zns(account: ZaloAccount) -> ZaloZns:
    return account.zns


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
        ZaloAccount("default", settings_for(sandbox), clock, vault) as first,
        ZaloAccount("default", settings_for(sandbox), clock, vault) as second,
    ):
        one, two = first.zns, second.zns
        assert (await one.send(to("84900000000"))).accepted
        assert (await two.send(to("84900000000"))).accepted
        clock.now += timedelta(hours=21)
        sandbox.set_clock(clock.now)
        assert (await one.send(to("84900000000"))).accepted, "refreshed ahead of time"
        assert (await two.send(to("84900000000"))).accepted
    assert len(vault.saved) == 2


async def test_token_that_another_program_replaced_is_refreshed_on_refusal(sandbox: Sandbox) -> None:
    vault = MemoryVault()
    async with ZaloAccount("default", settings_for(sandbox), Clock(), vault) as account:
        assert (await account.zns.send(to("84900000000"))).accepted
        # 26 hours pass for Zalo only: our own reckoning says fresh, the vendor's -124 is right.
        sandbox.set_clock(NOW + timedelta(hours=26))
        assert (await account.zns.send(to("84900000000"))).accepted
    assert len(vault.saved) == 2
    assert len(sandbox.book(kind="zns_refused")) == 1


async def test_spent_refresh_token_needs_a_human(sandbox: Sandbox) -> None:
    async with ZaloAccount("default", settings_for(sandbox), Clock(), MemoryVault()) as first:
        assert (await first.zns.send(to("84900000000"))).accepted
    async with ZaloAccount("default", settings_for(sandbox), Clock(), MemoryVault()) as without_the_vault:
        outcome = await without_the_vault.zns.send(to("84900000000"))
    assert (outcome.cls, outcome.code) == (OutcomeClass.NEEDS_HUMAN, "-14014")


async def test_night_is_waited_for_and_the_morning_is_open(
    sandbox: Sandbox, clock: Clock, zns: ZaloZns
) -> None:
    sandbox.switch(night_rule=True)
    clock.now = datetime(2026, 11, 23, 16, tzinfo=UTC)  # 23:00 in Viet Nam
    sandbox.set_clock(clock.now)
    outcome = await zns.send(to("84900000000", "320001"))
    assert (outcome.cls, outcome.code) == (OutcomeClass.WAIT_FOR_WINDOW, "night")
    assert outcome.retry_at == datetime(2026, 11, 23, 23, tzinfo=UTC)
    assert sandbox.book(kind="zns_refused") == []
    clock.now = outcome.retry_at
    sandbox.set_clock(clock.now)
    assert (await zns.send(to("84900000000", "320001"))).accepted, "the window named is really open"


async def test_quota_is_used_to_the_last_message_and_not_beyond(
    sandbox: Sandbox, clock: Clock, zns: ZaloZns
) -> None:
    sandbox.switch(daily_quota=7)
    outcomes = await asyncio.gather(
        *(zns.send(to("84900000000", tracking_id=f"case_{n}")) for n in range(20))
    )
    waiting = [outcome for outcome in outcomes if not outcome.accepted]
    assert len(sandbox.book(kind="zns")) == 7
    assert sandbox.book(kind="zns_refused") == []
    assert {(outcome.cls, outcome.code) for outcome in waiting} == {(OutcomeClass.WAIT_FOR_WINDOW, "quota")}
    midnight = datetime(2026, 11, 23, 17, tzinfo=UTC)
    assert {outcome.retry_at for outcome in waiting} == {midnight}
    # Midnight in Viet Nam: the quota is new. Tag 2 waits for the morning, tag 3 too.
    clock.now = midnight + timedelta(hours=7)
    sandbox.set_clock(clock.now)
    assert (await zns.send(to("84900000000"))).accepted


@pytest.mark.parametrize(
    ("code", "cls"), [(-137, OutcomeClass.NEEDS_HUMAN), (-999, OutcomeClass.NEEDS_HUMAN)]
)
async def test_account_trouble(sandbox: Sandbox, zns: ZaloZns, code: int, cls: OutcomeClass) -> None:
    sandbox.switch(refuse_sends_with=code)
    outcome = await zns.send(to("84900000000"))
    assert (outcome.cls, outcome.code) == (cls, str(code))


@pytest.mark.parametrize("methods", ["both", "get", "post"])
async def test_ratings_come_back_with_our_ids(
    sandbox: Sandbox, clock: Clock, account: ZaloAccount, methods: str
) -> None:
    sandbox.switch(rating_methods=methods)
    zns = account.zns
    worst = await zns.send(to("84900000001", "320001", tracking_id="bad_case"))
    best = await zns.send(to("84900000005", "320001", tracking_id="good_case"))
    clock.now += timedelta(hours=2)
    sandbox.set_clock(clock.now)
    found = {answer.tracking_id: answer for answer in await account.ratings("320001", NOW, clock.now)}
    assert {name: (answer.msg_id, answer.rate, answer.option) for name, answer in found.items()} == {
        "bad_case": (worst.provider_id, 1, "five_stars"),
        "good_case": (best.provider_id, 5, "five_stars"),
    }
    assert all(NOW < answer.submitted_at <= clock.now for answer in found.values())
    assert await account.ratings("320001", NOW, NOW + timedelta(minutes=30)) == []


async def test_ratings_over_many_pages(sandbox: Sandbox, clock: Clock, account: ZaloAccount) -> None:
    await asyncio.gather(
        *(account.zns.send(to("84900000001", "320001", f"case_{n}", case_code=f"AM-{n}")) for n in range(230))
    )
    clock.now += timedelta(hours=2)
    sandbox.set_clock(clock.now)
    found = await account.ratings("320001", NOW, clock.now)
    assert sorted(answer.tracking_id for answer in found) == sorted(f"case_{n}" for n in range(230))


@pytest.mark.parametrize(
    ("template_id", "code", "stops"),
    [("390001", "template_status", "target"), ("390002", "template_status", "target")],
)
async def test_template_that_may_not_be_sent_is_never_sent(
    sandbox: Sandbox, zns: ZaloZns, template_id: str, code: str, stops: str
) -> None:
    outcome = await zns.send(to("84900000000", template_id))
    assert (outcome.cls, outcome.code, outcome.stops) == (OutcomeClass.NEEDS_HUMAN, code, stops)
    assert sandbox.book(kind="zns_refused") == []


async def test_unknown_template_is_refused_by_zalo_itself(sandbox: Sandbox, zns: ZaloZns) -> None:
    outcome = await zns.send(message(recipient=Recipient(phone="84900000000"), template_id="1"))
    assert (outcome.cls, outcome.code) == (OutcomeClass.PAYLOAD_REFUSED, "-109")


async def test_too_long_a_name_is_refused_before_zalo_hears_of_it(sandbox: Sandbox, zns: ZaloZns) -> None:
    outcome = await zns.send(to("84900000000", case_code="x" * 31))
    assert (outcome.cls, outcome.code) == (OutcomeClass.PAYLOAD_REFUSED, "param")
    assert "case_code" in outcome.detail
    assert sandbox.book(kind="zns_refused") == []


async def test_price_is_that_of_the_template(sandbox: Sandbox, zns: ZaloZns) -> None:
    assert (await zns.send(to("84900000000"))).cost_vnd == 200
    assert (await zns.send(to("84900000000", "330001"))).cost_vnd == 300


async def test_hashed_phone_reaches_the_same_person(sandbox: Sandbox) -> None:
    phone = "84912345678"
    sandbox.introduce(phone)
    settings = settings_for(sandbox).model_copy(update={"hash_phones": True, "prove_secret": True})
    async with ZaloAccount("default", settings, Clock(), MemoryVault()) as account:
        outcome = await account.zns.send(to(phone))
    assert outcome.accepted, outcome
    assert len(sandbox.book(kind="zns")) == 1


async def test_user_id_gets_the_template_cheaper(sandbox: Sandbox, zns: ZaloZns) -> None:
    uid = sandbox.introduce("84900000000")["uid"]
    outcome = await zns.send(replace(to("84900000000"), recipient=Recipient(zalo_uid=uid)))
    assert (outcome.accepted, outcome.cost_vnd) == (True, 140)
    entry = sandbox.book(kind="zns")[0]
    assert (entry["uid"], entry["msg_id"]) == (uid, outcome.provider_id)
    old = replace(to("84900000000", "390249"), recipient=Recipient(zalo_uid=uid))
    assert (await zns.send(old)).code == "-249"


async def test_delivery_is_proved(sandbox: Sandbox, clock: Clock, account: ZaloAccount) -> None:
    outcome = await account.zns.send(to("84900000000"))
    assert await account.delivery(outcome.provider_id or "") == "at_server"
    sandbox.set_clock(NOW + timedelta(minutes=1))
    assert await account.delivery(outcome.provider_id or "") == "delivered"
    assert await account.delivery("f" * 20) == "not_found"


async def test_chat_is_open_after_the_customer_wrote_and_closes(
    sandbox: Sandbox, clock: Clock, account: ZaloAccount
) -> None:
    uid = sandbox.introduce("84900000000")["uid"]
    hello = message(recipient=Recipient(zalo_uid=uid), body="Chào bạn")
    assert (await account.chat.send(hello)).cls is OutcomeClass.UNREACHABLE, "nobody has written yet"
    sandbox.say(uid, "Hàng bị vỡ")
    free = await account.chat.send(hello)
    assert (free.accepted, free.detail) == (True, "")
    for hours, accepted in ((50, True), (8 * 24, False)):
        clock.now = NOW + timedelta(hours=hours)
        sandbox.set_clock(clock.now)
        outcome = await account.chat.send(hello)
        assert outcome.accepted is accepted
        assert ("purchase_quota" in outcome.detail) is accepted
    assert (outcome.cls, outcome.code) == (OutcomeClass.UNREACHABLE, "-230")
    assert sandbox.book(kind="chat")[0]["msg_id"] == free.provider_id


async def test_consent_from_the_page_to_the_first_message(sandbox: Sandbox) -> None:
    settings = settings_for(sandbox).model_copy(update={"refresh_token": SecretStr("")})
    verifier = new_verifier()
    page = consent_url(settings, challenge_of(verifier), "the-state")
    async with httpx.AsyncClient() as browser:
        back = (await browser.get(page, headers={"X-Approve": "1"})).headers["location"]
    query = parse_qs(urlsplit(back).query)
    assert query["state"] == ["the-state"]
    async with ZaloAccount("default", settings, Clock(), MemoryVault()) as account:
        assert (await account.zns.send(to("84900000000"))).code == "no_token"
        pair = await account.tokens.log_in(query["code"][0], verifier)
        assert isinstance(pair, Tokens)
        assert (await account.zns.send(to("84900000000"))).accepted
        again = await account.tokens.log_in(query["code"][0], verifier)
        assert isinstance(again, Outcome)
        assert again.code == "-14005", "a code works once"


async def test_webhooks_verify_and_read_as_facts(sandbox: Sandbox, account: ZaloAccount) -> None:
    """Signed by the sandbox, received as raw bytes, and read."""
    caught: list[tuple[bytes, dict[str, str]]] = []

    def answer(request: Request) -> Answer:
        caught.append((request.body, request.headers))
        return http(200)

    async with wire_server(answer) as receiver:
        await asyncio.to_thread(sandbox.webhooks, f"{receiver.url}/zalo")
        uid = (await asyncio.to_thread(sandbox.introduce, "84900000000"))["uid"]
        sent = await account.zns.send(to("84900000001", "320001", tracking_id="case_1"))
        for act in (
            lambda: sandbox.follow(uid),
            lambda: sandbox.say(uid, "Hàng bị vỡ"),
            lambda: sandbox.submit_info(uid, "84912345678", "Lan"),
            lambda: sandbox.switch(template_status={"310001": "DISABLE"}),
            lambda: sandbox.set_clock(NOW + timedelta(hours=2)),
            lambda: sandbox.unfollow(uid),
            lambda: sandbox.webhooks(None),
        ):
            await asyncio.to_thread(act)
    facts = []
    for raw, headers in caught:
        signature = headers["x-zevent-signature"]
        known = {"app_id": "sandbox-app", "oa_id": "sandbox-oa"}
        assert verify(raw, signature, **known, secrets=["old", "sandbox-oa-secret"]) == "app_id"
        assert verify(raw, signature, **known, secrets=["sandbox-secret"]) is None
        assert verify(raw + b" ", signature, **known, secrets=["sandbox-oa-secret"]) is None
        facts.append(read_event(json.loads(raw), headers["x-zevent-server"], NOW).fact)
    assert Delivered(sent.provider_id or "", "case_1") in facts
    assert TemplateChanged("310001", "DISABLE", usable=False) in [
        replace(fact, reason="") if isinstance(fact, TemplateChanged) else fact for fact in facts
    ]
    assert ContactShared(uid, "84912345678", "Lan") in facts
    assert {CustomerActed(uid), CustomerLeft(uid)} <= set(facts)
    assert [fact.text for fact in facts if isinstance(fact, CustomerWrote)] == ["Hàng bị vỡ"]
    told = [fact.answer for fact in facts if isinstance(fact, Rated)]
    assert told == await account.ratings("320001", NOW, NOW + timedelta(hours=2)), "as a poll brings it"


async def test_examination_of_a_healthy_account(sandbox: Sandbox) -> None:
    settings = settings_for(sandbox).model_copy(
        update={"oa_id": "sandbox-oa", "webhook_secret": SecretStr("sandbox-oa-secret")}
    )
    uses = [
        TemplateUse(
            "310001", "acknowledge", dict.fromkeys(("customer_name", "case_code", "brand"), "x"), "care"
        ),
        TemplateUse("320001", "survey", dict.fromkeys(("customer_name", "case_code", "brand")), "rating"),
    ]
    async with ZaloAccount("default", settings, Clock(), MemoryVault()) as account:
        found = await account.examine(uses)
        assert [finding.state for finding in found] == ["ok"] * len(found), found
        sandbox.switch(daily_quota=1, template_status={"310001": "DISABLE"})
        assert (await account.zns.send(to("84900000000", "310002"))).accepted
        found = await account.examine(uses)
    assert {(finding.what, finding.state) for finding in found if finding.state != "ok"} == {
        ("template 310001", "problem"),
        ("quota", "warning"),
    }
    assert len(sandbox.book(kind="zns")) == 1, "only what the test itself sent"
