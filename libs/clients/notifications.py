"""The notifications service, as its callers see it."""

from __future__ import annotations

from datetime import timedelta

from libs.clients.peer import Peer, segment
from libs.contracts.notifications import Notification, NotificationRequest

_ROOT = "/api/v1/notifications"


class NotificationsClient(Peer):
    """Calls the notifications service. Raises what `Peer.call` raises."""

    name = "notifications"

    async def send(
        self, request: NotificationRequest, *, idempotency_key: str, tenant: str, deadline: timedelta
    ) -> Notification:
        """Have a notification committed for delivery; the same key and request give the same notification."""
        return await self.call(
            "POST",
            _ROOT,
            answer=Notification,
            body=request,
            headers={"Idempotency-Key": idempotency_key},
            tenant=tenant,
            deadline=deadline,
        )

    async def get(self, notification_id: str, *, tenant: str, deadline: timedelta) -> Notification:
        return await self.call(
            "GET",
            f"{_ROOT}/{segment(notification_id)}",
            answer=Notification,
            tenant=tenant,
            deadline=deadline,
        )
