"""Examining an installation: every connector speaks for itself, nobody is messaged, one failure hides no other."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from amends.clock import SystemClock
from amends.domain.contacts import mask
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.encryption import cipher_of
from amends.settings import Settings
from amends.store import incidents
from amends.store.engine import Store
from amends.store.opening import open_spool
from cli.show import moment, print_json
from cli.template_uses import messages_of, template_uses
from connectors.examination import Finding, TemplateUse
from connectors.mail import CustomerMail
from connectors.notify import AppriseNotifier
from connectors.ports import VaultProblem
from connectors.zalo.account import ZaloAccount
from desk.standard_webhooks import new_secret, read_secrets
from tasks.vault import StoreVault
from tasks.webhooks import doors_of

_MARKS = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "red")}


def examine(journeys: Sequence[ComplaintJourney], settings: Settings, store: Store) -> list[Finding]:
    """Look at everything; takes as long as the slowest vendor, a few seconds commonly."""
    console = Console(stderr=True)
    looks = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*looks, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("asking Zalo, the mail server and the staff contacts ...", total=None)
        found = [*_own(settings, store), *asyncio.run(_vendors(journeys, settings, store))]
    return [*found, *_webhooks(journeys, settings), *_broken(journeys, store)]


def examine_templates(journey: ComplaintJourney, settings: Settings, store: Store) -> list[Finding]:
    """What Zalo says of the templates of one journey; empty when it uses none, or the account is not set up."""
    uses = template_uses(journey)
    if not uses or settings.zalo_account(journey.zalo_account) is None:
        return []
    found = asyncio.run(_zalo(journey.zalo_account, uses, settings, store))
    return [finding for finding in found if " template " in finding.what or finding.state == "problem"]


def _own(settings: Settings, store: Store) -> Iterator[Finding]:
    yield Finding("database", "ok", f"{store.engine.dialect.name} answers, schema up to date")
    if settings.encryption_keys:
        yield Finding("encryption keys", "ok", f"{len(settings.encryption_keys)} in AMENDS_ENCRYPTION_KEYS")
    elif store.is_postgres:
        told = "a key file in AMENDS_HOME; other hosts cannot open this database without it"
        yield Finding(
            "encryption keys",
            "warning",
            told,
            "set the same AMENDS_ENCRYPTION_KEYS on all hosts, that of the file",
        )
    else:
        yield Finding(
            "encryption keys", "ok", "a key file in AMENDS_HOME; keep a copy apart from the database's"
        )


async def _vendors(journeys: Sequence[ComplaintJourney], settings: Settings, store: Store) -> list[Finding]:
    uses: dict[str, list[TemplateUse]] = {name: [] for name in settings.all_zalo_accounts()}
    for journey in journeys:
        uses.setdefault(journey.zalo_account, []).extend(template_uses(journey))
    work = [_zalo(name, wanted, settings, store) for name, wanted in uses.items()]
    contacts = sorted(
        {contact for journey in journeys for contact in journey.contacts()} | set(settings.contacts)
    )
    parts = await asyncio.gather(*work, _mail(journeys, settings), _contacts(contacts, settings))
    return [finding for part in parts for finding in part]


async def _zalo(name: str, uses: Sequence[TemplateUse], settings: Settings, store: Store) -> list[Finding]:
    account = settings.zalo_account(name)
    if account is None:
        if not uses:
            return []
        wanted = ", ".join(sorted({use.used_by for use in uses}))
        fix = (
            "set AMENDS_ZALO__APP_ID and its fellows"
            if name == "default"
            else f"add {name} to AMENDS_ZALO_ACCOUNTS"
        )
        return [Finding(f"Zalo {name}", "problem", f"is not set up, and {wanted} would go through it", fix)]
    try:
        vault = StoreVault(store, cipher_of(settings))
        async with ZaloAccount(name, account, SystemClock().now, vault) as zalo:
            found = await zalo.examine(uses)
            prefix = "Zalo" if name == DEFAULT_ACCOUNT else f"Zalo {name}"
            return [replace(finding, what=f"{prefix} {finding.what}") for finding in found]
    except VaultProblem as error:
        fix = "put that key back into AMENDS_ENCRYPTION_KEYS, or amends zalo login"
        return [Finding(f"Zalo {name}", "problem", str(error), fix)]


async def _mail(journeys: Sequence[ComplaintJourney], settings: Settings) -> list[Finding]:
    wanted = any(
        "email" in journey.channels and any(message.email for message in messages_of(journey).values())
        for journey in journeys
    )
    if settings.customer_mail_url is None:
        if not wanted:
            return []
        fix = "set AMENDS_CUSTOMER_MAIL_URL, or take email out of the journey's channels"
        return [
            Finding("mail server", "problem", "mail to customers is not set up; these mails would wait", fix)
        ]
    async with CustomerMail(settings.customer_mail_url, SystemClock().now) as mail:
        return [await mail.examine()]


async def _contacts(names: Sequence[str], settings: Settings) -> list[Finding]:
    async with AppriseNotifier(settings.contacts, SystemClock().now) as notifier:
        return await notifier.examine(names)


def _webhooks(journeys: Sequence[ComplaintJourney], settings: Settings) -> Iterator[Finding]:
    try:
        doors = doors_of(journeys, settings)
    except ValueError as error:
        yield Finding("webhooks", "problem", str(error), "rename one of the sources")
        return
    for name in doors.posted:
        if name not in settings.webhook_secrets:
            fix = f'add "{name}" to AMENDS_WEBHOOK_SECRETS'
            yield Finding(
                f"webhook source {name}", "problem", "has no secret, so its webhooks are refused", fix
            )
    for name, secret in settings.webhook_secrets.items():
        if name not in doors.posted:
            told = "has a secret, but is a source of none of these journeys: its webhooks are refused"
            yield Finding(
                f"webhook source {name}", "warning", told, "add the source to a journey, or correct its name"
            )
        try:
            read_secrets(name, secret)
        except ValueError as error:
            fix = f'correct "{name}" in AMENDS_WEBHOOK_SECRETS, e.g. {new_secret()}; no desk starts before'
            yield Finding(f"webhook source {name}", "problem", str(error), fix)
    if settings.spool_file().exists():
        spool = open_spool(settings)
        waiting = spool.waiting()
        spool.close()
        if waiting:
            fix = "start the desk (amends serve, or amends desk); the next sweep in this home takes them too"
            yield Finding(
                "webhooks", "warning", f"{waiting:,} wait on disk to be taken into the database", fix
            )


def _broken(journeys: Sequence[ComplaintJourney], store: Store) -> Iterator[Finding]:
    zone = journeys[0].zone if journeys else ZoneInfo("UTC")
    with store.read() as tx:
        open_now = incidents.still_open(tx)
    for incident in open_now:
        since = moment(incident.opened_at, zone)
        told = f"{mask(incident.detail)} [{incident.code}], {incident.times:,} times since {since}"
        yield Finding(
            f"incident {incident.stopped}", "problem", told, "it closes by itself once it works again"
        )


def show(found: Sequence[Finding], *, as_json: bool) -> None:
    """What was found, worst last, where a terminal ends."""
    scrubbed = [replace(one, told=mask(one.told), fix=mask(one.fix)) for one in found]
    if as_json:
        print_json(
            {
                "ok": not any(one.state == "problem" for one in found),
                "findings": [asdict(one) for one in scrubbed],
            }
        )
        return
    for state, (mark, colour) in _MARKS.items():
        for finding in (one for one in scrubbed if one.state == state):
            typer.echo(f"{typer.style(mark, fg=colour)}  {finding.what}: {finding.told}")
            if finding.fix and state != "ok":
                typer.echo(f"         Fix: {finding.fix}")
    problems = sum(one.state == "problem" for one in found)
    typer.echo(
        f"{len(found)} looked at, {problems} to fix."
        if problems
        else f"{len(found)} looked at, nothing to fix."
    )
