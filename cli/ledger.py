"""`amends ledger`: what was sent and what became of it, and putting right what no machine can know."""

from typing import Annotated

import typer

ledger = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Everything that was sent or tried: list it, and settle, retry or cancel single effects.

An effect is one message, notification or voucher. It is uncertain when its call may have left and nothing tells
whether it arrived. Look it up at the vendor, then say what you found:

\b
  amends ledger list --state uncertain
  amends ledger settle 17 --sent --by hoa --why "in Zalo's message list"
  amends ledger settle 18 --not-sent --by hoa --why "asked her, nothing came"
  amends ledger retry 18 --by hoa --why "asked her, nothing came"

Add --dry-run to see what would change. Exit codes: 0 done, 1 refused, 2 a mistake in the words.
""",
)

Ids = Annotated[
    list[int], typer.Argument(metavar="ID...", min=1, max=10**18, help="Numbers of `amends ledger list`.")
]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; kept in the log.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; kept in the log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would change, and change nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@ledger.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="sending, accepted, refused, waiting, uncertain or cancelled; may be repeated.",
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option(metavar="STEP", help="acknowledge, notify_agent, survey, reward, ...")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="zns, zalo_chat, email, notify.")
    ] = None,
    journey: Annotated[str | None, typer.Option(metavar="NAME", help="Only this journey's.")] = None,
    case: Annotated[str | None, typer.Option(metavar="ID", help="Only this case's: 42 or AM000042.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="The vendor's code, such as -118.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Last tried on this day or later: 2026-11-02, in the brand's zone."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="Last tried on this day or before.")
    ] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="Oldest first; else newest first.")] = False,
    after: Annotated[
        int | None,
        typer.Option(metavar="ID", min=1, max=10**18, help="Go on after this one, the last of a page."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Effects, newest first. Every filter that is given must fit."""
    from cli.installation import opened_store, read_settings
    from cli.ledger_work import Wanted, read_effects, show_effects

    wanted = Wanted(state or [], step, channel, journey, case, code, since, until)
    with opened_store(read_settings()) as store:
        found = read_effects(store, wanted, limit=limit, after=after, oldest=oldest)
    show_effects(found, as_json=as_json)


@ledger.command()
def show(
    effect_id: Annotated[int, typer.Argument(metavar="ID", min=1, max=10**18, help="The effect's number.")],
    as_json: AsJson = False,
) -> None:
    """One effect with its history: the timeline of its step, and what was done by hand."""
    from cli.installation import opened_store, read_settings
    from cli.ledger_work import read_effect, show_effect

    with opened_store(read_settings()) as store:
        found = read_effect(store, effect_id)
    show_effect(found, as_json=as_json)


@ledger.command()
def settle(
    effect_ids: Ids,
    by: By,
    why: Why,
    sent: Annotated[bool, typer.Option("--sent", help="It arrived.")] = False,
    not_sent: Annotated[bool, typer.Option("--not-sent", help="It surely never arrived.")] = False,
    provider_id: Annotated[
        str | None, typer.Option(metavar="ID", help="With --sent: the vendor's id of the message.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="With --not-sent: and send it again.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Say what became of an uncertain effect.

    --sent: it counts as sent and is never sent again. --not-sent: it is over without having been sent; a voucher goes
    back to the budget, and no answer to the survey is waited for. Only say so when the vendor has told you: what
    arrived all the same would be sent twice by a retry.
    """
    from cli.guard import Trouble
    from cli.installation import opened_store, read_settings
    from cli.ledger_work import settle_effects
    from cli.words import who_and_why

    if sent == not_sent:
        raise Trouble("say what became of it: --sent or --not-sent", 2)
    if provider_id is not None and (not_sent or len(effect_ids) > 1):
        raise Trouble("--provider-id goes with --sent and one effect", 2)
    if retry and sent:
        raise Trouble("--retry goes with --not-sent: what was sent is not sent again", 2)
    by, why = who_and_why(by, why)
    with opened_store(read_settings()) as store:
        done = settle_effects(
            store,
            effect_ids,
            by,
            why,
            sent=sent,
            provider_id=provider_id,
            retry=retry,
            dry_run=dry_run,
        )
    raise typer.Exit(0 if done else 1)


@ledger.command()
def retry(effect_ids: Ids, by: By, why: Why, dry_run: DryRun = False) -> None:
    """Send again what was refused or cancelled, or now what waits.

    The next sweep sends it on the same channel, under the same key and with all the usual rules. What it would not
    send (opted out, too late, case closed) is refused here. A voucher is reserved again within the budget.
    """
    from cli.installation import opened_store, read_settings
    from cli.ledger_work import retry_effects
    from cli.words import who_and_why

    by, why = who_and_why(by, why)
    with opened_store(read_settings()) as store:
        done = retry_effects(store, effect_ids, by, why, dry_run=dry_run)
    raise typer.Exit(0 if done else 1)


@ledger.command()
def cancel(effect_ids: Ids, by: By, why: Why, dry_run: DryRun = False) -> None:
    """Call off what waits to be sent.

    Its step ends without it, no other channel is tried, and a voucher goes back to the budget.
    """
    from cli.installation import opened_store, read_settings
    from cli.ledger_work import cancel_effects
    from cli.words import who_and_why

    by, why = who_and_why(by, why)
    with opened_store(read_settings()) as store:
        done = cancel_effects(store, effect_ids, by, why, dry_run=dry_run)
    raise typer.Exit(0 if done else 1)
