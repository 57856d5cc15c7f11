"""Whatever is posted to the desk: an answer of the documented kind, at once; what is rightly signed is always kept."""

import asyncio
import base64
import hmac
import json
from pathlib import Path
from typing import Any

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from amends.clock import VirtualClock
from amends.domain.columns import Columns
from amends.domain.contacts import normalise_phone
from amends.domain.feedback import Rejected
from amends.store.spool import Spool
from connectors.events import ContactShared, VendorEvent
from connectors.posted import read_posted
from connectors.zalo.events import read_event
from connectors.zalo.signature import signature
from desk.app import create_app
from desk.counts import Counts
from desk.writer import SpoolWriter
from tests.conftest import MONDAY
from tests.connectors.rig import NOW
from tests.desk.rig import NOW_MS, NOW_S, OA_SECRET, SECRET, desk_settings, wrote
from tests.fuzz.rig import clear, fuzz, json_values, no_hang, texts

DOCUMENTED = {200, 400, 401, 404, 405, 409, 413}
header_values = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40),
    st.sampled_from(
        ["mac=", "mac=" + "0" * 64, "v1,", "v1,AAAA v2,x", "9" * 15, "9" * 16, "-1", "²", "1e5", str(NOW_S)]
    ),
)
headers = st.dictionaries(
    st.sampled_from(
        [
            "x-zevent-signature",
            "x-zevent-server",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "content-type",
        ]
    ),
    header_values,
)
PATHS = [
    "/webhooks/zalo",
    "/webhooks/zalo/hanoi",
    "/webhooks/zalo/no",
    "/webhooks/in/till",
    "/webhooks/in/no",
    "/health",
]
bodies = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"[" * 30_000, b'{"a":' * 10_000, b"9" * 5000, b"\xff", b"x" * 300_000]),
    st.just(b'{"timestamp":' + b"9" * 5000 + b"}"),
)

FIELDS = (
    "event_name",
    "timestamp",
    "message",
    "sender",
    "recipient",
    "follower",
    "info",
    "status",
    "template_id",
)
EVENTS = (
    "user_send_text", "user_send_image", "follow", "unfollow", "user_submit_info", "user_feedback",
    "user_received_message", "change_template_status", "user_send_",
)  # fmt: skip
parts = st.dictionaries(
    st.sampled_from(["id", "msg_id", "msg_ids", "text", "rate", "submit_time", "tracking_id", "option", "note", "phone",
                     "name", "new_status", "delivery_time", "feedbacks"]),
    json_values,
)  # fmt: skip
zalo_bodies = st.one_of(
    st.dictionaries(texts, json_values, max_size=4),
    st.fixed_dictionaries(
        {"event_name": st.one_of(st.sampled_from(EVENTS), json_values)},
        optional={field: st.one_of(parts, json_values) for field in FIELDS[1:]},
    ),
)


