"""Opens every connector that the settings name, once per sweep, and closes them all again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from amends.settings import Settings
from connectors.base import Clock
from connectors.mail import CustomerMail
from connectors.notify import AppriseNotifier
from connectors.ports import Channel, RatingSource, TokenVault
from connectors.zalo import ZaloZns


@dataclass(frozen=True, slots=True)
class Connectors:
    """The open connectors by channel name: `zns`, `email`, `notify`; ratings come from `zns`."""

    channels: Mapping[str, Channel]
    ratings: Mapping[str, RatingSource]


@asynccontextmanager
async def open_connectors(settings: Settings, clock: Clock, vault: TokenVault) -> AsyncIterator[Connectors]:
    """`zns` when Zalo is set, `email` when the customer mail URL is set, `notify` always.

    Opening asks no vendor anything. Must be entered, used and left in one event loop.
    """
    async with AsyncExitStack() as stack:
        channels: dict[str, Channel] = {
            "notify": await stack.enter_async_context(AppriseNotifier(settings.contacts, clock))
        }
        ratings: dict[str, RatingSource] = {}
        if settings.zalo is not None:
            zalo = await stack.enter_async_context(ZaloZns(settings.zalo, clock, vault))
            channels["zns"], ratings["zns"] = zalo, zalo
        if settings.customer_mail_url is not None:
            channels["email"] = await stack.enter_async_context(
                CustomerMail(settings.customer_mail_url, clock)
            )
        yield Connectors(channels, ratings)
