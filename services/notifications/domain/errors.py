"""What can go wrong with telling people.

    NotificationError
    ├── InvalidRequest         a field of the request cannot be used
    ├── KeyReused              the idempotency key was used for another request
    ├── NoSuchNotification     this tenant has no notification of that id
    ├── NothingToResend        no delivery of it has failed or is in doubt
    └── DeliveryFailed         a channel did not take a message

None of them carries a secret.
"""

from __future__ import annotations

from datetime import timedelta


class NotificationError(Exception):
    """Base of this service's errors."""


class InvalidRequest(NotificationError):
    """`field` names it (`body.recipients.2`), `reason` says what would be right."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class KeyReused(NotificationError):
    """Another request was sent under this idempotency key before."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request; use a new key for a new request")


class NoSuchNotification(NotificationError):
    def __init__(self, notification_id: str) -> None:
        super().__init__(f"there is no notification {notification_id}")


class NothingToResend(NotificationError):
    """Every delivery has arrived, or is still on its way."""

    def __init__(self, notification_id: str) -> None:
        super().__init__(f"no delivery of {notification_id} has failed or is in doubt")


class DeliveryFailed(NotificationError):
    """A channel did not take the message.

    Attributes:
        reason: stable word, e.g. `timeout`, `http-500`, `smtp-451`.
        detail: what the channel said, without secrets.
        retry: whether trying again can help.
        retry_after: how long the channel asks to be left alone; None: it did not say.
        maybe_delivered: the message was handed over, and no answer came.
        about_channel: says something about the channel as a whole, not about this message or recipient.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        retry: bool,
        retry_after: timedelta | None = None,
        maybe_delivered: bool = False,
        about_channel: bool = True,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail, self.retry, self.retry_after = reason, detail, retry, retry_after
        self.maybe_delivered, self.about_channel = maybe_delivered, about_channel
