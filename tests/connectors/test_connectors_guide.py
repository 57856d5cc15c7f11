"""docs/connectors.md, followed to the letter: its example is a connector, and its edits plug it in."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from pydantic import BaseModel, Field, SecretStr

from amends.domain.outcome import OutcomeClass
from connectors.base import Limits
from connectors.egress import Gate
from tests.connectors import test_conformance
from tests.connectors.conformance import CHECKS, Check, Connector, Trouble, matrix
from tests.connectors.rig import Clock, http, message, wire_server

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "connectors.md"
GUIDE = PAGE.read_text("utf-8")
MOST_LINES = 85


class Edit(NamedTuple):
    """One step of the guide: `text` goes before or after the line that holds `anchor`, or into its place."""

    file: str
    how: str
    anchor: str
    text: str


def example() -> str:
    found = re.search(r"^`connectors/esms\.py`:\n\n```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    assert found, "the guide has no example"
    return found[1]


def edits() -> list[Edit]:
    code = re.finditer(
        r"^.*?In `([^`]+)`, (before|after) `([^`]+)`\n\n```python\n(.*?)^```$",
        GUIDE,
        re.DOTALL | re.MULTILINE,
    )
    words = re.finditer(r"In `([^`]+)`, (change) `([^`]+)` to `([^`]+)`", GUIDE)
    return [Edit(*found.groups()) for found in (*code, *words)]


def applied(source: str, edit: Edit) -> str:
    lines = source.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if edit.anchor in line]
    assert len(places) == 1, f"{edit.file} has {len(places)} lines with {edit.anchor!r}, the guide needs one"
    at = places[0]
    if edit.how == "change":
        lines[at] = lines[at].replace(edit.anchor, edit.text)
    else:
        # As deep as the place it goes to; inside a bracket, as deep as its first line.
        line = lines[at + 1] if edit.how == "after" else lines[at]
        new = indent(edit.text, line[: len(line) - len(line.lstrip())])
        lines.insert(at + (edit.how == "after"), new)
    return "".join(lines)


# -- The example as it stands ------------------------------------------------------------------------------


def loaded(code: str) -> dict[str, Any]:
    """The guide's settings, connector and conformance entry, in one namespace."""
    settings: dict[str, Any] = {"BaseModel": BaseModel, "SecretStr": SecretStr, "Field": Field}
    _run(_edit("amends/settings.py", "class EsmsSettings").text, settings)
    module = ModuleType("connectors.esms")
    with patch("amends.settings.EsmsSettings", settings["EsmsSettings"], create=True):
        _run(code, vars(module))
    entry = {**vars(module), **settings, **vars(test_conformance), "Limits": Limits}
    _run(_edit("tests/connectors/test_conformance.py", "async def sms").text, entry)
    return entry


def connector(code: str) -> Connector:
    entry = _edit("tests/connectors/test_conformance.py", 'Connector("sms"').text.rstrip().rstrip(",")
    made: Connector = eval(entry, loaded(code))  # noqa: S307 - our own page
    return made


def _edit(file: str, holds: str) -> Edit:
    (found,) = [edit for edit in edits() if edit.file == file and holds in edit.text]
    return found


def _run(code: str, names: dict[str, Any]) -> None:
    exec(compile(code, "<docs/connectors.md>", "exec"), names)  # noqa: S102 - our own page


def test_example_is_short() -> None:
    assert len(example().splitlines()) < MOST_LINES


def test_example_keeps_the_rules_of_the_house() -> None:
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", "connectors/esms.py", "-"],
            input=example(), cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("connector", "check"), matrix(connector(example())))
async def test_example_conforms(connector: Connector, check: Check, caplog: pytest.LogCaptureFixture) -> None:
    await check.run(connector, caplog)


