import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.fault_script import (
    APIS,
    REQUEST_FAULTS,
    WEBHOOK_FAULTS,
    FaultScript,
    RequestFault,
    ScriptProblem,
    WebhookFault,
    read_file,
    read_rules,
)

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs/faults.md").read_text()
NINE = datetime.fromisoformat("2026-11-02T09:00:00+07:00")
PHONE = "84901234567"


def script(*rules: dict[str, Any], seed: int = 7) -> FaultScript:
    return FaultScript(read_rules(list(rules)), seed)


def sends(of: FaultScript, count: int, phone: str = PHONE) -> list[str | None]:
    """The fault of each of so many sends, or None."""
    faults = [of.for_request("send", phone=phone, template_id="310001", now=NINE) for _ in range(count)]
    return [None if fault is None else fault.name for fault in faults]


def strikes(count: int, **limits: Any) -> list[int]:
    """Which of `count` sends a rule with these limits strikes, from 1."""
    faults = sends(script({"on": "send", "fault": "empty", **limits}), count)
    return [number for number, fault in enumerate(faults, 1) if fault]


def test_no_rules_do_nothing() -> None:
    empty = FaultScript()
    assert not empty
    assert empty.for_request("send", phone=PHONE, now=NINE) is None
    assert empty.for_webhook("user_feedback", NINE) is None
    assert read_rules(None) == read_rules([]) == ()


def test_the_first_rule_that_strikes_wins_and_the_later_ones_do_not_count_it() -> None:
    both = script(
        {"on": "send", "fault": "http_429", "retry_after": 30, "times": 1}, {"on": "any", "fault": "empty"}
    )
    assert both
    first = both.for_request("send", phone=PHONE, now=NINE)
    assert first == RequestFault("http_429", 0.0, 30)
    assert sends(both, 2) == ["empty", "empty"]
    assert [(rule["matched"], rule["struck"]) for rule in both.report()] == [(3, 1), (2, 2)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"times": 2}, [1, 2]),
        ({"skip": 5}, [6, 7]),
        ({"every": 3}, [3, 6]),
        ({"skip": 1, "every": 3}, [4, 7]),
        ({"skip": 1, "every": 2, "times": 2}, [3, 5]),
    ],
)
def test_how_often_a_rule_strikes(limits: dict[str, Any], expected: list[int]) -> None:
    assert strikes(7, **limits) == expected


def test_a_share_is_met_is_repeated_by_the_seed_and_differs_by_seed_and_rule() -> None:
    rule = {"on": "send", "fault": "empty", "share": 0.1}
    seventh = sends(script(rule), 2000)
    assert 160 < sum(fault is not None for fault in seventh) < 240
    assert sends(script(rule), 2000) == seventh
    assert sends(script(rule, seed=8), 2000) != seventh
    second = sends(script({"on": "chat", "fault": "empty"}, rule), 2000)
    assert second != seventh


def test_between_is_on_the_given_clock_and_excludes_its_end() -> None:
    of = script(
        {"on": "any", "fault": "empty", "between": ["2026-11-02T09:00:00+07:00", "2026-11-02T03:00:00Z"]}
    )
    times = ("08:59:59", "09:00:00", "09:59:59", "10:00:00")
    moments = [datetime.fromisoformat(f"2026-11-02T{time}+07:00") for time in times]
    assert [of.for_request("oa", now=moment) is not None for moment in moments] == [False, True, True, False]


@pytest.mark.parametrize(
    ("patterns", "hit"),
    [
        ({"phone": "8490*"}, True),
        ({"phone": "8491*"}, False),
        ({"phone": PHONE, "template_id": 310001}, True),
        ({"phone": "8490*", "template_id": "3200*"}, False),
        ({"template_id": "31000[12]"}, True),
        ({"contact": "*"}, False),
    ],
)
def test_patterns_all_have_to_fit(patterns: dict[str, Any], hit: bool) -> None:
    of = script({"on": "any", "fault": "empty", **patterns})
    assert sends(of, 1) == (["empty"] if hit else [None])


@pytest.mark.parametrize("on", APIS)
def test_a_rule_strikes_its_api_alone(on: str) -> None:
    of = script({"on": on, "fault": "http_500"})
    assert [api for api in (*APIS, "other") if of.for_request(api, now=NINE)] == [on]


