"""The shop of the benchmarks that sweep: its journey, its settings against the sandbox, its reviews, and the book."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from amends.domain.journey import ComplaintJourney, load_journey
from amends.settings import Settings, ZaloSettings
from benchmarks.checks import Entry
from sandbox.process import Sandbox

ROOT = Path(__file__).resolve().parents[1]
MONDAY = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""Monday 2 November 2026, 09:00 in Viet Nam: shops are open, nothing is quiet."""
OPEN_CALLS = 32
_CONTACTS = ("lan", "minh", "thao", "shift_lead", "care_manager")


def journey_of(home: Path) -> ComplaintJourney:
    """The shipped journey, fed by `home`/inbox; without vouchers, whose codes and budget copied cases would share."""
    data = load_journey(ROOT / "deployments" / "journeys" / "complaint.yaml").model_dump(mode="json")
    data["sources"] = [{"kind": "file", "name": "bench", "path": str(home / "inbox" / "*.jsonl")}]
    data["reward"]["outcomes"] = []
    return ComplaintJourney.model_validate(data)


def settings_of(home: Path, url: str, sandbox: Sandbox) -> Settings:
    """An installation in `home` whose only vendor is the sandbox, with no pace of its own."""
    notify = sandbox.url.replace("http://", "json://") + "/notify"
    zalo = ZaloSettings(
        app_id="sandbox-app",
        secret_key=SecretStr("sandbox-secret"),
        refresh_token=SecretStr("sandbox-refresh-token"),
        oauth_url=sandbox.url,
        business_url=sandbox.url,
        openapi_url=sandbox.url,
        requests_per_second=100_000,
    )
    contacts = {name: SecretStr(f"{notify}/{name}") for name in _CONTACTS}
    return Settings(
        home=home, database_url=SecretStr(url), zalo=zalo, contacts=contacts, open_calls=OPEN_CALLS
    )


def drop_reviews(home: Path, name: str, numbers: range, at: datetime) -> None:
    """Bad ratings into the inbox, each by a customer of its own; `numbers` are those of the customers."""
    rows = (
        {
            "external_id": f"r{number}",
            "rating": 1,
            "text": f"Giao hàng chậm, hộp móp #{number}#",
            "occurred_at": at.isoformat(),
            "phone": phone_of(number),
            "customer_name": f"Khách {number}",
            "order_ref": f"DH{number}",
        }
        for number in numbers
    )
    inbox = home / "inbox"
    inbox.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (inbox / f"{name}.jsonl").write_text(lines, "utf-8")


def phone_of(number: int) -> str:
    return f"8491{number:07d}"


def entry_name(entry: Entry) -> str:
    """For `checks.same_book`: whose message it is, or whose case an agent was told of."""
    if entry["kind"] == "agent_notification":
        return f"agent of {entry['message'].split('#')[1]}"
    # Some of these customers are not on Zalo: that call was made, once, as well.
    return f"zns to {entry['phone']}"


def expected_of(numbers: range) -> dict[str, int]:
    """The book after one sweep over these reviews: each customer has one apology, and an agent knows."""
    apologies = {f"zns to {phone_of(number)}": 1 for number in numbers}
    return apologies | {f"agent of {number}": 1 for number in numbers}


@contextmanager
def quiet_prefect(home: Path) -> Iterator[str]:
    """Prefect's server for flows of this process; yields its URL."""
    # Prefect reads these when it is imported, and that must not have happened yet.
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import temporary_settings

    from amends.logs import set_up_logs
    from deployments.api import api_settings
    from deployments.server import prefect_server

    set_up_logs("error")
    with prefect_server(home / "server") as api, temporary_settings(api_settings(api, home)):
        yield api
        # What Prefect's client still has to tell goes out while somebody listens.
        APILogWorker.drain_all()
        EventsWorker.drain_all()
