"""Typed HTTP clients of our own services, speaking `libs.contracts`.

    AlertsClient, ContextClient, HolmesClient, NotificationsClient
      └── Peer      one base URL: deadline, credential, size limit, error translation
            └── Breaker   leaves a failing peer alone for a while

Every call takes a `deadline` (time left; the whole call, answer included), sends it on as `X-Request-Deadline`,
and either returns a contract or raises `PeerUnavailable` (worth trying later) or `PeerRefused` (not worth it).
Nothing is retried here: retries are rows in the caller's database.
"""

from libs.clients.alerts import AlertsClient
from libs.clients.breaker import Breaker, BreakerState
from libs.clients.context import ContextClient
from libs.clients.errors import PeerError, PeerRefused, PeerUnavailable
from libs.clients.holmesgpt import HolmesClient
from libs.clients.notifications import NotificationsClient
from libs.clients.peer import TokenSource
from libs.clients.settings import (
    AlertsPeerSettings,
    ContextPeerSettings,
    HolmesPeerSettings,
    NotificationsPeerSettings,
)

__all__ = [
    "AlertsClient",
    "AlertsPeerSettings",
    "Breaker",
    "BreakerState",
    "ContextClient",
    "ContextPeerSettings",
    "HolmesClient",
    "HolmesPeerSettings",
    "NotificationsClient",
    "NotificationsPeerSettings",
    "PeerError",
    "PeerRefused",
    "PeerUnavailable",
    "TokenSource",
]
