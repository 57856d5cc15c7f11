"""YAML without its traps: a field written twice is an error, and neither depth nor aliases make a small file huge."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

MOST_VALUES = 20_000
"""Values in a journey, those that an alias repeats counted each time."""
DEEPEST = 30
_HALF = re.compile(r"[\ud800-\udfff]")
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """SafeLoader makes no Python objects; of two equal fields it would silently take the second."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _too_deep()
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """JSON writes an emoji as two escapes, which YAML would leave as two halves that nothing can store."""
        value = super().construct_scalar(node)
        if not isinstance(value, str) or not _HALF.search(value):
            return value
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            problem = "half a character (an escape such as \\ud83d without the one that goes with it)"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            # Not the fields that `<<` brings in: those are there to be overridden.
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
            seen: set[tuple[str, str]] = set()
            for key in keys:
                if (key.tag, key.value) in seen:
                    problem = f"the field {key.value[:40]!r} is written twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """The value of one document. Raises yaml.YAMLError, or ValueError for what no journey can be."""
    value = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    _bound(value)
    return value


def _bound(value: Any) -> None:
    """Level by level, and never further than the bounds: a value may hold itself."""
    layer, counted = [value], 0
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for one in layer:
            parts = [*one.keys(), *one.values()] if isinstance(one, dict) else one
            if isinstance(parts, list | set | tuple):
                inner += parts
                counted += len(parts)
            if counted > MOST_VALUES:
                raise ValueError(f"it comes to more than {MOST_VALUES:,} values; write it without aliases")
        if not inner:
            return
        layer = inner
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it is nested deeper than {DEEPEST} levels; write it plainly")
