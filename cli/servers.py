"""`amends serve` and `amends sandbox`: the two commands that keep running until Ctrl-C."""

from datetime import time
from pathlib import Path
from typing import Annotated

import typer


def serve(
    journeys: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[JOURNEY.yaml]...", help="None: all of deployments/journeys/."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, max=1440, help="Minutes between two sweeps.")] = 5,
    daily_at: Annotated[
        str, typer.Option(help="When the daily sweep reads ratings back, in the brand's zone.")
    ] = "06:30",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's server and pages.")] = 4200,
    host: Annotated[
        str, typer.Option(help="Address it listens on. Prefect asks nobody for a password by itself.")
    ] = "127.0.0.1",
    server: Annotated[
        bool,
        typer.Option("--server/--no-server", help="Start Prefect's server, unless PREFECT_API_URL is set."),
    ] = True,
    desk_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the webhooks (amends desk); 0: no desk.")
    ] = 4280,
    verify_every: Annotated[
        int, typer.Option(min=0, max=1440, help="Minutes between two audits (amends verify); 0: none.")
    ] = 60,
) -> None:
    """Prefect's server, the schedules, and the desk that takes webhooks in.

    Serves journeys until Ctrl-C: each is swept every few minutes, and once a day reading ratings back. Every hour all
    books are verified. The desk runs when a secret for webhooks is set: AMENDS_ZALO__WEBHOOK_SECRET, or one of
    AMENDS_WEBHOOK_SECRETS.
    """
    from amends.domain.journey import load_journey
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.shipped import all_journeys

    at = _time_of_day(daily_at)
    files = journeys or all_journeys()
    loaded = [load_journey(file) for file in files]
    settings = read_settings()
    with opened_store(settings):
        pass  # a database that is away or of no use is told here, not by every run
    prepare_prefect(settings, log_level="INFO")

    from cli.keeping import serve_journeys

    serve_journeys(
        loaded,
        settings,
        files=files,
        every=every,
        daily_at=at,
        port=port,
        host=host,
        server=server,
        desk_port=desk_port,
        verify_every=verify_every,
    )


def _time_of_day(text: str) -> time:
    from cli.guard import Trouble

    try:
        return time.fromisoformat(text)
    except ValueError:
        raise Trouble(f"--daily-at: {text!r} is no time of day; write it as 06:30", 2) from None


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8900,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 7,
    faults: Annotated[
        Path | None, typer.Option(help="When and how it misbehaves: a script, YAML or JSON (docs/faults.md).")
    ] = None,
    webhooks: Annotated[
        str | None, typer.Option(metavar="URL", help="Where its signed webhooks go; none: nowhere.")
    ] = None,
) -> None:
    """A made-up Zalo on this machine.

    Runs it and a sink for notifications until Ctrl-C, and prints the settings that point at them. `python -m sandbox
    --help` lists its templates, phone numbers with a fixed fate, and controls.
    """
    from cli.pretending import keep_sandbox

    keep_sandbox(port, seed, faults, webhooks)
