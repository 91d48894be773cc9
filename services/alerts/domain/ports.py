"""What the routes need of the world. Signatures, and the obligations that no signature shows."""

from __future__ import annotations

from typing import Protocol

from services.alerts.domain.delivery import Delivery


class Inbox(Protocol):
    """Where accepted alerts become durable."""

    async def put(self, delivery: Delivery) -> None:
        """Return only after the commit, with a job committed beside it that will drain the row.

        The same `idem` again, while the first is pending or long drained, adds no episode.

        Raises:
            NotCommitted: nothing may be acknowledged.
        """
        ...
