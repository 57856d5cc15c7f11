"""Every address in the settings that requests go to, and which of them the operator's own list does not have."""

from collections.abc import Iterator

from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.settings import Settings
from connectors.apprise_contact import AppriseContact
from connectors.egress import origin_of
from connectors.inbox_file import InboxFile
from connectors.mail_server import mail_server
from connectors.staff_webhook import webhook_hosts

Place = tuple[str, str, int]
"""The setting that names it, host, and port."""


def unlisted(settings: Settings) -> list[Place]:
    """What `AMENDS_ALLOWED_HOSTS` keeps us from; empty without a list. Asks nobody, tells no more than the host."""
    if settings.allowed_hosts is None:
        return []
    allowed = settings.allowed()
    return [(setting, host, port) for setting, host, port in _places(settings) if not allowed.has(host, port)]


def _places(settings: Settings) -> Iterator[Place]:
    for name, account in settings.all_zalo_accounts().items():
        for field in ("oauth_url", "business_url", "openapi_url"):
            where = (
                f"AMENDS_ZALO__{field.upper()}"
                if name == DEFAULT_ACCOUNT
                else f"{field} of {name} in AMENDS_ZALO_ACCOUNTS"
            )
            if (origin := origin_of(getattr(account, field))) is not None:
                yield where, origin[1], origin[2]
    if settings.customer_mail_url is not None:
        server = mail_server(settings.customer_mail_url.get_secret_value())
        if server is not None:
            yield "AMENDS_CUSTOMER_MAIL_URL", server.host, server.port
    for name, url in settings.contacts.items():
        for host, port in _hosts_of(url.get_secret_value()):
            yield f'"{name}" in AMENDS_CONTACTS', host, port


def _hosts_of(url: str) -> list[tuple[str, int]]:
    if InboxFile.from_url(url):
        return []
    try:
        return webhook_hosts(url) or AppriseContact(url).hosts
    except ValueError:
        return []  # no address at all, which is another finding
