"""Showing the demo's result: the funnel, the service levels, one customer's story, and where to look next."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from amends.store.reports import SlaLine
from amends.store.timeline import Entry
from cli.demo.play import Played
from cli.verifying import in_a_line, show_violations

_STAGES = (
    ("feedback", "ratings received"),
    ("low_ratings", "bad ratings"),
    ("cases", "cases (ratings of one customer merged)"),
    ("acknowledged", "customers apologised to"),
    ("tickets", "tickets opened"),
    ("notified", "tickets an agent was told of"),
    ("surveys_sent", "surveys sent"),
    ("surveys_answered", "surveys answered"),
    ("satisfied", "customers satisfied again"),
    ("vouchers", "vouchers given"),
    ("closed", "cases closed"),
)


def show(
    console: Console, played: Played, levels: Sequence[SlaLine], story: Sequence[Entry], zone: ZoneInfo
) -> None:
    """Print everything a person wants to see; times in the brand's zone."""
    figures = played.figures
    console.print()
    console.print(_funnel(figures))
    console.print(_service_levels(levels, figures["escalations"]))
    if story:
        console.print(_story(story, zone))
    book = played.audit
    verdict = "[green]nothing sent twice, nobody forgotten[/]"
    if book.duplicates or book.lost:
        verdict = f"[red]{len(book.duplicates)} sent twice, {len(book.lost)} forgotten[/]"
    console.print(f"\nThe vendor's own book of {book.requests:,} requests against our inbox: {verdict}.")
    for problem in (*book.duplicates[:5], *book.lost[:5]):
        console.print(f"  [red]{problem}[/]")
    show_violations(played.findings)
    console.print(f"Our own books: {in_a_line(played.findings)}.", highlight=False)


def _funnel(figures: dict[str, int]) -> Table:
    table = Table(title="From a bad rating to a kept customer", title_justify="left")
    table.add_column("Stage")
    table.add_column("Count", justify="right")
    table.add_column("", no_wrap=True)
    widest = max(figures["cases"], figures["low_ratings"], 1)
    for name, title in _STAGES:
        count = figures[name]
        bar = "█" * round(30 * min(count, widest) / widest)
        table.add_row(title, f"{count:,}", f"[cyan]{bar}[/]")
    table.caption = (
        f"{figures['quarantined']} bad rows kept in quarantine; {figures['open']} cases still open"
    )
    table.caption_justify = "left"
    return table


def _service_levels(levels: Sequence[SlaLine], escalations: int) -> Table:
    table = Table(title="Service levels", title_justify="left")
    for title in ("Severity", "Target"):
        table.add_column(title)
    for title in ("Met", "Missed", "Running", "Met share"):
        table.add_column(title, justify="right")
    for line in levels:
        share = f"{line.share_met:.0%}" if line.share_met is not None else "-"
        kind = line.kind.value.replace("_", " ")
        table.add_row(line.severity, kind, str(line.met), str(line.breached), str(line.running), share)
    table.caption = f"{escalations} escalations went up the ladder"
    table.caption_justify = "left"
    return table


def _story(story: Sequence[Entry], zone: ZoneInfo) -> Table:
    table = Table(title=f"One customer's story: AM{story[0].case_id:06d}", title_justify="left")
    for title in ("When", "What", "Details", "Who"):
        table.add_column(title, overflow="fold")
    for entry in story:
        when = entry.at.astimezone(zone).strftime("%a %d/%m %H:%M")
        table.add_row(when, entry.event, entry.detail, entry.actor)
    return table
