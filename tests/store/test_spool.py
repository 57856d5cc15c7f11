"""The spool: once each, in order, within its limits, and on disk when it says so."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amends.encryption import Cipher, KeyProblem, new_key
from amends.store.spool import Arrived, Spool, SpoolFull
from tests.conftest import CIPHER, KEY, ROOT

NINE = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)


def arrived(key: str, door: str = "zalo:default", minutes: int = 0, body: bytes = b"{}") -> Arrived:
    return Arrived(door, key, NINE + timedelta(minutes=minutes), body)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "webhooks.spool"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path, CIPHER)
    yield spool
    spool.close()


def keys(spool: Spool) -> list[str]:
    return [one.key for one in spool.peek(1000)]


def test_what_is_put_comes_back_whole(spool: Spool) -> None:
    hanoi = datetime(2026, 11, 2, 9, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=7)))
    sent = Arrived("zalo:default", "k", hanoi, b'\x00{"t": "\xc3\xa1"}', "ZNS")
    assert spool.put([sent]) == [True]
    (one,) = spool.peek(10)
    assert (one.door, one.key, one.received_at, one.body, one.server) == (
        sent.door,
        sent.key,
        sent.received_at,
        sent.body,
        sent.server,
    )
    assert one.received_at.tzinfo is UTC


def test_bodies_stay_out_of_logs(spool: Spool) -> None:
    spool.put([arrived("k", body=b"0987654321")])
    assert "0987654321" not in repr(spool.peek(1)) + repr(arrived("k", body=b"0987654321"))


def test_a_body_is_sealed_on_disk_by_any_key_of_ours(spool: Spool, path: Path) -> None:
    spool.put([arrived("k", body=b"0987654321")])
    stored = path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()
    assert b"zalo:default" in stored
    assert b"0987654321" not in stored
    newer = Spool(path, Cipher([new_key(), KEY]))
    assert [one.body for one in newer.peek(1)] == [b"0987654321"]
    newer.close()


def test_a_body_that_no_key_opens_waits_for_its_key(spool: Spool, path: Path) -> None:
    spool.put([arrived("k", body=b"0987654321")])
    other = Spool(path, Cipher([new_key()]))
    with pytest.raises(KeyProblem, match="AMENDS_ENCRYPTION_KEYS"):
        other.peek(1)
    assert other.waiting() == 1
    other.close()
    assert keys(spool) == ["k"]


def test_a_body_from_before_encryption_is_read_as_it_is(spool: Spool) -> None:
    spool._writer.execute("INSERT INTO waiting VALUES (1, 'zalo:default', 'old', 0, ?, '')", (b"{}",))
    assert [one.body for one in spool.peek(1)] == [b"{}"]


def test_the_same_key_twice_is_one(spool: Spool) -> None:
    assert spool.put([arrived("a", body=b"first"), arrived("a", body=b"again")]) == [True, False]
    assert spool.put([arrived("b"), arrived("a", body=b"later")]) == [True, False]
    assert [one.body for one in spool.peek(10)] == [b"first", b"{}"]


def test_the_same_key_of_another_door_is_another_webhook(spool: Spool) -> None:
    assert spool.put([arrived("a"), arrived("a", door="webhook:till")]) == [True, True]


def test_the_oldest_come_first_and_only_of_the_doors_asked_for(spool: Spool) -> None:
    spool.put([arrived(key, door=door) for key, door in zip("abcdef", ["x", "y", "z"] * 2, strict=True)])
    assert [one.key for one in spool.peek(3)] == ["a", "b", "c"]
    assert [one.key for one in spool.peek(3, ["z", "x"])] == ["a", "c", "d"]
    assert [one.key for one in spool.peek(9, ["y", "y"])] == ["b", "e"]
    assert spool.peek(9, []) == []


def test_what_was_dropped_is_remembered_until_it_is_forgotten(spool: Spool) -> None:
    spool.put([arrived("a"), arrived("b", minutes=1)])
    spool.drop([one.id for one in spool.peek(10)])
    assert spool.put([arrived("a"), arrived("b")]) == [False, False]
    assert spool.forget(NINE + timedelta(minutes=1)) == 1
    assert spool.put([arrived("a"), arrived("b")]) == [True, False]


def test_what_waits_is_not_forgotten(spool: Spool) -> None:
    spool.put([arrived("a")])
    assert spool.forget(NINE + timedelta(days=9)) == 0
    assert spool.put([arrived("a")]) == [False]


def test_many_keys_are_forgotten_in_one_call(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amends.store.spool._FORGOTTEN_AT_ONCE", 3)
    spool.put([arrived(str(n)) for n in range(10)])
    spool.drop([one.id for one in spool.peek(10)])
    assert spool.forget(NINE + timedelta(days=1)) == 10


def test_an_id_never_comes_again(spool: Spool) -> None:
    """A sweep that is slow to drop what the desk has dropped already must not drop something newer."""
    spool.put([arrived("a")])
    (first,) = spool.peek(1)
    spool.drop([first.id])
    spool.put([arrived("b")])
    spool.drop([first.id, 12345])
    spool.drop([])
    assert keys(spool) == ["b"]


def test_it_counts_what_waits(spool: Spool) -> None:
    spool.put([arrived(str(n)) for n in range(5)])
    spool.put([arrived("0")])
    spool.drop([spool.peek(1)[0].id])
    assert spool.waiting() == 4


def test_a_full_spool_takes_none_of_a_batch(path: Path) -> None:
    spool = Spool(path, CIPHER, limit_rows=2)
    spool.put([arrived("a")])
    with pytest.raises(SpoolFull):
        spool.put([arrived("b"), arrived("c")])
    assert keys(spool) == ["a"]
    assert spool.put([arrived("b")]) == [True]
    assert spool.put([arrived("a"), arrived("b")]) == [False, False], "known ones need no room"
    spool.drop([spool.peek(1)[0].id])
    assert spool.put([arrived("c")]) == [True]


def test_bytes_fill_it_too(path: Path) -> None:
    spool = Spool(path, CIPHER, limit_bytes=150)
    assert spool.put([arrived("a", body=b"12345678")]) == [True]
    with pytest.raises(SpoolFull):
        spool.put([arrived("b", body=b"123")])
    spool.drop([spool.peek(1)[0].id])
    assert spool.put([arrived("b", body=b"123")]) == [True]


def test_a_full_disk_is_a_full_spool(spool: Spool) -> None:
    spool._writer.execute("PRAGMA max_page_count = 20")
    with pytest.raises(SpoolFull, match="disk"):
        spool.put([arrived("a", body=bytes(1_000_000))])
    assert spool.put([arrived("b")]) == [True]
    assert keys(spool) == ["b"]


def test_only_its_owner_can_read_it(spool: Spool, path: Path) -> None:
    spool.put([arrived("a")])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {f"{path.name}{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_two_processes_see_one_spool(spool: Spool, path: Path) -> None:
    other = Spool(path, CIPHER)
    spool.put([arrived("a")])
    assert other.put([arrived("a"), arrived("b")]) == [False, True]
    assert keys(spool) == keys(other) == ["a", "b"]
    other.drop([one.id for one in other.peek(10)])
    assert spool.waiting() == 0
    other.close()


def test_reading_does_not_wait_for_a_writer(spool: Spool, path: Path) -> None:
    spool.put([arrived("a")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert spool.waiting() == 1
    assert keys(spool) == ["a"]
    other.close()


_CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from amends.encryption import Cipher
from amends.store.spool import Arrived, Spool

spool = Spool(Path(sys.argv[1]), Cipher([sys.argv[3]]))
for number in range(int(sys.argv[2])):
    new = spool.put([Arrived("zalo:default", str(number), datetime.now(UTC), b"{}")])
    print(number, *new, flush=True)
"""


