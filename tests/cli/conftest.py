"""An installation of its own for each test: a home, both databases in turn, the sandbox as vendor, one journey file."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

from amends.domain.journey import ComplaintJourney
from cli.main import app
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.conftest import KEY

PHONE = "0912345678"
SECRETS = ("sandbox-secret", "sandbox-refresh-token")
REVIEWS = f"""id,stars,words,mobile,mail,who
r1,1,"Giao trễ 5 ngày, gọi lại {PHONE} hoặc lan.tran@example.com",{PHONE},lan.tran@example.com,Trần Thị Lan
r2,5,Rất tốt,0987654321,,Nguyễn Văn An
r3,9,"Gọi {PHONE} ngay",{PHONE},,
"""
COLUMNS = "external_id=id,rating=stars,text=words,phone=mobile,email=mail,customer_name=who"

Invoke = Callable[..., Result]


@pytest.fixture
def environment(
    tmp_path: Path, migrated_url: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The settings of the installation, in this process's environment too; the working directory is its folder."""
    notify = sandbox.url.replace("http://", "json://") + "/notify/"
    settings = {
        "AMENDS_HOME": str(tmp_path / "home"),
        "AMENDS_DATABASE_URL": migrated_url,
        "AMENDS_ENCRYPTION_KEYS": json.dumps([KEY]),
        "AMENDS_ZALO__APP_ID": "sandbox-app",
        "AMENDS_ZALO__SECRET_KEY": SECRETS[0],
        "AMENDS_ZALO__REFRESH_TOKEN": SECRETS[1],
        "AMENDS_ZALO__OAUTH_URL": sandbox.url,
        "AMENDS_ZALO__BUSINESS_URL": sandbox.url,
        "AMENDS_ZALO__OPENAPI_URL": sandbox.url,
        "AMENDS_CONTACTS": json.dumps(
            {name: notify + name for name in ("lan", "minh", "thao", "shift_lead", "care_manager")}
        ),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield settings
    structlog.reset_defaults()


@pytest.fixture
def journey_file(tmp_path: Path, journey: ComplaintJourney) -> Path:
    """The shipped journey on ZNS alone, with its inbox in this test's folder."""
    data = journey.model_dump(mode="json")
    data["channels"] = ["zns"]
    file = tmp_path / "journey.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return file


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A bad review, a good one, and one with a mark that does not exist."""
    file = tmp_path / "reviews.csv"
    file.write_text(REVIEWS, encoding="utf-8")
    return file


@pytest.fixture
def amends(environment: dict[str, str]) -> Invoke:
    """Run a command in this process; whatever it prints must show neither phone number nor secret."""

    def invoke(*words: str | Path) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        structlog.reset_defaults()  # the logs of what follows must not go to this command's closed stderr
        assert_discreet(result.stdout + result.stderr)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return invoke


def assert_discreet(printed: str) -> None:
    """No phone number of ours in any spelling, no mail address, no secret, no traceback."""
    digits = "".join(character for character in printed if character not in " .-()")
    for private in (PHONE[1:], "lan.tran@example.com", *SECRETS):
        assert private not in digits, private
    assert "Traceback" not in printed


def run_amends(
    *words: str | Path, timeout: float = 180, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, in this process's environment and working directory."""
    return subprocess.run(
        [Path(sys.executable).with_name("amends"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture
async def one_case(
    prefect_api: str,
    amends: Invoke,
    runtime: Runtime,
    journey_file: Path,
    reviews: Path,
    journey: ComplaintJourney,
) -> ComplaintJourney:
    """The reviews are imported and swept once: one case with a ticket and two messages."""
    amends("import", reviews, "--journey", journey_file, "--columns", COLUMNS)
    data = journey.model_dump(mode="json")
    data["channels"] = ["zns"]
    swept = ComplaintJourney.model_validate(data)
    await complaint(swept)
    return swept
