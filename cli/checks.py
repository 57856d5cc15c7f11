"""What of a journey would not work with these settings. Reads files and settings, asks nobody, tells no secret."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amends.domain.journey import ComplaintJourney
from amends.domain.journey.aftercare import PooledCodes
from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.domain.journey.sources import FileSource, WebhookSource, ZnsRatingSource
from amends.settings import Settings
from cli.template_uses import messages_of
from connectors.apprise_contact import AppriseContact
from connectors.file_roots import FileRoots, fixed_part
from connectors.inbox_file import InboxFile
from connectors.outward import unlisted
from connectors.staff_webhook import webhook_hosts
from desk.standard_webhooks import new_secret, read_secrets


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would not work: the journey's field, what is wrong, and how to put it right."""

    field: str
    problem: str
    fix: str
    about_zalo: bool = False
    """Zalo cannot even be asked."""


def findings(journey: ComplaintJourney, settings: Settings) -> list[Finding]:
    """Everything that would not work, in the order of the journey's file."""
    roots = FileRoots(settings)
    return [
        *_files(journey, roots),
        *_zalo(journey, settings),
        *_webhooks(journey, settings),
        *_mail(journey, settings),
        *_contacts(journey, settings),
        *_pool(journey, roots),
        *_hosts(settings),
    ]


def _hosts(settings: Settings) -> Iterator[Finding]:
    for setting, host, port in unlisted(settings):
        yield Finding(
            setting,
            f"{host} is not in AMENDS_ALLOWED_HOSTS: nothing would be sent there",
            f'add "{host}:{port}" to AMENDS_ALLOWED_HOSTS, or correct {setting}',
        )


def _files(journey: ComplaintJourney, roots: FileRoots) -> Iterator[Finding]:
    for source in journey.sources:
        if not isinstance(source, FileSource):
            continue
        field, found = f"sources.{source.name}.path", roots.matching(source.path)
        folder = fixed_part(str(Path(source.path).parent))
        for problem in found.problems:
            yield Finding(field, f"{source.path} would not be read: {problem.problem}", problem.fix)
        if not found.problems and not folder.is_dir():
            yield Finding(
                field,
                f"there is no folder {folder}, seen from {Path.cwd()}",
                f"make it (mkdir -p '{folder}'), or run Amends where it is",
            )


def _zalo(journey: ComplaintJourney, settings: Settings) -> Iterator[Finding]:
    messages = messages_of(journey).items()
    users = [field for field, message in messages if message.zns and "zns" in journey.channels]
    users += [field for field, message in messages if message.zalo_chat and "zalo_chat" in journey.channels]
    users += [f"sources.{s.name}" for s in journey.sources if isinstance(s, ZnsRatingSource)]
    if not users:
        return
    account = settings.zalo_account(journey.zalo_account)
    told = f"Zalo is not set up, and {', '.join(dict.fromkeys(users))} use it: these messages would wait"
    if journey.zalo_account != DEFAULT_ACCOUNT:
        if account is None:
            fix = f'add "{journey.zalo_account}" to AMENDS_ZALO_ACCOUNTS, or correct zalo_account'
            yield Finding("zalo_account", told, fix, about_zalo=True)
        return
    needed = {
        "AMENDS_ZALO__APP_ID": account and account.app_id,
        "AMENDS_ZALO__SECRET_KEY": account and account.secret_key.get_secret_value(),
    }
    if missing := [name for name, value in needed.items() if not value]:
        steps = f"set {', '.join(missing)}, then amends zalo login (to try without Zalo: amends sandbox)"
        yield Finding("channels", told, steps, about_zalo=True)


def _webhooks(journey: ComplaintJourney, settings: Settings) -> Iterator[Finding]:
    for source in journey.sources:
        if not isinstance(source, WebhookSource):
            continue
        where, fix = (
            f"sources.{source.name}",
            f'add "{source.name}" to AMENDS_WEBHOOK_SECRETS, e.g. {new_secret()}',
        )
        if source.name not in settings.webhook_secrets:
            yield Finding(where, "has no secret in the settings: its webhooks would be refused", fix)
            continue
        try:
            read_secrets(source.name, settings.webhook_secrets[source.name])
        except ValueError as error:
            yield Finding(where, str(error), fix)


def _mail(journey: ComplaintJourney, settings: Settings) -> Iterator[Finding]:
    users = [field for field, message in messages_of(journey).items() if message.email]
    if "email" in journey.channels and users and settings.customer_mail_url is None:
        yield Finding(
            "channels",
            f"mail to customers is not set up, and {', '.join(users)} would use it: these mails would wait",
            "set AMENDS_CUSTOMER_MAIL_URL, or take email out of the channels",
        )


def _contacts(journey: ComplaintJourney, settings: Settings) -> Iterator[Finding]:
    for name in sorted(journey.contacts()):
        url = settings.contacts.get(name)
        if url is None:
            yield Finding(
                f"contact {name}",
                "has no address in the settings: these notifications would not be sent",
                f'add "{name}" to AMENDS_CONTACTS, e.g. {{"{name}": "slack://..."}} (any Apprise URL)',
            )
        elif not _understood(url.get_secret_value()):
            yield Finding(
                f"contact {name}",
                "has an address that Apprise does not understand",
                f'correct "{name}" in AMENDS_CONTACTS (any Apprise URL)',
            )


def _understood(url: str) -> bool:
    try:
        return bool(InboxFile.from_url(url) or webhook_hosts(url) or AppriseContact(url))
    except ValueError:
        return False


def _pool(journey: ComplaintJourney, roots: FileRoots) -> Iterator[Finding]:
    codes = journey.reward.codes
    if not journey.reward.enabled or not isinstance(codes, PooledCodes):
        return
    field, path = "reward.codes.path", Path(codes.path)
    if (problem := roots.refusal(path)) is not None:
        told = f"{codes.path} would not be read, so no voucher can be given: {problem.problem}"
        yield Finding(field, told, problem.fix)
    elif not path.is_file():
        yield Finding(
            field,
            f"there is no file {codes.path}, seen from {Path.cwd()}: no voucher can be given",
            "put the codes there, one a line, or use codes: {kind: generated}",
        )