def child(path: Path, puts: int) -> subprocess.Popen[str]:
    """A process that puts the keys 0, 1, 2, ... and prints each with what `put` said, once it has said it."""
    command = [sys.executable, "-c", _CHILD, str(path), str(puts), KEY]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow
def test_kill_9_loses_nothing_that_put_has_returned_for(path: Path) -> None:
    told: list[str] = []
    for _ in range(3):
        with child(path, 1_000_000) as process:
            assert process.stdout
            told += [process.stdout.readline() for _ in range(50)]
            process.kill()
            told += process.stdout.read().splitlines()
    spool = Spool(path, CIPHER)
    said = [line.split() for line in told if line.strip()]
    new = [words[0] for words in said if words[1:] == ["True"]]
    stored = keys_of_all(spool)
    assert set(new) <= set(stored)
    assert len(new) == len(set(new)), "each was new once only"
    # At most the one put of each killed child whose answer was never printed.
    assert len(stored) - len(new) <= 3
    assert spool.waiting() == len(stored) == len(set(stored))
    spool.close()


@pytest.mark.slow
def test_many_processes_put_each_key_once(path: Path) -> None:
    """They also open the new file at the same time."""
    children = [child(path, 200) for _ in range(3)]
    outputs = [process.communicate(timeout=180)[0] for process in children]
    assert [process.returncode for process in children] == [0, 0, 0]
    new = [line.split()[0] for output in outputs for line in output.splitlines() if line.endswith("True")]
    assert sorted(new, key=int) == [str(number) for number in range(200)]
    spool = Spool(path, CIPHER)
    assert sorted(keys_of_all(spool), key=int) == sorted(new, key=int)
    spool.close()


def keys_of_all(spool: Spool) -> list[str]:
    return [one.key for one in spool.peek(10_000_000)]


_ACTIONS = st.one_of(
    st.tuples(
        st.just("put"), st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("abcd")), max_size=4)
    ),
    st.tuples(st.just("drop"), st.integers(0, 3)),
    st.tuples(st.just("forget"), st.integers(0, 20)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ACTIONS, max_size=20))
def test_it_does_what_two_dictionaries_would(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, object]]
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool") / "s", CIPHER, limit_rows=5)
    waiting: dict[tuple[str, str], datetime] = {}
    seen: dict[tuple[str, str], datetime] = {}
    for minute, (action, value) in enumerate(actions):
        now = NINE + timedelta(minutes=minute)
        if action == "put" and isinstance(value, list):
            fresh = [pair for pair in dict.fromkeys(value) if pair not in waiting and pair not in seen]
            batch = [Arrived(door, key, now, b"{}") for door, key in value]
            if fresh and len(waiting) + len(fresh) > 5:
                with pytest.raises(SpoolFull):
                    spool.put(batch)
            else:
                assert sum(spool.put(batch)) == len(fresh)
                waiting |= dict.fromkeys(fresh, now)
        elif action == "drop" and isinstance(value, int):
            dropped = spool.peek(value)
            spool.drop([one.id for one in dropped])
            for one in dropped:
                seen[one.door, one.key] = waiting.pop((one.door, one.key))
        elif isinstance(value, int):
            before = NINE + timedelta(minutes=value)
            old = [pair for pair, at in seen.items() if at < before]
            assert spool.forget(before) == len(old)
            for pair in old:
                del seen[pair]
        assert [(one.door, one.key) for one in spool.peek(99)] == list(waiting)
        assert spool.waiting() == len(waiting)
    spool.close()
