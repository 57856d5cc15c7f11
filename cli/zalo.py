"""`amends zalo`: the consent of an Official Account."""

from typing import Annotated

import typer

zalo = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Zalo Official Accounts: log in.")


@zalo.callback()
def _zalo() -> None:
    # A group even with one command, so that there is room for the next.
    pass


@zalo.command()
def login(
    account: Annotated[
        str, typer.Option(help="The Official Account, by the name that journeys use (zalo_account).")
    ] = "default",
    paste: Annotated[
        bool,
        typer.Option("--paste", help="Ask for the address you were sent to, instead of listening for it."),
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    wait: Annotated[float, typer.Option(min=1, max=60, help="Minutes to wait for the consent.")] = 10,
) -> None:
    """Let an Official Account's administrator allow Amends to speak for it.

    Opens Zalo's page of consent, takes the code it sends back, and stores the tokens, sealed. Do it once at the
    start, and again when `amends doctor` or an incident asks for it. The address in AMENDS_ZALO__REDIRECT_URI must be
    the one in Zalo's console; with an address on this machine (http://127.0.0.1:8901/zalo) nothing is to be copied.
    """
    from cli.installation import opened_store, read_settings

    settings = read_settings()
    with opened_store(settings) as store:
        from cli.consent import log_in

        log_in(settings, store, account, paste=paste, browser=browser, minutes=wait)
