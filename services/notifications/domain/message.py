"""Message: what a channel is given to tell. Clean text, nothing secret; how it looks is the channel's part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.contracts.alerts import PRIORITY_WORDS, Priority


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Message:
    """One notification for one recipient.

    Attributes:
        possible_duplicate: an earlier attempt may have arrived; channels without a key say so in the text.
    """

    effect_id: str
    notification_id: str
    tenant: str
    recipient: str
    subject: str
    body: str
    priority: Priority
    transition: str
    created_at: datetime
    incident_id: str | None = None
    episode_id: str | None = None
    links: tuple[Link, ...] = ()
    possible_duplicate: bool = False

    @property
    def urgency(self) -> str:
        return f"{self.priority.value}, {PRIORITY_WORDS[self.priority]}"

    @property
    def thread(self) -> str | None:
        """What messages about the same thing have in common."""
        return self.incident_id or self.episode_id
