"""Template messages over the wire: what is sent, and what is known before anything is sent."""

import asyncio
import hashlib
import hmac
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amends.domain.outcome import OutcomeClass
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.ports import Recipient
from connectors.zalo.account import ZaloAccount
from connectors.zalo.memory import TemplateMemory
from tests.connectors.rig import (
    CUSTOMER_NAME,
    NOW,
    PHONE,
    TRACKING_ID,
    Answer,
    Clock,
    Request,
    WireServer,
    ZaloHost,
    accepted,
    envelope,
    http,
    message,
    new_tokens,
    refusal,
    template,
    vault_with,
    wire_server,
    zalo_settings,
)

SEND, HASHED, BY_UID = "/message/template", "/message/template/hashphone", "/v3.0/oa/message/template"
INFO, QUOTA = "/template/info/v2", "/message/quota"
UID = Recipient(zalo_uid="2512523625412515")
NIGHT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # 23:00 in Viet Nam
SIX = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)  # 06:00 in Viet Nam, the morning after


@dataclass
class Case:
    """One account before one vendor."""

    account: ZaloAccount
    vendor: WireServer
    host: ZaloHost
    clock: Clock
    memory: TemplateMemory

    def paths(self) -> list[str]:
        return [request.path.partition("?")[0] for request in self.vendor.requests]

    def sends(self, path: str = SEND) -> list[Request]:
        return [request for request in self.vendor.requests if request.path == path]


@asynccontextmanager
async def opened(
    answers: dict[str, Any] | None = None, now: datetime = NOW, **settings: Any
) -> AsyncIterator[Case]:
    host, clock, memory = ZaloHost(answers or {}), Clock(now), TemplateMemory()
    vault = vault_with(left=now - NOW + timedelta(hours=20))
    async with (
        wire_server(host) as vendor,
        ZaloAccount("default", zalo_settings(vendor.url, **settings), clock, vault, memory=memory) as account,
    ):
        yield Case(account, vendor, host, clock, memory)


@dataclass
class Counter:
    """Zalo's daily quota: counts down, tells what is left, refuses with -144 at the end."""

    left: int
    refuse: set[int] = field(default_factory=set)
    told: bool = True
    calls: int = 0

    def send(self, _: Request) -> Answer:
        self.calls += 1
        if self.calls in self.refuse:
            return refusal(-118)
        if self.left <= 0:
            return refusal(-144)
        self.left -= 1
        quota = {"quota": {"dailyQuota": "500", "remainingQuota": str(self.left)}} if self.told else {}
        return envelope({"msg_id": f"m{self.calls}", **quota})

    def quota(self, _: Request) -> Answer:
        return envelope({"dailyQuota": "500", "remainingQuota": str(self.left)})


# -- The request ---------------------------------------------------------------------------------------------


async def test_request_is_as_documented() -> None:
    async with opened() as case:
        decomposed = unicodedata.normalize("NFD", "Nguyễn")
        outcome = await case.account.zns.send(message(params={"customer_name": decomposed}))
    assert (outcome.provider_id, outcome.code, outcome.cost_vnd) == ("a4d0243feee163bd3af2", "0", 800)
    (request,) = case.sends()
    assert request.method == "POST"
    assert request.headers["access_token"] == "access-token-one"
    assert "authorization" not in request.headers
    assert "appsecret_proof" not in request.headers
    assert request.json == {
        "phone": PHONE,
        "template_id": "310001",
        "template_data": {"customer_name": "Nguyễn"},
        "tracking_id": TRACKING_ID,
    }


async def test_phone_goes_as_a_hash_when_wanted() -> None:
    async with opened(hash_phones=True) as case:
        assert (await case.account.zns.send(message())).accepted
    (request,) = case.sends(HASHED)
    assert request.json["hash_phone"] == hashlib.sha256(PHONE.encode()).hexdigest()
    assert "phone" not in request.json
    assert PHONE.encode() not in request.body
    assert request.json["tracking_id"] == TRACKING_ID
    assert case.sends() == []