@pytest.mark.parametrize(
    ("fault", "spared"),
    [
        ("http_500", set()),
        ("code", {"notify", "other"}),
        ("expire_token", {"token", "notify", "other"}),
        ("template_disabled", {"token", "status", "quota", "chat", "oa", "notify", "other"}),
    ],
)
def test_any_is_any_request_on_which_the_fault_makes_sense(fault: str, spared: set[str]) -> None:
    of = script({"on": "any", "fault": fault, **({"code": -1} if fault == "code" else {})})
    assert {api for api in (*APIS, "other") if of.for_request(api, now=NINE) is None} == spared
    assert of.for_webhook("user_feedback", NINE) is None


def test_webhooks_are_struck_by_event_and_only_by_webhook_rules() -> None:
    of = script(
        {"on": "any", "fault": "empty"},
        {"on": "webhook", "event": "user_*", "fault": "late", "seconds": 7200, "every": 2},
    )
    events = ("user_feedback", "follow", "user_send_text")
    assert [of.for_webhook(event, NINE) for event in events] == [None, None, WebhookFault("late", 7200.0)]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("send", 'rule 2: a rule is a set of fields, for example "- on: send"'),
        ({"fault": "empty"}, "rule 2, on: it is missing; choose one of send, rating, token,"),
        ({"on": "sent", "fault": "empty"}, "rule 2, on: 'sent' is not possible here; did you mean send?"),
        ({"on": "send"}, "rule 2, fault: it is missing; choose one of timeout_before,"),
        (
            {"on": "send", "fault": "timout_before"},
            "'timout_before' is not possible here; did you mean timeout_before?",
        ),
        ({"on": "send", "fault": "forged"}, "rule 2, fault: 'forged' is not possible here; choose one of"),
        ({"on": "send", "fault": ["empty"]}, "rule 2, fault: ['empty'] is not possible here"),
        ({"on": "webhook", "fault": "empty"}, "rule 2, fault: 'empty' is not possible here"),
        (
            {"on": "notify", "fault": "code", "code": -1},
            "rule 2, fault: code cannot strike notify; use it on chat,",
        ),
        ({"on": "token", "fault": "expire_token"}, "rule 2, fault: expire_token cannot strike token;"),
        (
            {"on": "send", "fault": "empty", "time": 3},
            "rule 2, time: there is no such field; did you mean times?",
        ),
        (
            {"on": "send", "fault": "empty", 3: 3},
            "rule 2, 3: there is no such field; choose one of on, fault,",
        ),
        (
            {"on": "send", "fault": "empty", "event": "x"},
            "rule 2, event: send does not tell it; send can be narrowed by",
        ),
        (
            {"on": "token", "fault": "empty", "phone": "84*"},
            "rule 2, phone: token does not tell it; token can be",
        ),
        (
            {"on": "send", "fault": "empty", "phone": ""},
            "rule 2, phone: '' is not possible; write a number or a",
        ),
        ({"on": "send", "fault": "empty", "phone": True}, "rule 2, phone: True is not possible;"),
        (
            {"on": "send", "fault": "empty", "times": 0},
            "rule 2, times: 0 is not possible; write a whole number from 1",
        ),
        ({"on": "send", "fault": "empty", "times": True}, "rule 2, times: True is not possible;"),
        ({"on": "send", "fault": "empty", "every": 2.5}, "rule 2, every: 2.5 is not possible;"),
        (
            {"on": "send", "fault": "empty", "skip": -1},
            "rule 2, skip: -1 is not possible; write a whole number from 0",
        ),
        (
            {"on": "send", "fault": "empty", "share": 10},
            "rule 2, share: 10 is not possible; write a share above 0",
        ),
        ({"on": "send", "fault": "empty", "share": float("nan")}, "rule 2, share: nan is not possible;"),
        (
            {"on": "send", "fault": "empty", "code": -137},
            "rule 2, code: it belongs to code, not to empty; leave it",
        ),
        (
            {"on": "send", "fault": "http_500", "retry_after": 3},
            "it belongs to http_429 and http_503, not to http_500;",
        ),
        (
            {"on": "send", "fault": "http_503", "retry_after": 0.5},
            "rule 2, retry_after: 0.5 is not possible;",
        ),
        ({"on": "send", "fault": "code"}, "rule 2, code: code needs it; add for example code: -137"),
        (
            {"on": "send", "fault": "code", "code": 0},
            "rule 2, code: 0 is not possible; write one of Zalo's codes",
        ),
        ({"on": "send", "fault": "slow"}, "rule 2, seconds: slow needs it; add for example seconds: 4"),
        ({"on": "webhook", "fault": "late", "seconds": 0}, "rule 2, seconds: 0 is not possible;"),
        (
            {"on": "send", "fault": "empty", "between": "today"},
            "rule 2, between: 'today' is not possible; write two",
        ),
        (
            {"on": "send", "fault": "empty", "between": ["2026-11-02T09:00:00", "2026-11-02T12:00:00+07:00"]},
            "rule 2, between: '2026-11-02T09:00:00' is no time with its offset; write it as 2026-11-02T09:00:00+07:00",
        ),
        (
            {"on": "send", "fault": "empty", "between": ["2026-11-02T09:00:00Z", "2026-11-02T09:00:00Z"]},
            "rule 2, between: the start must be before the end; swap them",
        ),
    ],
)
def test_a_mistake_is_named_with_rule_field_and_way_out(rule: object, problem: str) -> None:
    with pytest.raises(ScriptProblem, match=re.escape(problem)) as caught:
        read_rules([{"on": "any", "fault": "empty"}, rule])
    assert "\n" not in str(caught.value)


