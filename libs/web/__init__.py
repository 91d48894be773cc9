"""HTTP for every service: one factory, one Edge in front of FastAPI, one way to boot.

app.py       create_app: settings and routers in, FastAPI application out
edge.py      what is done for every request, in one pure-ASGI wrapper
fast.py      routes that are answered before FastAPI is entered
problems.py  errors as problem details (RFC 9457)
health.py    /health and /ready from background checks
server.py    boots one process in its role; ends it gracefully
sockets.py   WebSockets: who is let in before the handshake, and asked again for each question
protocol.py  the absolute receive deadline, below ASGI
tls.py       the certificate that is shown, and what follows when its files change
"""

from libs.web.app import create_app, ports
from libs.web.deadline import TimeLeft, TimeSpent, within
from libs.web.fast import FastRequest, FastResponse, FastRoute, fast_route
from libs.web.info import Check, Checks, Problems, ProblemSpec, ServiceInfo
from libs.web.server import serve
from libs.web.settings import Role, WebSettings

__all__ = [
    "Check",
    "Checks",
    "FastRequest",
    "FastResponse",
    "FastRoute",
    "ProblemSpec",
    "Problems",
    "Role",
    "ServiceInfo",
    "TimeLeft",
    "TimeSpent",
    "WebSettings",
    "create_app",
    "fast_route",
    "ports",
    "serve",
    "within",
]
