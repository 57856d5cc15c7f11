"""Which channels open for which settings, and that one entry is enough to send through all of them."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from amends.settings import Settings
from connectors.ports import Recipient
from connectors.registry import open_connectors
from tests.connectors.rig import (
    EMAIL,
    PHONE,
    Clock,
    MemoryVault,
    accepted,
    message,
    vault_with,
    wire_server,
    zalo_settings,
)
from tests.connectors.smtp_rig import MailScript, mail_host


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


async def test_only_notify_without_settings() -> None:
    async with open_connectors(settings(), Clock(), MemoryVault()) as connectors:
        assert set(connectors.channels) == {"notify"}
        assert connectors.ratings == {}


async def test_everything_opens_sends_and_closes(tmp_path: Path) -> None:
    script = MailScript()
    inbox = tmp_path / "lan.jsonl"
    async with wire_server(lambda _: accepted()) as vendor:
        with mail_host(script):
            full = settings(
                zalo=zalo_settings(vendor.url),
                contacts={"lan": SecretStr(f"amends-file://{inbox}")},
                customer_mail_url=SecretStr(f"mailto://127.0.0.1:{script.port}?from=care@shop.vn"),
            )
            async with open_connectors(full, Clock(), vault_with()) as connectors:
                assert set(connectors.channels) == {"zns", "zalo_chat", "email", "notify"}
                assert set(connectors.ratings) == {"zns"}
                for name, channel in connectors.channels.items():
                    assert channel.name == name
                    everywhere = Recipient(phone=PHONE, email=EMAIL, zalo_uid="1234567890", contact="lan")
                    assert (await channel.send(message(recipient=everywhere))).accepted
            with pytest.raises(RuntimeError, match="async with"):
                await connectors.channels["zns"].send(message())
    sends = [request.path for request in vendor.requests if request.method == "POST"]
    assert sends == ["/message/template", "/v3.0/oa/message/cs"]
    assert len(script.mails) == len(inbox.read_text().splitlines()) == 1


async def test_secrets_stay_out_of_a_repr() -> None:
    full = settings(
        zalo=zalo_settings("http://127.0.0.1:9"),
        contacts={"lan": SecretStr("slack://hunter2-password/b/c")},
        customer_mail_url=SecretStr("mailtos://care:hunter2-password@shop.vn"),
    )
    async with open_connectors(full, Clock(), MemoryVault()) as connectors:
        shown = repr(connectors)
    assert "hunter2-password" not in shown
    assert "very-secret-app-key" not in shown