def test_a_script_is_a_list() -> None:
    with pytest.raises(ScriptProblem, match="a script is a list of rules"):
        read_rules({"on": "send", "fault": "empty"})


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    yaml_file, json_file = tmp_path / "a.yaml", tmp_path / "a.json"
    yaml_file.write_text(
        "- on: send   # a word, though YAML 1.1 takes it for true\n"
        "  phone: 84901234567\n"
        "  fault: code\n"
        "  code: -137\n"
        "  share: 0.25\n"
        "  between: [2026-11-02T09:00:00+07:00, 2026-11-02T12:00:00+07:00]\n"
    )
    rules = read_file(yaml_file)
    json_file.write_text(json.dumps([rule.written() for rule in rules]))

    assert read_file(json_file) == rules
    assert rules[0].phone == "84901234567"
    assert rules[0].between is not None
    assert rules[0].between[0] == NINE


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"- on: send\n  phone: *8490\n", "line 2: found undefined alias"),
        (b"- on: send\n  fault: empty\n  fault: slow\n", "line 3: fault is given twice"),
        (b"- on: [send\n", "line 2: "),
        (b"- on: send\n  ? [a]\n  : b\n", "line 2: "),
        (b"a: \x00", "this is not YAML: "),
        (b"- times: 0x_\n", "this is not YAML: "),
        (b"\xff\xfe\xfa", "the file cannot be read: it is not UTF-8 text"),
        (b"- on: send\n  between: [2026-11-02T09:00:00, x]\n  fault: empty", "is no time with its offset"),
    ],
)
def test_a_file_that_is_no_script_is_told_in_a_line(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "faults.yaml"
    file.write_bytes(content)
    with pytest.raises(ScriptProblem, match=re.escape(problem)) as caught:
        read_file(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptProblem, match="the file cannot be read: No such file or directory"):
        read_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "file", sorted((ROOT / "deployments/faults").glob("*.yaml")), ids=lambda file: file.stem
)
def test_the_shipped_scripts_are_sound_and_read_back(file: Path) -> None:
    rules = read_file(file)
    assert rules
    assert read_rules([rule.written() for rule in rules]) == rules


def test_the_harshest_script_leaves_nothing_to_a_person() -> None:
    rules = read_file(ROOT / "deployments/faults/harshest.yaml")
    assert not {rule.fault for rule in rules} & {"balance_out", "burn_refresh_token", "template_disabled"}
    # Whatever loses the answer to a refresh loses the account.
    lossless = {"http_503", "http_502", "reset_before", "slow"}
    assert {rule.fault for rule in rules if rule.on in ("token", "any")} <= lossless


def test_the_manual_knows_every_word_and_its_example_is_sound(tmp_path: Path) -> None:
    for word in (*APIS, *REQUEST_FAULTS, *WEBHOOK_FAULTS):
        assert f"`{word}`" in MANUAL, word
    (example,) = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
    file = tmp_path / "example.yaml"
    file.write_text(example)
    assert len(read_file(file)) >= 3
