"""Fault scripts: rules that say when the sandbox misbehaves, and how. docs/faults.md is the manual.

This module reads and checks a script and decides which rule strikes; `sandbox.faults` carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from sandbox.chance import share
from sandbox.clock import in_utc

APIS = ("send", "rating", "token", "status", "quota", "template", "chat", "oa", "notify")
REQUEST_FAULTS = (
    "timeout_before", "timeout_after_accept", "reset_before", "reset_after_accept", "cut_off", "slow",
    "http_429", "http_500", "http_500_after_accept", "http_502", "http_503", "code", "not_json", "empty",
    "expire_token", "burn_refresh_token", "quota_out", "balance_out", "template_disabled",
)  # fmt: skip
WEBHOOK_FAULTS = (
    "duplicate", "reordered", "late", "dropped", "forged", "stale", "truncated", "oversized",
    "no_tracking_id",
)  # fmt: skip

_ZALO = frozenset(APIS) - {"notify"}
_ONLY_ON: Mapping[str, frozenset[str]] = {
    "code": _ZALO,
    "burn_refresh_token": _ZALO,
    "quota_out": _ZALO,
    "balance_out": _ZALO,
    "expire_token": _ZALO - {"token"},
    "template_disabled": frozenset({"send", "rating", "template"}),
}
"""The faults that make no sense everywhere; the others strike any request."""

_PATTERNS: Mapping[str, frozenset[str]] = {
    "send": frozenset({"phone", "template_id", "contact"}),
    "rating": frozenset({"template_id"}),
    "template": frozenset({"template_id"}),
    "chat": frozenset({"phone", "contact"}),
    "notify": frozenset({"contact"}),
    "any": frozenset({"phone", "template_id", "contact"}),
    "webhook": frozenset({"event"}),
}
_FAULTS_WITH: Mapping[str, tuple[str, ...]] = {
    "seconds": ("slow", "late"),
    "retry_after": ("http_429", "http_503"),
    "code": ("code",),
}


class ScriptProblem(ValueError):
    """Why a script cannot be used, in one line that names the rule, the field and the way out."""


@dataclass(frozen=True, slots=True)
class RequestFault:
    """What befalls one request. `seconds` and `retry_after` are seconds; `code` is Zalo's."""

    name: str
    seconds: float = 0.0
    retry_after: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class WebhookFault:
    """What befalls one webhook; `seconds` is how late a late one is, else 0."""

    name: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked. The patterns are fnmatch's; `between` is aware UTC, its end is outside."""

    on: str
    fault: str
    event: str | None = None
    phone: str | None = None
    template_id: str | None = None
    contact: str | None = None
    times: int | None = None
    every: int | None = None
    skip: int | None = None
    share: float | None = None
    between: tuple[datetime, datetime] | None = None
    seconds: float | None = None
    retry_after: int | None = None
    code: int | None = None

    def concerns(self, on: str, facts: Mapping[str, str | None], now: datetime) -> bool:
        """True if a request or webhook of this kind, with these facts, is one the rule counts."""
        if on != self.on and not (self.on == "any" and on != "webhook"):
            return False
        if self.fault in _ONLY_ON and on not in _ONLY_ON[self.fault]:
            return False
        if self.between is not None and not self.between[0] <= now < self.between[1]:
            return False
        for name, value in facts.items():
            pattern = getattr(self, name)
            if pattern is not None and (value is None or not fnmatchcase(value, pattern)):
                return False
        return True

    def written(self) -> dict[str, Any]:
        """The rule as JSON that reads back as the same rule."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.between is not None:
            said["between"] = [moment.isoformat() for moment in self.between]
        return {name: value for name, value in said.items() if value is not None}


_KEYS = tuple(each.name for each in fields(Rule))


@dataclass(slots=True)
class FaultScript:
    """The rules of one running sandbox and how often each has matched and struck. Falsy without rules."""

    rules: tuple[Rule, ...] = ()
    seed: int = 7
    matched: list[int] = field(init=False)
    struck: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.replace(self.rules)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def replace(self, rules: tuple[Rule, ...]) -> None:
        """Go by these rules from now on, counting from zero."""
        self.rules, self.matched, self.struck = rules, [0] * len(rules), [0] * len(rules)

    def for_request(
        self,
        on: str,
        *,
        phone: str | None = None,
        template_id: str | None = None,
        contact: str | None = None,
        now: datetime,
    ) -> RequestFault | None:
        """What befalls this request to the API `on`, or None. Every call counts as one request."""
        rule = self._first(on, {"phone": phone, "template_id": template_id, "contact": contact}, now)
        if rule is None:
            return None
        return RequestFault(rule.fault, rule.seconds or 0.0, rule.retry_after, rule.code)

    def for_webhook(self, event_name: str, now: datetime) -> WebhookFault | None:
        """What befalls the webhook about to be delivered, or None. Every call counts as one webhook."""
        rule = self._first("webhook", {"event": event_name}, now)
        return None if rule is None else WebhookFault(rule.fault, rule.seconds or 0.0)

    def report(self) -> list[dict[str, Any]]:
        """The rules in order, each with how often it `matched` and how often it `struck`."""
        return [
            {**rule.written(), "matched": matched, "struck": struck}
            for rule, matched, struck in zip(self.rules, self.matched, self.struck, strict=True)
        ]

    def _first(self, on: str, facts: Mapping[str, str | None], now: datetime) -> Rule | None:
        for index, rule in enumerate(self.rules):
            if rule.concerns(on, facts, now):
                self.matched[index] += 1
                if self._strikes(index, rule):
                    self.struck[index] += 1
                    return rule
        return None

    def _strikes(self, index: int, rule: Rule) -> bool:
        if rule.times is not None and self.struck[index] >= rule.times:
            return False
        turn = self.matched[index] - (rule.skip or 0)
        if turn < 1 or turn % (rule.every or 1):
            return False
        return rule.share is None or share(self.seed, "fault", index + 1, self.matched[index]) < rule.share


def read_file(path: Path) -> tuple[Rule, ...]:
    """The rules in a YAML or JSON file. Raises ScriptProblem, also when it cannot be opened."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader, below
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ScriptProblem(f"the file cannot be read: {reason}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ScriptProblem(_yaml_problem(error)) from None
    return read_rules(data)


def read_rules(data: object) -> tuple[Rule, ...]:
    """The rules in a list as YAML or JSON gives it; nothing at all is no rules. Raises ScriptProblem."""
    if not isinstance(data, list | None):
        raise ScriptProblem('a script is a list of rules; begin each with a dash, as in "- on: send"')
    return tuple(_rule(number, rule) for number, rule in enumerate(data or [], 1))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes the key `on` for true; no field is a yes-or-no, so here those words are words.

    Times stay text, which says whether an offset was written. A key written twice is an error.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - as in the parent class
        first: [pair for pair in pairs if not pair[0].endswith((":bool", ":timestamp"))]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[object] = []  # a key may be a list, which no set takes
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return f"this is not YAML: {' '.join(str(error).split())}"


class _Wrong(Exception):
    """A field and what is wrong with it."""


def _rule(number: int, data: object) -> Rule:
    if not isinstance(data, dict):
        raise ScriptProblem(f'rule {number}: a rule is a set of fields, for example "- on: send"')
    try:
        on = _choice(data, "on", (*APIS, "any", "webhook"))
        fault = _choice(data, "fault", WEBHOOK_FAULTS if on == "webhook" else REQUEST_FAULTS)
        _check_fit(on, fault, data)
        return Rule(
            on, fault, **{name: _value(name, data[name]) for name in data if name not in ("on", "fault")}
        )
    except _Wrong as wrong:
        name, text = wrong.args
        raise ScriptProblem(f"rule {number}, {name}: {text}") from None


def _choice(data: Mapping[Any, object], name: str, options: tuple[str, ...]) -> str:
    if name not in data:
        raise _Wrong(name, f"it is missing; choose one of {', '.join(options)}")
    if data[name] not in options:
        raise _Wrong(name, f"{data[name]!r} is not possible here; {_advice(data[name], options)}")
    return str(data[name])


def _check_fit(on: str, fault: str, data: Mapping[Any, object]) -> None:
    """Refuse what could never match or would be ignored: a rehearsal must not be quietly empty."""
    if on != "any" and fault in _ONLY_ON and on not in _ONLY_ON[fault]:
        raise _Wrong(
            "fault", f"{fault} cannot strike {on}; use it on {', '.join(sorted(_ONLY_ON[fault]))} or any"
        )
    for name in data:
        if name not in _KEYS:
            raise _Wrong(name, f"there is no such field; {_advice(name, _KEYS)}")
        if name in ("phone", "template_id", "contact", "event") and name not in _PATTERNS.get(on, ()):
            known = ", ".join(sorted(_PATTERNS.get(on, ()))) or "no pattern"
            raise _Wrong(name, f"{on} does not tell it; {on} can be narrowed by {known}")
        if name in _FAULTS_WITH and fault not in _FAULTS_WITH[name]:
            raise _Wrong(
                name, f"it belongs to {' and '.join(_FAULTS_WITH[name])}, not to {fault}; leave it out"
            )
    for name in ("seconds", "code"):
        if fault in _FAULTS_WITH[name] and name not in data:
            raise _Wrong(
                name, f"{fault} needs it; add for example {name}: {4 if name == 'seconds' else -137}"
            )


def _value(name: str, value: Any) -> Any:
    """The field's value in the type of `Rule`, or _Wrong."""
    whole = type(value) is int
    match name:
        case "times" | "every" if whole and value >= 1:
            return value
        case "skip" | "retry_after" if whole and value >= 0:
            return value
        case "code" if whole and value != 0:
            return value
        case "share" | "seconds" if type(value) in (int, float) and 0 < value <= _MOST[name]:
            return float(value)
        case "between" if isinstance(value, list | tuple) and len(value) == 2:
            return _between(value)
        case "event" | "phone" | "template_id" | "contact" if whole or (isinstance(value, str) and value):
            return str(value)  # a template id without quotes is a number to YAML
    raise _Wrong(name, f"{value!r} is not possible; {_EXPECTED[name]}")


_MOST = {"share": 1, "seconds": 2_592_000}
_EXPECTED = {
    "times": "write a whole number from 1",
    "every": "write a whole number from 1",
    "skip": "write a whole number from 0",
    "retry_after": "write whole seconds from 0",
    "code": "write one of Zalo's codes, for example -137",
    "share": "write a share above 0 and up to 1, for example 0.1",
    "seconds": "write seconds above 0 and up to 2592000 (30 days)",
    "between": "write two times in brackets, the start and the end",
    "event": 'write the name of an event or a pattern, for example "user_*"',
    "phone": 'write a number or a pattern, for example "8490*"',
    "template_id": 'write an id or a pattern, for example "3200*"',
    "contact": 'write a name or a pattern, for example "shift_*"',
}


def _between(moments: list[object] | tuple[object, ...]) -> tuple[datetime, datetime]:
    read = []
    for text in moments:
        try:
            read.append(in_utc(datetime.fromisoformat(str(text))))
        except ValueError:
            example = "2026-11-02T09:00:00+07:00"
            raise _Wrong("between", f"{text!r} is no time with its offset; write it as {example}") from None
    if read[0] >= read[1]:
        raise _Wrong("between", "the start must be before the end; swap them")
    return read[0], read[1]


def _advice(word: object, options: tuple[str, ...]) -> str:
    close = get_close_matches(str(word), options, 1)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(options)}"
