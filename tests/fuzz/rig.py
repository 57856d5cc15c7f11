"""What the fuzz tests share: how many examples, what a hang is, and text that is likely to break something.

`make test` runs few examples of each; `make fuzz` runs them with AMENDS_FUZZ_EXAMPLES=3000.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.conftest import ROOT

EXAMPLES = int(os.environ.get("AMENDS_FUZZ_EXAMPLES", "25"))
HANG_S = 30
"""Far beyond what any input here may take on the slowest machine; what runs into it would run for minutes."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


class Hang(BaseException):
    """Not an Exception: what is tested must not be able to swallow it."""


@contextmanager
def no_hang() -> Iterator[None]:
    """Raises Hang when the block does not end."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"still not done after {HANG_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


PHONE, MAIL = "0938271645", "lan.tran@example.com"
SEEDS = (
    "", " ", "0", "1", "-1", "5", "4/5", "4 sao", "1e999", "NaN", "9" * 30, "9" * 5000, "1" * 400 + ".5", "null", "?",
    "True", "\0", "\ud800", "\ufeff", "٣", "１", PHONE, MAIL, f"Gọi {PHONE}", "2026-11-01", "01/11/2026 10:30",
    "hôm qua", "2 tuần trước", "99999999999 năm trước", "0001-01-01", "9999-12-31T23:59:59-14:00", "1e5", "1_000",
    "=1+1", '"', '"a', "a\nb", "\r", "{{ 7 * 7 }}", "x" * 300, "🙂" * 80, "tháng " * 60,
)  # fmt: skip
texts = st.one_of(st.sampled_from(SEEDS), st.text(max_size=40))
"""Any text, and often one that has hurt somebody somewhere."""

numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -(10**400), 2**63, 1e308, 0.1]))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def clear(message: str, *, quotes_nobody: bool = True) -> None:
    """An error that a person can use: short, in one or two lines, and without anybody's number or address."""
    assert message.strip()
    assert len(message) < 3_000, len(message)
    message.encode()  # no lone surrogates: it will be printed and stored
    assert "sys.set_int_max_str_digits" not in message
    if quotes_nobody:
        assert PHONE not in message
        assert MAIL not in message


JOURNEY = (ROOT / "deployments" / "journeys" / "complaint.yaml").read_text(encoding="utf-8")
