"""The sandbox as one ASGI app."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from sandbox import acting, consent, control, notify, oa, switches, template_api, zalo
from sandbox.faults import with_faults
from sandbox.state import Start, fresh


def create_app(start: Start) -> Starlette:
    """A fresh sandbox; its whole state is `app.state.sandbox`, in memory.

    Faults that drop the connection need `sandbox.wire.SandboxProtocol` under the app.
    """
    groups = (zalo, oa, consent, template_api, notify, control, switches, acting)
    routes = [route for group in groups for route in group.routes()]
    app = Starlette(routes=routes, middleware=[Middleware(with_faults)])
    app.state.sandbox = fresh(start)
    return app
