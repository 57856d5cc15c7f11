"""Opens every connector that the settings name, once per sweep, and closes them all again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.settings import Settings
from connectors.base import Clock
from connectors.mail import CustomerMail
from connectors.notify import AppriseNotifier
from connectors.ports import Channel, RatingSource, TokenVault
from connectors.zalo.account import ZaloAccount
from connectors.zalo.memory import TemplateMemory


@dataclass(frozen=True, slots=True)
class Connectors:
    """The open connectors by channel name: `zns` and `zalo_chat`, `email`, `notify`; ratings come from `zns`."""

    channels: Mapping[str, Channel]
    ratings: Mapping[str, RatingSource]
    zalo: ZaloAccount | None = None
    """The Official Account, for what is no message: delivery states, the care of its tokens, examinations."""


@asynccontextmanager
async def open_connectors(
    settings: Settings,
    clock: Clock,
    vault: TokenVault,
    zalo_account: str = DEFAULT_ACCOUNT,
    memory: TemplateMemory | None = None,
) -> AsyncIterator[Connectors]:
    """`zns` and `zalo_chat` when that Official Account is set, `email` when the customer mail URL is, `notify` always.

    `memory` keeps what Zalo said of templates and quotas from one opening to the next. Opening asks no vendor
    anything. Must be entered, used and left in one event loop.
    """
    async with AsyncExitStack() as stack:
        allowed = settings.allowed()
        notify = await stack.enter_async_context(AppriseNotifier(settings.contacts, clock, allowed))
        channels: dict[str, Channel] = {notify.name: notify}
        ratings: dict[str, RatingSource] = {}
        zalo = None
        if (account := settings.zalo_account(zalo_account)) is not None:
            zalo = await stack.enter_async_context(
                ZaloAccount(zalo_account, account, clock, vault, memory=memory, allowed=allowed)
            )
            channels |= {channel.name: channel for channel in (zalo.zns, zalo.chat)}
            ratings["zns"] = zalo
        if settings.customer_mail_url is not None:
            mail = await stack.enter_async_context(
                CustomerMail(settings.customer_mail_url, clock, allowed=allowed)
            )
            channels[mail.name] = mail
        yield Connectors(channels, ratings, zalo)
