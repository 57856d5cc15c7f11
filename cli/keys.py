"""`amends key`: the keys that personal data and tokens are sealed with."""

from typing import Annotated

import typer

key = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Keys of the data at rest: print a new one, change them, see which are in use.",
)


@key.callback()
def new(context: typer.Context) -> None:
    """Print a new encryption key; with a command, change keys or see which are in use.

    \b
    To change the key:
      1. put the new one in front of the list AMENDS_ENCRYPTION_KEYS (JSON), on all hosts, and restart
      2. amends key rotate
      3. take the old one out of the list, and restart

    All hosts that share a database need the same list. Without it a key file in AMENDS_HOME is used. A lost key cannot
    be replaced: keep a copy apart from the database's.
    """
    if context.invoked_subcommand is None:
        from amends.encryption import new_key

        typer.echo(new_key())


@key.command()
def rotate(
    data: Annotated[
        bool, typer.Option("--data", help="Also make a new data key and seal every row under it.")
    ] = False,
    by: Annotated[str, typer.Option("--by", help="Your name, for the log.")] = "operator",
) -> None:
    """Put the newest key of AMENDS_ENCRYPTION_KEYS to use, so that older ones can be taken out of the list.

    Seals the keyring and Zalo's tokens under it, in a moment, and then whatever row is not sealed yet, or is still
    under an older data key. Sweeps and the desk may run meanwhile. When it was killed half way, the next goes on.
    """
    from cli.installation import opened_store, read_settings

    settings = read_settings()
    with opened_store(settings) as store:
        from cli.rotation import rotate_keys

        rotate_keys(settings, store, renew_data_key=data, by=by)


@key.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Which keys are in use, and how many rows are not sealed under the newest data key; shows no key.

    Reads all tables with personal data: seconds for millions of rows.
    """
    from cli.installation import opened_store, read_settings

    settings = read_settings()
    with opened_store(settings) as store:
        from cli.rotation import read_status, show_status

        found = read_status(settings, store)
    show_status(found, as_json=as_json)
