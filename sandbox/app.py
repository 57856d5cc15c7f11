"""The sandbox as one ASGI app."""

from starlette.applications import Starlette

from sandbox import control, notify, zalo
from sandbox.state import Start, fresh


def create_app(start: Start) -> Starlette:
    """A fresh sandbox; its whole state is `app.state.sandbox`, in memory.

    The magic number that closes the connection needs `sandbox.wire.SandboxProtocol` under the app.
    """
    app = Starlette(routes=[*zalo.routes(), *notify.routes(), *control.routes()])
    app.state.sandbox = fresh(start)
    return app