class Door:
    """The desk's app in this process, with a real spool."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "webhooks.spool")
        self.writer = SpoolWriter(self.spool)
        self.loop = asyncio.Runner()
        self.tls = httpx.create_ssl_context()
        self.app = create_app(
            desk_settings(folder), VirtualClock(MONDAY), self.writer, Counts(), lambda _door: None, dict
        )

    def post(self, path: str, body: bytes, sent: dict[str, str], method: str = "POST") -> httpx.Response:
        with no_hang():
            return self.loop.run(self._post(path, body, sent, method))

    async def _post(self, path: str, body: bytes, sent: dict[str, str], method: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        async with httpx.AsyncClient(transport=transport, base_url="http://desk", verify=self.tls) as client:
            return await client.request(method, path, content=body, headers=raw)

    def close(self) -> None:
        self.loop.close()
        self.writer.close()
        self.spool.close()


def test_any_request(tmp_path: Path) -> None:
    door = Door(tmp_path)

    @given(
        path=st.sampled_from(PATHS),
        body=bodies,
        sent=headers,
        method=st.sampled_from(["POST", "POST", "GET", "PUT"]),
    )
    @fuzz
    def attack(path: str, body: bytes, sent: dict[str, str], method: str) -> None:
        answer = door.post(path, body, sent, method)
        assert answer.status_code in DOCUMENTED, answer.text
        if answer.status_code != 200:
            clear(str(answer.json()["problem"]))
        assert door.spool.waiting() == 0, "nothing of this was signed"

    attack()
    door.close()


def test_whatever_is_rightly_signed_is_kept_or_refused_for_its_form(tmp_path: Path) -> None:
    door = Door(tmp_path)

    @given(
        value=json_values,
        changes=st.dictionaries(st.sampled_from(FIELDS[2:]), json_values),
        key=st.integers(0, 10**9),
    )
    @fuzz
    def send(value: Any, changes: dict[str, Any], key: int) -> None:
        raw = json.dumps(value).encode()
        mac = hmac.digest(
            base64.b64decode(SECRET.removeprefix("whsec_")), f"m{key}.{NOW_S}.".encode() + raw, "sha256"
        )
        claim = {"webhook-id": f"m{key}", "webhook-timestamp": str(NOW_S)}
        claim["webhook-signature"] = "v1," + base64.b64encode(mac).decode()
        posted = door.post("/webhooks/in/till", raw, claim)
        readable = isinstance(value, dict | list)
        assert posted.status_code in ((200, 409) if readable else (400,)), posted.text

        body = wrote(**changes) | {"sender": {"id": "user-1"}, "recipient": {"id": "oa-1"}}
        raw = json.dumps(body).encode()
        mark = signature("app-1", raw, str(NOW_MS), OA_SECRET)
        zalo = door.post("/webhooks/zalo", raw, {"x-zevent-signature": f"mac={mark}"})
        assert zalo.status_code == 200, zalo.text
        for kept in door.spool.peek(100):
            kept.key.encode()
            assert 0 < len(kept.key) <= 200

    send()
    door.close()


@given(body=zalo_bodies, server=st.sampled_from([None, "ZNS", "OA OpenAPI", "x"]))
@example(
    body={"event_name": "user_submit_info", "info": {"phone": "0" * 5000}, "sender": {"id": 1}}, server=None
)
@example(
    body={"event_name": "user_feedback", "message": {"msg_id": "m", "rate": 10**400, "submit_time": 1}},
    server=None,
)
@example(body={"event_name": "follow", "timestamp": 10**300, "follower": {"id": "1"}}, server=None)
@fuzz
def test_zalos_events(body: dict[str, Any], server: str | None) -> None:
    with no_hang():
        try:
            event = read_event(body, server, NOW)
        except ValueError as problem:
            clear(str(problem).encode("utf-8", "replace").decode(), quotes_nobody=False)
            return
    assert isinstance(event, VendorEvent)
    assert 1 <= len(event.key) <= 200
    assert event.occurred_at.tzinfo is not None
    assert read_event(json.loads(json.dumps(body)), server, NOW).key == event.key, (
        "a repetition has the same key"
    )
    if isinstance(event.fact, ContactShared) and event.fact.phone:
        assert normalise_phone(f"+{event.fact.phone}") == event.fact.phone


@given(
    payload=json_values,
    columns=st.sampled_from([None, Columns(rating="rating"), Columns(text="a.b", records="data")]),
)
@example(payload=[{"rating": 10**400, "text": "a"}], columns=None)
@example(payload={"type": "x", "data": [[[]]]}, columns=None)
@fuzz
def test_posted_ratings(payload: Any, columns: Columns | None) -> None:
    with no_hang():
        found = read_posted(payload, columns, source="till", key="k", now=NOW, zone="Asia/Ho_Chi_Minh")
    assert found
    for row in found:
        json.dumps(row.raw, allow_nan=False).encode()
        if isinstance(row, Rejected):
            for wrong in row.problems:
                clear(f"{wrong.field}: {wrong.problem} {wrong.fix}")
