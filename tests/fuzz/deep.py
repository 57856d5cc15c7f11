"""The same doors under atheris, which is guided by the code that an input reaches: `make fuzz-deep`.

Not a test of `make test`: it runs for as long as it is told, and atheris is no locked dependency (pip install atheris).

    python -m tests.fuzz.deep TARGET [SECONDS]
"""

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["amends", "connectors", "yaml", "csv", "json"]):
    from amends.domain.contacts import mask, normalise_email, normalise_phone
    from amends.domain.dates import parse_when
    from amends.domain.journey import JourneyProblem, load_journey
    from amends.domain.messages import check_template
    from connectors.file_kinds import FileProblem
    from connectors.files import read_feedback
    from connectors.http_answers import retry_after_s
    from connectors.posted import read_posted
    from connectors.zalo.answers import read_outcome, read_rating_page
    from connectors.zalo.events import read_event
    from tests.connectors.rig import NOW

ZONE = "Asia/Ho_Chi_Minh"
_FOLDER = Path(tempfile.mkdtemp(prefix="amends-fuzz-"))


def files(data: bytes) -> None:
    suffixes = (".csv", ".tsv", ".json", ".jsonl")
    path = _FOLDER / f"reviews{suffixes[data[0] % 4] if data else '.csv'}"
    path.write_bytes(data[1:])
    with suppress(FileProblem):
        for row in read_feedback(path, columns=None, now=NOW, zone=ZONE):
            json.dumps(row.raw, allow_nan=False)


def journeys(data: bytes) -> None:
    path = _FOLDER / "journey.yaml"
    path.write_bytes(data)
    with suppress(JourneyProblem):
        load_journey(path)


def webhooks(data: bytes) -> None:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return
    read_posted(body, None, source="till", key="k", now=NOW, zone=ZONE)
    if isinstance(body, dict):
        read_outcome(body, NOW)
        read_rating_page(body)
        with suppress(ValueError):
            assert 1 <= len(read_event(body, None, NOW).key) <= 200


def contacts(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for read in (normalise_phone, normalise_email):
        with suppress(ValueError):
            read(text)
    masked = mask(text)
    again = mask(masked)
    assert sum(sign.isdigit() for sign in again) <= sum(sign.isdigit() for sign in masked)


def dates(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(ValueError):
        parse_when(text, now=NOW, zone=ZONE)
    retry_after_s({"retry-after": text}, NOW)


def templates(data: bytes) -> None:
    with suppress(ValueError):
        check_template(data.decode("utf-8", "replace"))


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (files, journeys, webhooks, contacts, dates, templates)
}


def main() -> None:
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    limits = [
        "-timeout=30",
        "-rss_limit_mb=2048",
        f"-max_total_time={seconds}",
        f"-artifact_prefix={_FOLDER}/",
    ]
    atheris.Setup([sys.argv[0], *limits], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
