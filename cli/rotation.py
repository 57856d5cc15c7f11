"""Changing keys, and telling which are in use. No key is ever shown; the installation's own are told by their place."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from amends.clock import SystemClock
from amends.encryption import Cipher, cipher_of
from amends.settings import Settings
from amends.store import credentials, keyring, operator_log, resealing
from amends.store.engine import Store
from amends.store.opening import open_spool
from amends.store.operator_log import Deed
from amends.store.resealing import State
from cli.show import print_json

BATCH = 1_000
"""Rows looked at in one transaction, so that nobody waits for it for long."""


def rotate_keys(settings: Settings, store: Store, *, renew_data_key: bool, by: str) -> None:
    """Seal everything under the newest keys; every step is committed by itself, and may be done twice."""
    cipher = cipher_of(settings)
    with store.begin() as tx:
        wrapped = keyring.rewrap(tx, cipher)
        lost = credentials.reseal(tx, cipher)
        done = f"{wrapped} keys re-wrapped"
        operator_log.record(tx, Deed(SystemClock().now(), by, "key.rotate", "keyring", done))
    typer.echo("The keyring and the tokens are sealed under the newest key.")
    for account in lost:
        typer.echo(f"No key opens the tokens of {account}: log in again (amends zalo login).", err=True)
    if renew_data_key:
        _renew(store, cipher, by)
    _reseal(store)
    _tell_old_keys(settings, cipher)


def _renew(store: Store, cipher: Cipher, by: str) -> None:
    """A new data key, unless the last one has not reached all rows yet: then that is finished first."""
    with store.read() as tx:
        unfinished = any(state.older for state in resealing.states(tx))
    if unfinished:
        typer.echo("An earlier change of the data key was not finished; going on with it.")
        return
    with store.begin() as tx:
        number = keyring.renew(tx, cipher)
        operator_log.record(tx, Deed(SystemClock().now(), by, "key.renew", f"data key {number}"))
    typer.echo(f"Data key {number} is new; rows are sealed under it from now on.")


def _reseal(store: Store) -> None:
    """Until nothing is left; what was being written to meanwhile is gone back for."""
    states, whole = _states(store), False
    while left := sum(state.left for state in states):
        with store.begin() as tx:
            whole = resealing.start_over(tx)
        _pass_over(store, sum(state.rows for state in states))
        states = _states(store)
        if whole and sum(state.left for state in states) >= left:
            break
    if left:
        typer.echo(f"{left:,} rows are still being written to; run `amends key rotate` again.", err=True)
        raise typer.Exit(1)
    typer.echo("Every row is sealed under the newest data key.")


def _pass_over(store: Store, rows: int) -> None:
    console = Console(stderr=True)
    looks = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*looks, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("rows looked at", total=rows)
        while True:
            with store.begin() as tx:
                seen = resealing.reseal(tx, BATCH)
            if not seen:
                return
            progress.advance(task, seen)


def _states(store: Store) -> list[State]:
    with store.read() as tx:
        return resealing.states(tx)


def _tell_old_keys(settings: Settings, cipher: Cipher) -> None:
    if cipher.keys == 1:
        typer.echo("There is one key. To change it, put a new one (amends key) in front of it first.")
        return
    waiting = _waiting(settings)
    if waiting:
        typer.echo(
            f"{waiting:,} webhooks wait on disk, perhaps under an older key: let the desk take them in first."
        )
        return
    where = "AMENDS_ENCRYPTION_KEYS" if settings.encryption_keys else "the key file"
    typer.echo(f"All but the first key of {where} can be taken out now.")


def _waiting(settings: Settings) -> int:
    if not settings.spool_file().exists():
        return 0
    spool = open_spool(settings)
    try:
        return spool.waiting()
    finally:
        spool.close()


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What `amends key status` tells."""

    source: str
    keyring_by_key: Sequence[int]
    """How many keys of the keyring each of the installation's own seals, newest first."""
    tokens_by_key: Sequence[int]
    """The same for Zalo's tokens."""
    tokens_lost: int
    """Tokens that no key opens, or that were never sealed."""
    data_key: int
    """The id of the newest data key."""
    tables: Sequence[State]


def read_status(settings: Settings, store: Store) -> KeyStatus:
    cipher = cipher_of(settings)
    with store.read() as tx:
        wrapped = [cipher.key_of(one) for one in keyring.wrappings(tx)]
        tokens = [cipher.key_of(one) for one in credentials.stored_tokens(tx)]
        tables = resealing.states(tx)
    return KeyStatus(
        source="AMENDS_ENCRYPTION_KEYS" if settings.encryption_keys else "the key file in AMENDS_HOME",
        keyring_by_key=[wrapped.count(number) for number in range(cipher.keys)],
        tokens_by_key=[tokens.count(number) for number in range(cipher.keys)],
        tokens_lost=tokens.count(None),
        data_key=store.keyring.keys.newest,
        tables=tables,
    )


def show_status(found: KeyStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    typer.echo(f"Keys from {found.source}, newest first:")
    for number, counts in enumerate(zip(found.keyring_by_key, found.tokens_by_key, strict=True), start=1):
        used = (
            "seals {} of the keyring and {} tokens".format(*counts) if any(counts) else "seals nothing stored"
        )
        typer.echo(f"  {number}. {used}")
    if found.tokens_lost:
        typer.echo(f"  {found.tokens_lost} tokens are not sealed by any of these")
    typer.echo(f"\nRows under the newest data key (number {found.data_key}), an older one, and in clear:")
    for state in found.tables:
        newest = state.rows - state.left
        typer.echo(f"  {state.table:<15} {newest:>12,} {state.older:>12,} {state.clear:>12,}")
    if (
        any(state.left for state in found.tables)
        or any(found.keyring_by_key[1:])
        or any(found.tokens_by_key[1:])
    ):
        typer.echo("\nRun `amends key rotate` to seal all of it under the newest keys.")