@pytest.mark.parametrize(
    ("right", "wrong", "noticed_by"),
    [
        ('message.key,\n', '"",\n', "our key travels"),
        ('"100": (_TAKEN, "")', '"100": (OutcomeClass.UNCERTAIN, "")', Trouble.NONE),
        ('"101": (_HUMAN', '"101": (OutcomeClass.RETRY_LATER', Trouble.DENIED),
        ("detail=meaning)", 'detail=str(body.get("ErrorMessage")))', Trouble.QUOTED),
        ("tracking_id=message.tracking_id", "phone=message.recipient.phone", Trouble.NONE),
        ("if not code:", "if False:", Trouble.LIST),
        ("json_object(response) or {}", "response.json()", Trouble.PAGE),
        ("bool(recipient.phone)", "True", "nobody to reach"),
        ("        answer = await", "        await self._api.write('', self._settings.url, headers={}, json=body)\n"
         "        answer = await", Trouble.SILENT),
        ("        outcome = await", "        if getattr(self, 'last', None) == message.key:\n"
         "            return Outcome(_TAKEN, code='known', provider_id='x')\n"
         "        self.last = message.key\n        outcome = await", "the same message twice"),
    ],
)  # fmt: skip
async def test_conformance_notices_a_bad_connector(
    right: str, wrong: str, noticed_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert example().count(right) == 1
    bad = connector(example().replace(right, wrong))
    (check,) = [check for check in CHECKS if check.name == noticed_by]
    with pytest.raises((AssertionError, ValueError, AttributeError)):
        await check.run(bad, caplog)


def test_every_documented_code_has_its_class() -> None:
    rows: Mapping[str, tuple[OutcomeClass, str]] = loaded(example())["CODES"]
    by_class = {
        OutcomeClass.ACCEPTED: "100 124",
        OutcomeClass.UNREACHABLE: "99 108 177",
        OutcomeClass.NEEDS_HUMAN: "101 102 103 104 140 146",
        OutcomeClass.PAYLOAD_REFUSED: "105 106 107 110 115 118 120 210 300 301",
        OutcomeClass.UNCERTAIN: "199",
    }
    assert {code: row[0] for code, row in rows.items()} == {
        code: cls for cls, codes in by_class.items() for code in codes.split()
    }


async def test_unknown_code_asks_a_person_and_a_repeat_counts_as_taken() -> None:
    names = loaded(example())
    answers = [http(200, {"CodeResult": "987"}), http(200, {"CodeResult": "124"})]
    async with wire_server(lambda _: answers.pop(0)) as vendor:
        settings = names["EsmsSettings"](api_key="a", secret_key="b", brandname="c", url=vendor.url)
        async with names["Esms"](settings, Gate([settings.url]), Clock()) as channel:
            assert (await channel.send(message())).cls is OutcomeClass.NEEDS_HUMAN
            assert (await channel.send(message())).cls is OutcomeClass.ACCEPTED


# -- The edits that plug it in -----------------------------------------------------------------------------


def test_the_table_has_every_class_and_every_name_on_the_page_exists() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \|", GUIDE, re.MULTILINE)
    assert table == [cls.name for cls in OutcomeClass]
    for link in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (PAGE.parent / link).exists(), link
    for path in re.findall(r"`([a-z_]+/[\w/]+\.py)`", GUIDE):
        assert path == "connectors/esms.py" or (ROOT / path).exists(), path
    assert "def _mail(" in (ROOT / "cli/checks.py").read_text("utf-8")
    assert {edit.file for edit in edits()} == {
        "amends/settings.py",
        "amends/domain/journey/messages.py",
        "amends/domain/decision.py",
        "connectors/registry.py",
        "tests/connectors/test_conformance.py",
    }


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages the guide touches, with all its edits made."""
    copy = tmp_path_factory.mktemp("followed")
    for package in ("amends", "connectors"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    if (known := ROOT / ".mypy_cache").exists():  # after `make lint` only what the guide changes is looked at
        shutil.copytree(known, copy / ".mypy_cache")
    (copy / "connectors" / "esms.py").write_text(example(), "utf-8")
    for edit in edits():
        if not edit.file.startswith("tests/"):
            path = copy / edit.file
            path.write_text(applied(path.read_text("utf-8"), edit), "utf-8")
    return copy


def test_conformance_entry_fits_its_place() -> None:
    file = "tests/connectors/test_conformance.py"
    source = (ROOT / file).read_text("utf-8")
    for edit in edits():
        if edit.file == file:
            source = applied(source, edit)
    compile(source, file, "exec")


@pytest.mark.slow
def test_everything_is_well_typed(followed: Path) -> None:
    changed = {edit.file for edit in edits() if not edit.file.startswith("tests/")}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "connectors/esms.py", *sorted(changed)],
        cwd=followed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


PLUGGED = """
import asyncio
import sys
from pathlib import Path

from amends.domain.case import Case, Customer
from amends.domain.decision import Send, message_customer
from amends.domain.journey.base import Severity
from amends.domain.journey.complaint import ComplaintJourney
from amends.domain.journey.load import load_journey
from amends.settings import Settings
from connectors.ports import Message, Recipient
from connectors.registry import open_connectors
from tests.connectors.rig import KEY, NOW, PHONE, TRACKING_ID, Clock, MemoryVault, http, wire_server

TEXT = "{{ brand }} xin loi {{ customer_name }}"


async def main():
    data = load_journey(Path(sys.argv[1])).model_dump(mode="json")
    data["channels"] = ["sms", "zns", "email"]
    data["acknowledge"]["sms"] = {"vi": {"text": TEXT}}
    journey = ComplaintJourney.model_validate(data)
    assert TEXT in journey.acknowledge.texts()
    lan = Customer(5, language="vi", name="Lan", phone=PHONE)
    case = Case(id=7, journey="complaint", version_id=1, opened_at=NOW, stars=1, severity=Severity.HIGH, customer=lan)
    send = message_customer(case, [], journey, journey.acknowledge, ordinal=0, now=NOW)
    assert isinstance(send, Send) and send.channel == "sms", send
    assert send.body.endswith(" xin loi Lan"), send.body
    assert message_customer(case, [], journey, journey.survey.message, ordinal=0, now=NOW).channel == "zns"
    async with wire_server(lambda _: http(200, {"CodeResult": "100", "SMSID": "1"})) as vendor:
        esms = {"api_key": "a", "secret_key": "b", "brandname": "Amends", "url": vendor.url}
        async with open_connectors(Settings(_env_file=None, esms=esms), Clock(), MemoryVault()) as connectors:
            message = Message(KEY, TRACKING_ID, Recipient(phone=PHONE), body=send.body)
            assert (await connectors.channels["sms"].send(message)).accepted
        async with open_connectors(Settings(_env_file=None), Clock(), MemoryVault()) as connectors:
            assert "sms" not in connectors.channels
    (request,) = vendor.requests
    assert (request.json["Phone"], request.json["Content"]) == ("0912345678", send.body)


asyncio.run(main())
"""


def test_a_journey_sends_through_it(followed: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}
    done = subprocess.run(
        [sys.executable, "-c", PLUGGED, str(ROOT / "deployments/journeys/complaint.yaml")],
        env=environment | {"PYTHONPATH": f"{followed}{os.pathsep}{ROOT}"},
        cwd=followed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
