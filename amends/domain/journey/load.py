"""Reading a journey from YAML, with errors a marketer can act on."""

import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from amends.domain.journey.base import SPELLINGS
from amends.domain.journey.complaint import ComplaintJourney
from amends.domain.journey.strict_yaml import read_yaml

LONGEST = 100_000
"""Characters of a journey's file."""
_MOST_PROBLEMS = 50


class JourneyProblem(ValueError):
    """A journey file that cannot be used; `problems` says for each field what is wrong and where."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))
        self.file = file
        self.problems = problems


def load_journey(path: Path) -> ComplaintJourney:
    """The journey in `path`. Raises `JourneyProblem` naming file, line or field, what is wrong and the fix."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JourneyProblem(
            str(path), ["there is no such file; see deployments/journeys/ for an example"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise JourneyProblem(str(path), [f"cannot be read ({error}); save it as UTF-8 text"]) from error
    if len(text) > LONGEST:
        raise JourneyProblem(str(path), [f"has {len(text):,} characters; a journey has at most {LONGEST:,}"])
    try:
        data = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise JourneyProblem(
            str(path), [f"{where}no valid YAML: {error.problem}; check indentation and colons"]
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # an unprintable character; a date that does not exist
        first = str(error).splitlines()[0].partition("; use sys.")[0]
        raise JourneyProblem(str(path), [f"no valid YAML: {first}; correct it or put it in quotes"]) from None
    if not isinstance(data, dict):
        raise JourneyProblem(str(path), ["must be a mapping of fields such as `name:` and `brand:`"])
    try:
        return ComplaintJourney.model_validate(data)
    except ValidationError as error:
        problems = error.errors()
        told = [_explain(problem) for problem in problems[:_MOST_PROBLEMS]]
        if len(problems) > _MOST_PROBLEMS:
            told.append(f"and {len(problems) - _MOST_PROBLEMS:,} problems more")
        raise JourneyProblem(str(path), told) from None


class _Shown:
    """What was written, at most a line of it: a value can be as long as the file, or through aliases far longer."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        try:
            return _BRIEF.repr(self._value)
        except ValueError:  # Python writes no number of thousands of digits
            return "a huge number"


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80
_BRIEF.maxlevel = 3


def _explain(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"] if part != "[key]")[:200]
    got, context = _Shown(problem["input"]), problem.get("ctx", {})
    match problem["type"]:
        case "missing":
            return f"{field}: is missing; add it (see deployments/journeys/complaint.yaml)"
        case "extra_forbidden":
            return f"{field}: is no option here; check the spelling"
        case "string_pattern_mismatch":
            return f"{field}: {got!r} is not spelt right; {SPELLINGS[context['pattern']]}"
        case "string_type":
            return f"{field}: must be text (got {got!r}); put it in quotes"
        case "union_tag_not_found":
            return f"{field}.kind: is missing; add it (see deployments/journeys/complaint.yaml)"
        case "union_tag_invalid":
            return f"{field}.kind: {context['tag']!r} is no kind; use one of {context['expected_tags']}"
        case "value_error":
            # A rule over several fields has no place of its own: its message begins with the field.
            return ": ".join(part for part in (field, problem["msg"].removeprefix("Value error, ")) if part)
        case _:
            return f"{field}: {problem['msg']} (got {got!r})"