@pytest.mark.parametrize(
    "data", [{"message_id": "uid-1", "sent_time": "1626926349402"}, {"message_id": "uid-1", "user_id": "u"}]
)
async def test_user_id_is_used_where_there_is_no_phone(data: dict[str, str]) -> None:
    async with opened({BY_UID: envelope(data)}) as case:
        zns = case.account.zns
        assert zns.reaches(UID)
        assert not zns.reaches(Recipient(email="a@b.vn", contact="lan"))
        outcome = await zns.send(message(recipient=UID))
    assert (outcome.accepted, outcome.provider_id, outcome.cost_vnd) == (True, "uid-1", 560)
    (request,) = case.sends(BY_UID)
    assert request.json == {
        "user_id": UID.zalo_uid,
        "template_id": "310001",
        "template_data": {"customer_name": "Nguyễn Thị Lan"},
    }


async def test_phone_comes_before_user_id() -> None:
    async with opened() as case:
        await case.account.zns.send(message(recipient=Recipient(phone=PHONE, zalo_uid="u1")))
    assert len(case.sends()) == 1
    assert case.sends(BY_UID) == []


async def test_app_secret_is_proved_on_every_call_and_told_to_the_oauth_host_only() -> None:
    def stale_first(request: Request) -> Answer:
        return accepted() if request.headers["access_token"] == "access-2" else refusal(-124)

    async with opened({SEND: stale_first}, prove_secret=True) as case:
        assert (await case.account.zns.send(message())).accepted
    for request in case.vendor.requests:
        if request.path.startswith("/v4/"):
            assert "appsecret_proof" not in request.headers
            continue
        token = request.headers["access_token"].encode()
        assert (
            request.headers["appsecret_proof"]
            == hmac.new(b"very-secret-app-key", token, "sha256").hexdigest()
        )
        assert "secret_key" not in request.headers
        assert b"very-secret" not in request.body


# -- Tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stale", [refusal(-124), refusal("-216"), refusal(-220), http(401)])
async def test_refused_token_is_refreshed_once_and_the_send_repeated_once(stale: Answer) -> None:
    def answer(request: Request) -> Answer:
        return accepted() if request.headers["access_token"] == "access-2" else stale

    async with opened({SEND: answer}) as case:
        assert (await case.account.zns.send(message())).accepted
        assert (await case.account.zns.send(message())).accepted
    assert case.paths() == [INFO, QUOTA, SEND, "/v4/oa/access_token", SEND, SEND]


async def test_new_token_refused_too_needs_a_human_and_burns_no_more() -> None:
    stale = refusal(-124)
    async with opened({SEND: stale, INFO: stale, QUOTA: stale}) as case:
        first = await case.account.zns.send(message())
        second = await case.account.zns.send(message())
    assert {first.cls, second.cls} == {OutcomeClass.NEEDS_HUMAN}
    assert "another program" in first.detail
    assert case.paths().count("/v4/oa/access_token") == 1


async def test_a_minute_later_a_refused_token_may_be_refreshed_again() -> None:
    numbers = iter(range(2, 9))
    good = {"access-token-one"}

    def send(request: Request) -> Answer:
        return accepted() if request.headers["access_token"] in good else refusal(-124)

    async with opened({SEND: send, "/v4/oa/access_token": lambda _: new_tokens(next(numbers))}) as case:
        for token in ("access-2", "access-3"):
            good.clear()
            good.add(token)
            assert (await case.account.zns.send(message())).accepted
            case.clock.now += timedelta(seconds=61)


# -- What is known beforehand -----------------------------------------------------------------------------------


async def test_missing_template_id_is_refused_here() -> None:
    async with opened() as case:
        outcome = await case.account.zns.send(message(template_id=None))
    assert outcome.cls is OutcomeClass.PAYLOAD_REFUSED
    assert case.vendor.requests == []


def param(**changes: Any) -> dict[str, Any]:
    return CUSTOMER_NAME | changes


@pytest.mark.parametrize(
    ("registered", "value", "told"),
    [
        (param(), None, "parameter customer_name is missing or empty"),
        (param(), "", "parameter customer_name is missing or empty"),
        (
            param(maxLength="5"),
            "Nguyễn",
            "parameter customer_name is too long: at most 5 characters, it has 6",
        ),
        (
            param(minLength=9),
            "Nguyễn",
            "parameter customer_name is too short: at least 9 characters, it has 6",
        ),
        (param(type="NUMBER"), "vàng", "parameter customer_name must be a number"),
        (param(type="DATE"), "2026-12-31", "must be a date"),
        (param(type="DATE"), "31/02/2026", "must be a date"),
        (param(type="DATE"), "25:00:00 31/12/2026", "must be a date"),
        (param(require=False, maxLength=2), "Lan", "too long"),
    ],
)
async def test_unfit_parameter_is_refused_before_the_call(
    registered: dict[str, Any], value: str | None, told: str
) -> None:
    params = {} if value is None else {"customer_name": value}
    async with opened({INFO: envelope(template(listParams=[registered]))}) as case:
        outcome = await case.account.zns.send(message(params=params))
    assert (outcome.cls, outcome.code) == (OutcomeClass.PAYLOAD_REFUSED, "param")
    assert told in outcome.detail
    assert not value or value not in outcome.detail
    assert case.paths() == [INFO]


