"""`amends desk`: the webhook intake, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer


def desk(
    journeys: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[JOURNEY.yaml]...", help="None: all of deployments/journeys/."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the webhooks; 0 takes a free one.")
    ] = 4280,
    host: Annotated[str, typer.Option(help="Address it listens on; put a TLS proxy in front.")] = "127.0.0.1",
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", hidden=True, help="End with the process that started it.")
    ] = False,
) -> None:
    """Take webhooks in: ratings as they happen.

    \b
    POST /webhooks/zalo          Zalo's own, of every Official Account in the settings
    POST /webhooks/in/SOURCE     any other system's, signed as Standard Webhooks has it (AMENDS_WEBHOOK_SECRETS)
    GET  /health

    A webhook is answered 200 once it is on disk, and an agent hears of a bad rating about a second later, through
    Prefect: the server of PREFECT_API_URL, or that of a running `amends serve` (which starts a desk by itself).
    Without one webhooks are only taken in, and the next sweep goes on from there.
    """
    from amends.domain.journey import load_journey
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.shipped import all_journeys

    loaded = [load_journey(file) for file in journeys or all_journeys()]
    settings = read_settings()
    prepare_prefect(settings, log_level="ERROR")
    # Without it webhooks are kept all the same, so they need not wait for it.
    with opened_store(settings, may_be_away=True) as store:
        from cli.keeping_desk import keep_desk

        keep_desk(loaded, settings, store, host=host, port=port, until_stdin_closes=until_stdin_closes)
