"""The consent step of Zalo's OAuth v4: a page in the browser, a code that comes back, tokens in the store."""

import asyncio
import hmac
import secrets
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import typer

from amends.clock import SystemClock
from amends.domain.journey.base import DEFAULT_ACCOUNT
from amends.domain.outcome import Outcome
from amends.encryption import cipher_of
from amends.settings import Settings, ZaloSettings
from amends.store.engine import Store
from cli.guard import Trouble, warn
from connectors.ports import Tokens
from connectors.zalo.account import ZaloAccount
from connectors.zalo.oauth import challenge_of, consent_url, new_verifier
from tasks.vault import StoreVault

_DONE = "Xong. Bạn có thể đóng trang này. / Done. You may close this page."


def log_in(
    settings: Settings, store: Store, name: str, *, paste: bool, browser: bool, minutes: float
) -> None:
    """Walk through the consent of account `name`. Raises Trouble with the fix."""
    account = settings.zalo_account(name)
    if account is None:
        fix = (
            "set AMENDS_ZALO__APP_ID and its fellows"
            if name == DEFAULT_ACCOUNT
            else f'add "{name}" to AMENDS_ZALO_ACCOUNTS'
        )
        raise Trouble(f"there is no Zalo account {name!r} in the settings; {fix}", 2)
    if not account.app_id or not account.secret_key.get_secret_value():
        raise Trouble(
            f"Zalo account {name}: set its app_id and secret_key first (Zalo's developer console)", 2
        )
    verifier = account.code_verifier.get_secret_value() or new_verifier()
    state = secrets.token_urlsafe(24)
    url = consent_url(account, challenge_of(verifier), state)
    listening = not paste and _is_here(account)
    server = _listen(account) if listening else None
    typer.echo(f"Open this page as an administrator of the Official Account, and allow it:\n  {url}")
    if browser:
        typer.launch(url)
    found = _caught(server, minutes) if server else _pasted()
    code, oa_id = _code_in(found, state)
    if account.oa_id and oa_id and oa_id != account.oa_id:
        raise Trouble(
            f"consent was given for Official Account {oa_id}, the settings say {account.oa_id}; log in again"
        )
    tokens = asyncio.run(_exchange(settings, store, name, account, code, verifier))
    until = tokens.expires_at.astimezone().strftime("%d/%m/%Y %H:%M %Z")
    typer.echo(
        f"Done. The tokens of account {name} are stored, sealed; they renew themselves (next before {until})."
    )
    if oa_id and not account.oa_id:
        typer.echo(f"Set AMENDS_ZALO__OA_ID={oa_id} too: webhooks name it.")


async def _exchange(
    settings: Settings, store: Store, name: str, account: ZaloSettings, code: str, verifier: str
) -> Tokens:
    vault = StoreVault(store, cipher_of(settings))
    async with ZaloAccount(name, account, SystemClock().now, vault, allowed=settings.allowed()) as zalo:
        answer = await zalo.tokens.log_in(code, verifier)
    if isinstance(answer, Outcome):
        raise Trouble(f"Zalo gave no tokens: {answer.detail} [{answer.code}]")
    return answer


def _is_here(account: ZaloSettings) -> bool:
    parts = urlsplit(account.redirect_uri)
    return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")


class _Callback(HTTPServer):
    caught: str | None = None
    path_wanted = "/"


class _Catch(BaseHTTPRequestHandler):
    server: _Callback
    timeout = 10

    def do_GET(self) -> None:
        ours = urlsplit(self.path).path == self.server.path_wanted
        self.send_response(200 if ours else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        if ours:
            self.server.caught = self.path
            self.wfile.write(_DONE.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass  # the request line holds the code


def _listen(account: ZaloSettings) -> _Callback:
    parts = urlsplit(account.redirect_uri)
    port = parts.port or 80
    try:
        server = _Callback(("127.0.0.1", port), _Catch)
    except OSError as error:
        raise Trouble(
            f"port {port} of AMENDS_ZALO__REDIRECT_URI cannot be used ({error.strerror}); free it, or use --paste"
        ) from None
    server.path_wanted = parts.path or "/"
    return server


def _caught(server: _Callback, minutes: float) -> str:
    warn(f"waiting for the consent, {minutes:g} minutes at most (Ctrl-C to stop) ...")
    deadline = datetime.now(UTC).timestamp() + minutes * 60
    with server:
        while server.caught is None:
            left = deadline - datetime.now(UTC).timestamp()
            if left <= 0:
                raise Trouble("nobody gave consent in time; run `amends zalo login` again")
            server.timeout = left
            server.handle_request()
    return server.caught


def _pasted() -> str:
    return str(
        typer.prompt("The address that the browser was sent to after the consent", hide_input=True)
    ).strip()


def _code_in(address: str, state: str) -> tuple[str, str]:
    """Code and OA id of the callback. The state must be ours: else somebody else's consent would be stored."""
    query = {
        name: values[0] for name, values in parse_qs(address.partition("?")[2].partition("#")[0]).items()
    }
    if not query.get("code"):
        raise Trouble(
            "the address has no code: consent was refused, or it is not the whole address; log in again"
        )
    # Zalo's pages leave open whether `state` comes back; when it does it has to be ours.
    if "state" in query and not hmac.compare_digest(query["state"].encode(), state.encode()):
        raise Trouble("the address belongs to another log-in (its state differs); log in again")
    return query["code"], query.get("oa_id", "")
