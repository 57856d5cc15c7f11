"""The look at the depth of JSON agrees with the parser, however the bytes are cut into pieces."""

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from amends.domain.intake import DEEPEST, deeper_than
from connectors.json_depth import Shallow, TooDeep
from tests.fuzz.rig import fuzz, json_values


@given(
    value=json_values,
    levels=st.integers(DEEPEST - 4, DEEPEST + 3),
    size=st.integers(1, 9),
    text=st.text('[]{}"\\a', max_size=9),
)
@fuzz
def test_depth_is_told_from_brackets_outside_of_texts(value: Any, levels: int, size: int, text: str) -> None:
    for _ in range(levels):
        value = {text: value} if levels % 2 else [text, value]
    file = Shallow(io.BytesIO(json.dumps(value).encode()))
    try:
        while file.read(size):
            pass
        found = False
    except TooDeep:
        found = True
    # What stands on the deepest level counts as one to the other.
    assert found in (deeper_than(value, DEEPEST), deeper_than(value, DEEPEST + 1))
