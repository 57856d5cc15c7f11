"""Zalo's OAuth v4 over HTTP: the page where the account's owner consents, and the exchange for tokens."""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox import oauth
from sandbox.envelope import state_of


def routes() -> list[Route]:
    return [
        Route("/v4/oa/access_token", access_token, methods=["POST"]),
        Route("/v4/oa/permission", permission, methods=["GET"]),
    ]


async def access_token(request: Request) -> Response:
    """Both grants; the body is a form, the app secret a header."""
    form = dict(parse_qsl((await request.body()).decode(errors="replace")))
    state = state_of(request)
    return JSONResponse(
        oauth.answer(state.tokens, request.headers.get("secret_key"), form, state.clock.now())
    )


async def permission(request: Request) -> Response:
    """A page with one link, or with `approve=1` (query) or `X-Approve: 1` the redirect behind that link."""
    query, state = request.query_params, state_of(request)
    redirect_uri = query.get("redirect_uri", "")
    if query.get("app_id") != oauth.APP_ID:
        return JSONResponse(oauth.problem(-14002, "Invalid app id."))
    if not _registered(redirect_uri):
        return JSONResponse(oauth.problem(-14003, "Invalid redirect uri."))
    if "1" not in (query.get("approve"), request.headers.get("X-Approve")):
        allow = escape(str(request.url.include_query_params(approve="1")))
        return HTMLResponse(_PAGE.format(app=oauth.APP_ID, account=oauth.OA_ID, allow=allow))
    code = state.tokens.consent(query.get("code_challenge", ""), state.clock.now())
    back = {"code": code, "oa_id": oauth.OA_ID}
    if "state" in query:
        back["state"] = query["state"]
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(back)}", 302)


def _registered(redirect_uri: str) -> bool:
    """At Zalo one address is registered in the console; here every address of this machine is."""
    try:
        parts = urlsplit(redirect_uri)
        return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    except ValueError:
        return False


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sandbox: consent</title>
<h1>Allow {app} to act for {account}?</h1>
<p>This is the sandbox, not Zalo. Nothing leaves this machine.</p>
<p><a href="{allow}">Allow</a></p>
</html>
"""
