"""The `amends demo` command: sets the stage, plays, and shows what happened."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from amends.domain.columns import parse_columns
from amends.domain.journey import load_journey
from amends.logs import set_up_logs
from amends.settings import Settings
from cli.installation import prepare_prefect

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "deployments" / "samples" / "reviews.tsv"
JOURNEY = ROOT / "deployments" / "journeys" / "complaint.yaml"

_FIGURES = (
    *("feedback", "quarantined", "low_ratings", "cases", "merged", "tickets", "acknowledged", "notified"),
    *("sla_met", "sla_breached", "escalations", "surveys_sent", "surveys_answered", "satisfied", "vouchers"),
    *("closed", "open", "uncertain"),
)


def demo(
    reviews: Sequence[Path],
    *,
    days: int,
    seed: int,
    database: str | None,
    columns: str | None,
    as_json: bool,
) -> int:
    """Play `days` days of `reviews` (the shipped sample when none are given); returns the exit code.

    Exit code 1 when the vendor's book shows anything sent twice or anybody forgotten, or when our own books do not
    agree. Raises FileProblem, JourneyProblem, StageProblem or ValueError with the fix, for the caller to print.
    """
    started = time.perf_counter()
    settings = Settings()
    prepare_prefect(settings, log_level="ERROR")
    set_up_logs("error")  # simulated customers without Zalo are no news here
    os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
    from prefect.settings import temporary_settings

    from amends.store import reports, timeline
    from cli.demo.feed import read_reviews
    from cli.demo.play import START, TICK, play
    from cli.demo.show import show
    from cli.demo.stage import demo_sources, set_stage
    from deployments.api import api_settings

    journey = load_journey(JOURNEY)
    window = timedelta(days=days)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    mapping = parse_columns(columns) if columns else None
    found = read_reviews(
        reviews or [SAMPLE],
        mapping,
        now=today,
        zone=journey.timezone,
        seed=seed,
        start=START,
        window=window,
    )
    progress = _progress()
    with ExitStack() as stack:
        stack.enter_context(progress)
        bar = progress.add_task("starting Prefect's server and the sandbox", total=window // TICK + 1, day="")
        stage = stack.enter_context(set_stage(settings.home, journey, seed=seed, database=database))
        journey = demo_sources(journey, stage.inbox)
        progress.update(bar, description="playing")

        def on_tick(now: datetime) -> None:
            progress.update(bar, advance=1, day=now.astimezone(journey.zone).strftime("%a %d/%m %H:%M"))

        with temporary_settings(api_settings(stage.api_url, settings.home / "prefect")):
            played = asyncio.run(
                play(
                    journey,
                    found,
                    stage.store,
                    stage.clock,
                    stage.sandbox,
                    inbox_folder=stage.inbox,
                    seed=seed,
                    days=days,
                    on_tick=on_tick,
                )
            )
        with stage.store.read() as tx:
            levels = reports.service_levels(tx, journey.name, stage.clock.now())
            story_of = reports.best_story(tx, journey.name)
            story = timeline.of_case(tx, story_of) if story_of else []
    seconds = round(time.perf_counter() - started, 1)
    violated = [finding.rule.id for finding in played.findings if finding.violated]
    if as_json:
        figures = {name: played.figures[name] for name in _FIGURES}
        figures |= {"vendor_requests": played.audit.requests, "sweeps": played.sweeps}
        for problem in (*played.audit.duplicates, *played.audit.lost):
            print(problem, file=sys.stderr)
        figures |= {"duplicate_requests": len(played.audit.duplicates), "lost": len(played.audit.lost)}
        figures |= {"violated": len(violated)}
        for rule_id in violated:
            print(f"violated: {rule_id}", file=sys.stderr)
        print(json.dumps({**figures, "seconds": seconds}))
    else:
        console = Console()
        show(console, played, levels, story, journey.zone)
        where = database or f"sqlite:///{settings.home / 'demo' / 'amends.db'}"
        _show_next(console, played.sweeps, days, seconds, where if database is None else None, story_of)
    return 1 if played.audit.duplicates or played.audit.lost or violated else 0


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sweeps"),
        TextColumn("{task.fields[day]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _show_next(
    console: Console, sweeps: int, days: int, seconds: float, sqlite: str | None, case_id: int | None
) -> None:
    console.print(f"\n{days} days in {sweeps} sweeps of the real flow, {seconds} s. Where to look next:")
    if sqlite:
        console.print(f"  AMENDS_DATABASE_URL={sqlite} amends status")
        if case_id is not None:
            console.print(f"  AMENDS_DATABASE_URL={sqlite} amends case {case_id}")
    console.print("  amends serve           the sweeps just played, run by run, in Prefect's UI")
    console.print("  deployments/journeys/complaint.yaml   what a marketer edits")
