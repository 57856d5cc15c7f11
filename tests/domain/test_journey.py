"""The journey as configuration: mistakes a marketer can repair, versions, and the form Prefect makes of it."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amends.domain.journey import ComplaintJourney, JourneyProblem, load_journey, version_of
from amends.domain.journey.base import SPELLINGS, Severity
from tests.domain.examples import JOURNEY, SHIPPED, changed

Data = dict[str, Any]


def shipped() -> Data:
    data: Data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return data


def problems_after(mistake: Callable[[Data], object], folder: Path) -> list[str]:
    """What a marketer reads after making this mistake in the shipped example."""
    data = shipped()
    mistake(data)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    with pytest.raises(JourneyProblem) as caught:
        load_journey(path)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())
    return caught.value.problems


def put(path: str, value: object) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        *parts, last = path.split(".")
        target: Any = data
        for part in parts:
            target = target[int(part)] if isinstance(target, list) else target[part]
        target[last] = value

    return change


def test_the_shipped_example_loads() -> None:
    journey = load_journey(SHIPPED)
    assert journey.name == "complaint"
    assert journey.brand == "Nắng Store"
    assert journey.contacts() == {"lan", "minh", "thao", "shift_lead", "care_manager"}


MISTAKES: dict[str, tuple[Callable[[Data], object], str]] = {
    "a field is missing": (
        lambda data: data.pop("agents"),
        "agents: is missing; add it (see deployments/journeys/complaint.yaml)",
    ),
    "a nested field is missing": (
        lambda data: data["reward"].pop("budget"),
        "reward.budget: is missing; add it (see deployments/journeys/complaint.yaml)",
    ),
    "a key is misspelt": (put("sla.lader", []), "sla.lader: is no option here; check the spelling"),
    "a number is words": (
        put("survey.delay_hours", "four"),
        "survey.delay_hours: Input should be a valid number, unable to parse string as a number (got 'four')",
    ),
    "a share is given in percent": (
        put("sla.warn_share", 75),
        "sla.warn_share: Input should be less than 1 (got 75)",
    ),
    "text is a number": (
        put("acknowledge.zns.vi.template_id", 310001),
        "acknowledge.zns.vi.template_id: must be text (got 310001); put it in quotes",
    ),
    "a time of day lost its quotes": (
        put("quiet_hours.start", 1260),  # what YAML makes of a bare 21:00
        "quiet_hours.start: must be text (got 1260); put it in quotes",
    ),
    "a time of day is spelt otherwise": (
        put("quiet_hours.start", "9pm"),
        "quiet_hours.start: '9pm' is not spelt right; write it as \"08:30\", in quotes",
    ),
    "a name has capitals and blanks": (
        put("name", "My Journey"),
        "name: 'My Journey' is not spelt right; use up to 40 lower-case letters, digits, - and _, such as quan-1",
    ),
    "a template uses an unknown variable": (
        put("acknowledge.email.en.subject", "Dear {{ customer }}"),
        "acknowledge.email.en.subject: 'Dear {{ customer }}' uses 'customer', which is not known; use one of "
        "branch, brand, case_code, customer_name, product, stars, voucher_code, voucher_expires, voucher_value",
    ),
    "the apology promises a voucher nobody has yet": (
        put("acknowledge.zns.vi.params.code", "{{ voucher_code }}"),
        "acknowledge: only reward.message may use 'voucher_code'; take it out",
    ),
    "the time zone does not exist": (
        put("timezone", "Asia/Saigonn"),
        "timezone: 'Asia/Saigonn' is no IANA time zone; use a name such as Asia/Ho_Chi_Minh",
    ),
    "opening hours are spelt otherwise": (
        put("opening_hours.monday", ["8-12"]),
        "opening_hours.monday.0: '8-12' is not spelt right; write it as \"08:00-12:00\", in quotes; "
        '"24:00" is the end of the day',
    ),
    "opening hours end before they begin": (
        put("opening_hours.monday", ["22:00-06:00"]),
        "opening_hours: Monday: 22:00-06:00 ends before it begins; split a shift over midnight into "
        "22:00-24:00 and 00:00-06:00 of the next day",
    ),
    "opening hours overlap": (
        put("opening_hours.monday", ["08:00-12:00", "11:00-13:00"]),
        "opening_hours: Monday: 08:00-12:00 and 11:00-13:00 overlap; end the first by 11:00 or make them one "
        "period",
    ),
    "the shop never opens": (
        lambda data: data.update(opening_hours={day: [] for day in data["opening_hours"]}),
        "opening_hours: the calendar never opens: give at least one weekday an opening period",
    ),
    "the country of the holidays is unknown": (
        put("holidays", "XX"),
        "holidays: no public holidays known for country 'XX': use a two-letter code such as VN, or none",
    ),
    "the ladder is out of order": (
        lambda data: data["sla"]["ladder"].reverse(),
        "sla.ladder: each rung must come no earlier than the one before; sort the ladder by after_minutes",
    ),
    "two agents have one name": (
        lambda data: data["agents"].append(data["agents"][0]),
        "agents: the name 'lan' is used twice; give each agent their own",
    ),
    "two sources have one name": (
        lambda data: data["sources"].append(data["sources"][0]),
        "sources: the name 'marketplace' is used twice; give each source its own",
    ),
    "the reminder comes after the window": (
        put("survey.reminder_after_hours", 96),
        "survey: the reminder must come before the answer window ends; lengthen answer_window_hours",
    ),
    "a source is of no known kind": (
        put("sources.0.kind", "fiel"),
        "sources.0.kind: 'fiel' is no kind; use one of 'file', 'zns_rating', 'webhook'",
    ),
    "a source does not say its kind": (
        lambda data: data["sources"][0].pop("kind"),
        "sources.0.kind: is missing; add it (see deployments/journeys/complaint.yaml)",
    ),
    "a language is not spoken": (
        lambda data: data["acknowledge"]["zns"].update(fr=data["acknowledge"]["zns"]["vi"]),
        "acknowledge.zns.fr: Input should be 'vi' or 'en' (got 'fr')",
    ),
    "the survey has no text": (
        put("survey.message", {}),
        "survey.message: no text in the journey's language (vi) for any of the channels zns, email; "
        "add one, e.g. survey.message.zns.vi",
    ),
    "the voucher has no text": (
        put("reward.message", {}),
        "reward.message: no text in the journey's language (vi) for any of the channels zns, email; "
        "add one, e.g. reward.message.zns.vi",
    ),
}


@pytest.mark.parametrize(("mistake", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_file_field_and_fix(
    mistake: Callable[[Data], object], told: str, tmp_path: Path
) -> None:
    assert problems_after(mistake, tmp_path) == [told]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    def two(data: Data) -> None:
        data["brnd"] = data.pop("brand")

    assert [problem.split(":")[0] for problem in problems_after(two, tmp_path)] == ["brand", "brnd"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name: x\nbrand: a: b\n", "line 2, column 9: no valid YAML: .*check indentation and colons"),
        (b"name: [x\n", "line 2, column 1: no valid YAML"),
        (b"name: !!python/object:os.system x\n", "line 1, column 7: no valid YAML"),
        (b"name: \x00\n", "no valid YAML: unacceptable character"),
        (b"name: 2026-13-45\n", "no valid YAML: month must be in 1..12; .*put it in quotes"),
        (b"", "must be a mapping of fields such as `name:`"),
        (b"- name\n", "must be a mapping of fields such as `name:`"),
        ("name: Nắng".encode("utf-16"), "cannot be read .*save it as UTF-8 text"),
    ],
    ids=["colon", "bracket", "python tag", "NUL", "no such date", "empty", "list", "not UTF-8"],
)
def test_a_file_that_is_no_yaml_mapping_says_where_and_why(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(JourneyProblem, match=rf"mine\.yaml: {told}"):
        load_journey(path)


def test_a_missing_file_points_to_the_example(tmp_path: Path) -> None:
    with pytest.raises(
        JourneyProblem, match=r"nowhere\.yaml: there is no such file; see deployments/journeys/"
    ):
        load_journey(tmp_path / "nowhere.yaml")


def test_a_folder_is_no_journey(tmp_path: Path) -> None:
    with pytest.raises(JourneyProblem, match="cannot be read"):
        load_journey(tmp_path)


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(shipped())), yaml_values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nonsense_in_any_field_is_told_never_a_crash(tmp_path: Path, field: str, nonsense: object) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**shipped(), field: nonsense}), encoding="utf-8")
    told = ""
    try:
        load_journey(path)
    except JourneyProblem as problem:
        told = str(problem)
    assert not told or field in told


def test_the_order_of_keys_is_no_change() -> None:
    backwards = dict(reversed(shipped().items()))
    assert version_of(ComplaintJourney.model_validate(backwards)) == version_of(JOURNEY)


def test_writing_out_a_default_is_no_change() -> None:
    spelt_out = ComplaintJourney.model_validate(JOURNEY.model_dump(mode="json"))
    assert version_of(spelt_out) == version_of(JOURNEY)
    assert spelt_out == JOURNEY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("brand", "Mưa Store"),
        ("paused", True),
        ("channels", ["email", "zns"]),
        ("survey__delay_hours", 5),
        ("sla__ladder", []),
        ("tickets__severity_by_stars", {1: "high"}),
        ("acknowledge__email__en__body", "Sorry."),
    ],
)
def test_every_change_of_content_is_a_new_version(field: str, value: object) -> None:
    assert version_of(changed(**{field: value})) != version_of(JOURNEY)


def test_a_version_is_sixteen_hex_digits() -> None:
    assert re.fullmatch("[0-9a-f]{16}", version_of(JOURNEY))


def test_a_severity_without_a_target_takes_the_default() -> None:
    only_urgent = {"urgent": {"first_response_minutes": 5, "resolution_hours": 2}}
    targets = changed(sla__targets=only_urgent).sla.targets
    assert targets[Severity.URGENT].first_response_minutes == 5
    assert targets[Severity.LOW].first_response_minutes == 480


def test_stars_without_a_severity_are_normal() -> None:
    rule = changed(tickets__severity_by_stars={1: "urgent"}).tickets
    assert [rule.severity(stars) for stars in (1, 2, 3)] == [
        Severity.URGENT,
        Severity.NORMAL,
        Severity.NORMAL,
    ]


def test_an_empty_country_means_no_public_holidays() -> None:
    """Forms send an empty string for a field left empty."""
    independence_day = datetime(2026, 9, 2, 3, 0, tzinfo=UTC)
    assert not JOURNEY.calendar.is_open(independence_day)
    assert changed(holidays="").calendar.is_open(independence_day)


@pytest.mark.parametrize("part", ["survey", "reward"])
def test_what_is_turned_off_needs_no_text(part: str) -> None:
    changes = {f"{part}__enabled": False, f"{part}__message": {}}
    assert not getattr(changed(**changes), part).enabled


SCHEMA = ComplaintJourney.model_json_schema()


def fields() -> Iterator[tuple[str, Data]]:
    """Every field of the journey and of every part of it, as the form sees it."""
    for part, schema in [("ComplaintJourney", SCHEMA), *SCHEMA["$defs"].items()]:
        for name, field in schema.get("properties", {}).items():
            yield f"{part}.{name}", field


def title_of(field: Data) -> str | None:
    """Its title, or that of the part it refers to."""
    part = SCHEMA["$defs"].get(field.get("$ref", "").removeprefix("#/$defs/"), {})
    title: str | None = field.get("title", part.get("title"))
    return title


def test_the_form_shows_nested_parts() -> None:
    names = {name for name, _ in fields()}
    assert {
        "ComplaintJourney.sla",
        "Sla.ladder",
        "Rung.contact",
        "ZnsTemplate.params",
        "Columns.rating",
    } <= names


def test_every_field_of_the_form_has_a_title() -> None:
    assert [name for name, field in fields() if not title_of(field)] == []


def test_every_field_of_the_form_is_described() -> None:
    assert [name for name, field in fields() if not field.get("description")] == []


@pytest.mark.parametrize(
    ("part", "name", "bounds"),
    [
        ("Sla", "warn_share", {"exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        ("Survey", "holdout_percent", {"minimum": 0, "maximum": 50}),
        ("Target", "first_response_minutes", {"minimum": 1, "maximum": 43_200}),
        ("Reward", "value_vnd", {"minimum": 1_000, "maximum": 100_000_000}),
        ("Sla", "ladder", {"maxItems": 9}),
        ("GeneratedCodes", "prefix", {"maxLength": 12}),
    ],
)
def test_the_form_keeps_the_bounds_of_nested_fields(part: str, name: str, bounds: Data) -> None:
    assert SCHEMA["$defs"][part]["properties"][name].items() >= bounds.items()


def test_the_form_forbids_unknown_keys_everywhere() -> None:
    parts = [SCHEMA, *(schema for schema in SCHEMA["$defs"].values() if "properties" in schema)]
    assert all(part["additionalProperties"] is False for part in parts)


def test_every_pattern_has_its_spelling_in_words() -> None:
    patterns = set(re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(SCHEMA)))
    assert {json.loads(pattern) for pattern in patterns} == set(SPELLINGS)