@pytest.mark.parametrize(
    ("registered", "value"),
    [
        (param(maxLength=6), unicodedata.normalize("NFD", "Nguyễn")),
        (param(maxLength=None), "x" * 5000),
        (param(type="NUMBER"), "1.000"),
        (param(type="NUMBER"), "-12,5"),
        (param(type="DATE"), "29/02/2028"),
        (param(type="DATE"), "23:59:59 31/12/2026"),
        (param(type="BANK_ACCOUNT"), "anything"),
        (param(type="date", maxLength=20), "31/12/2026"),
    ],
)
async def test_fitting_parameter_goes_out(registered: dict[str, Any], value: str) -> None:
    async with opened({INFO: envelope(template(listParams=[registered]))}) as case:
        outcome = await case.account.zns.send(message(params={"customer_name": value}))
    assert outcome.accepted, outcome
    sent = case.sends()[0].json["template_data"]
    assert sent == {"customer_name": unicodedata.normalize("NFC", value)}


async def test_only_registered_parameters_are_sent_and_empty_optional_ones_left_out() -> None:
    listed = [param(), param(name="note", require="false"), param(name="gap", require=True, acceptNull=True)]
    async with opened({INFO: envelope(template(listParams=listed))}) as case:
        params = {"customer_name": "Lan", "note": "", "gap": "", "other": "x"}
        assert (await case.account.zns.send(message(params=params))).accepted
    assert case.sends()[0].json["template_data"] == {"customer_name": "Lan", "gap": ""}


async def test_template_that_lists_no_parameters_judges_none() -> None:
    async with opened({INFO: envelope(template(listParams=None))}) as case:
        assert (await case.account.zns.send(message(params={"a": "b"}))).accepted
    assert case.sends()[0].json["template_data"] == {"a": "b"}


@pytest.mark.parametrize("status", ["PENDING_REVIEW", "REJECT", "DISABLE"])
async def test_template_that_is_not_enabled_stops_that_template(status: str) -> None:
    async with opened({INFO: envelope(template(status=status))}) as case:
        outcome = await case.account.zns.send(message())
        assert (outcome.cls, outcome.stops) == (OutcomeClass.NEEDS_HUMAN, "target")
        assert status in outcome.detail
        assert case.sends() == []
        # Somebody has it approved: a minute later we know.
        case.host.answers[INFO] = envelope(template())
        case.clock.now += timedelta(seconds=61)
        assert (await case.account.zns.send(message())).accepted


@pytest.mark.parametrize(
    "trouble",
    [http(503, Retry_After="60"), http(403), refusal(-117), refusal(-109), refusal(-138), envelope({}), None],
)
async def test_unreadable_template_stops_no_send(trouble: Answer) -> None:
    async with opened({INFO: trouble}) as case:
        outcome = await case.account.zns.send(message(params={"anything": "x" * 99}))
        assert (outcome.accepted, outcome.cost_vnd) == (True, 0)
        asked = case.paths().count(INFO)
        assert (await case.account.zns.send(message())).accepted
        assert case.paths().count(INFO) == asked, "not asked again within a minute"
        case.clock.now += timedelta(seconds=61)
        case.host.answers[INFO] = envelope(template())
        assert (await case.account.zns.send(message())).cost_vnd == 800


async def test_template_is_read_once_for_many_sends_and_again_after_a_quarter_of_an_hour() -> None:
    async with opened() as case:
        outcomes = await asyncio.gather(*(case.account.zns.send(message()) for _ in range(40)))
        assert all(outcome.accepted for outcome in outcomes)
        assert (case.paths().count(INFO), case.paths().count(QUOTA)) == (1, 1)
        case.clock.now += timedelta(minutes=14)
        await case.account.zns.send(message())
        assert (case.paths().count(INFO), case.paths().count(QUOTA)) == (1, 2)
        case.clock.now += timedelta(minutes=2)
        await case.account.zns.send(message())
        assert case.paths().count(INFO) == 2


