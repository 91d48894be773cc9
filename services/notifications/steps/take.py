"""Take a request: decide what it comes to, commit it, answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from libs.contracts.notifications import NotificationRequest
from services.notifications.adapters.outbox import Accepted, Outbox
from services.notifications.domain.notice import Caller, Defaults, Notice, plan


@dataclass(frozen=True, slots=True)
class Desk:
    """`observe` is told of every request that was taken, for metrics."""

    outbox: Outbox
    defaults: Defaults
    observe: Callable[[Notice, Accepted], None]

    async def take(self, request: NotificationRequest, caller: Caller) -> Accepted:
        """Commit what is to be told; the same request under the same key gets the same answer.

        Raises:
            InvalidRequest, KeyReused, StorageUnavailable.
        """
        notice = plan(request, caller, self.defaults, id_=f"ntf-{uuid.uuid4().hex}")
        accepted = await self.outbox.accept(notice)
        self.observe(notice, accepted)
        return accepted