async def test_zalos_word_on_a_template_ends_what_we_remember() -> None:
    async with opened({SEND: refusal(-146)}) as case:
        assert (await case.account.zns.send(message())).code == "-146"
        case.host.answers[INFO] = envelope(template(status="DISABLE"))
        assert (await case.account.zns.send(message())).code == "template_status"
    assert len(case.sends()) == 1


async def test_single_flight_survives_a_cancelled_reader() -> None:
    async with opened() as case:
        first = asyncio.create_task(case.account.zns.send(message()))
        second = asyncio.create_task(case.account.zns.send(message()))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).accepted


async def test_memory_outlives_the_account_and_can_be_told_to_forget() -> None:
    host, memory, clock = ZaloHost(), TemplateMemory(), Clock()
    async with wire_server(host) as vendor:

        async def sweep() -> None:
            settings = zalo_settings(vendor.url)
            async with ZaloAccount("default", settings, clock, vault_with(), memory=memory) as account:
                assert (await account.zns.send(message())).accepted

        await sweep()
        await sweep()
        asked = [request.path for request in vendor.requests if request.path.startswith((INFO, QUOTA))]
        assert len(asked) == 2
        memory.forget("310001")
        await sweep()
    asked = [request.path for request in vendor.requests if request.path.startswith(INFO)]
    assert asked == [f"{INFO}?template_id=310001"] * 2


async def test_accounts_remember_apart() -> None:
    memory = TemplateMemory()
    async with wire_server(ZaloHost()) as vendor:
        for name in ("default", "second"):
            vault = vault_with()
            vault.tokens["zalo:app:second"] = vault.tokens["zalo:app"]
            async with ZaloAccount(name, zalo_settings(vendor.url), Clock(), vault, memory=memory) as account:
                assert (await account.zns.send(message())).accepted
    assert sum(request.path.startswith(INFO) for request in vendor.requests) == 2


# -- Night -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "held"),
    [
        ("CUSTOMER_CARE", True),
        ("PROMOTION", True),
        ("POST_TRANSACTION", True),
        ("FOLLOW_UP", True),
        ("2", True),
        ("TRANSACTION", False),
        ("OTP", False),
        ("IN_TRANSACTION", False),
        ("", False),
    ],
)
async def test_care_and_promotion_wait_for_the_morning(tag: str, held: bool) -> None:
    async with opened({INFO: envelope(template(templateTag=tag))}, now=NIGHT) as case:
        outcome = await case.account.zns.send(message())
    if held:
        assert (outcome.cls, outcome.code, outcome.retry_at) == (OutcomeClass.WAIT_FOR_WINDOW, "night", SIX)
        assert case.sends() == []
    else:
        assert outcome.accepted


@pytest.mark.parametrize(
    ("local", "held"), [("21:59:59", False), ("22:00:00", True), ("05:59:59", True), ("06:00:00", False)]
)
async def test_the_edges_of_the_night(local: str, held: bool) -> None:
    now = datetime.fromisoformat(f"2026-11-23T{local}+07:00").astimezone(UTC)
    async with opened(now=now) as case:
        outcome = await case.account.zns.send(message())
    assert (outcome.code == "night") is held
    assert held or outcome.accepted


async def test_user_ids_sleep_too_and_zalos_own_no_is_the_same() -> None:
    async with opened(now=NIGHT) as case:
        assert (await case.account.zns.send(message(recipient=UID))).code == "night"
    transaction = envelope(template(templateTag="TRANSACTION"))
    async with opened({INFO: transaction, SEND: refusal(-133)}, now=NIGHT) as case:
        outcome = await case.account.zns.send(message())
    assert (outcome.cls, outcome.retry_at) == (OutcomeClass.WAIT_FOR_WINDOW, SIX)


# -- Quota ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
async def test_many_at_once_use_the_quota_up_and_never_overshoot(told: bool) -> None:
    # Refused messages cost no quota: their places go to others.
    counter = Counter(left=10, refuse={2, 5, 7}, told=told)
    async with opened({SEND: counter.send, QUOTA: counter.quota}) as case:
        outcomes = await asyncio.gather(*(case.account.zns.send(message()) for _ in range(40)))
        later = await case.account.zns.send(message())
    classes = [outcome.cls for outcome in outcomes]
    assert classes.count(OutcomeClass.ACCEPTED) == 10
    assert classes.count(OutcomeClass.UNREACHABLE) == 3
    assert classes.count(OutcomeClass.WAIT_FOR_WINDOW) == 27
    assert counter.calls == 13, "nobody was sent into a refusal"
    assert (later.code, later.retry_at) == ("quota", datetime(2026, 11, 23, 17, tzinfo=UTC))
    assert "500" in later.detail


async def test_what_others_use_up_is_noticed_in_the_answers() -> None:
    def send(_: Request) -> Answer:
        return envelope({"msg_id": "m", "quota": {"remainingQuota": "1"}})

    async with opened({SEND: send}) as case:
        outcomes = [await case.account.zns.send(message()) for _ in range(2)]
        assert all(outcome.accepted for outcome in outcomes)
        case.host.answers[SEND] = envelope({"msg_id": "m", "quota": {"remainingQuota": "0"}})
        assert (await case.account.zns.send(message())).accepted
        assert (await case.account.zns.send(message())).code == "quota"
        # Five minutes later the vendor is asked, and has raised it.
        case.clock.now += timedelta(minutes=6)
        assert (await case.account.zns.send(message())).accepted


async def test_refusal_for_quota_holds_the_others_back() -> None:
    async with opened({SEND: refusal(-144)}) as case:
        assert (await case.account.zns.send(message())).code == "-144"
        assert (await case.account.zns.send(message())).code == "quota"
    assert len(case.sends()) == 1


async def test_unanswered_send_counts_as_sent() -> None:
    async with opened({QUOTA: envelope({"remainingQuota": 1}), SEND: http(500)}) as case:
        assert (await case.account.zns.send(message())).cls is OutcomeClass.UNCERTAIN
        assert (await case.account.zns.send(message())).code == "quota"


@pytest.mark.parametrize(
    "quota", [envelope({"dailyQuota": None, "remainingQuota": None}), envelope({}), refusal(-138), http(503)]
)
async def test_unknown_quota_holds_nobody(quota: Answer) -> None:
    async with opened({QUOTA: quota}) as case:
        for _ in range(3):
            assert (await case.account.zns.send(message())).accepted


async def test_quota_of_phones_does_not_hold_user_ids() -> None:
    async with opened({QUOTA: envelope({"remainingQuota": 0})}) as case:
        assert (await case.account.zns.send(message(recipient=UID))).accepted
    assert QUOTA not in case.paths()


async def test_cancelled_send_gives_its_place_back() -> None:
    async with opened({QUOTA: envelope({"remainingQuota": 2})}) as case:
        await case.account.zns.send(message())
        meter = case.memory.meter("zalo:app")
        calling = asyncio.Event()

        async def stuck(*_: object, **__: object) -> object:
            calling.set()
            return await asyncio.Event().wait()

        case.account.zns._call = stuck  # type: ignore[assignment, method-assign]
        task = asyncio.create_task(case.account.zns.send(message()))
        await calling.wait()
        assert meter.in_flight == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (meter.in_flight, meter.left) == (0, 0), "it may have left"


# -- Odd answers, and the fate of a message --------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"data": {"msg_id": "m1"}}, {"error": "soon", "data": {"msg_id": "m1"}}])
async def test_odd_answer_with_an_id_is_uncertain_but_can_be_asked_about(body: dict[str, Any]) -> None:
    async with opened({SEND: http(200, body)}) as case:
        outcome = await case.account.zns.send(message())
    assert (outcome.cls, outcome.provider_id, outcome.cost_vnd) == (OutcomeClass.UNCERTAIN, "m1", 0)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (envelope({"status": 1, "delivery_time": "1626926349402"}), "delivered"),
        (envelope({"status": "0"}), "at_server"),
        (envelope({"status": -1}), "not_found"),
        (refusal(-107), "not_found"),
    ],
)
async def test_delivery(answer: Answer, state: str) -> None:
    async with opened({"/message/status": answer}) as case:
        assert await case.account.delivery("m1") == state
    assert case.vendor.requests[0].path == "/message/status?message_id=m1"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (envelope({}), VendorUnavailable),
        (envelope({"status": 7}), VendorUnavailable),
        (http(503, Retry_After="60"), VendorUnavailable),
        (refusal(-117), NeedsHuman),
    ],
)
async def test_delivery_that_is_not_told(answer: Answer, error: type[VendorUnavailable]) -> None:
    async with opened({"/message/status": answer}) as case:
        with pytest.raises(VendorUnavailable) as caught:
            await case.account.delivery("m1")
    assert type(caught.value) is error
