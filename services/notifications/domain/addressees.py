"""Decide who is told on which channels.

A notification that resolves to nobody is not a success: no channel at all leaves the reason, a channel
without a recipient leaves a delivery that has failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libs.contracts.notifications import Channel, NotificationRequest
from services.notifications.domain.errors import InvalidRequest

NOBODY = "nobody"
"""Recipient of a delivery for which none is known."""

STDOUT = "stdout"
WEBHOOK = "incoming-webhook"

NO_CHANNEL = "no-channel: the request names none and NOTIFY_CHANNELS is empty"
NO_RECIPIENT = "no-recipient: give `recipients` or set EMAIL_RECIPIENTS"

# RFC 5321 without quoted local parts and without UTF-8: what every server takes. Each part is bounded and
# no two neighbouring classes overlap, so that it cannot backtrack.
_ADDRESS = re.compile(
    r"(?=.{3,254}\Z)([a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64})*)"
    r"@((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient on one channel; `reason` says why nothing can be sent there, when that is already clear."""

    channel: Channel
    recipient: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Addressees:
    """`reason` is set when there is nobody at all."""

    those: tuple[Addressee, ...]
    reason: str | None = None


def address(text: str) -> str | None:
    """The e-mail address in one spelling (the domain has no upper case); None: it is none."""
    found = _ADDRESS.fullmatch(text.strip())
    # `=?` begins an encoded word: mail libraries decode it, and there is no telling into what.
    if not found or len(found.group(1)) > 64 or "=?" in found.group(1):
        return None
    return f"{found.group(1)}@{found.group(2).lower()}"


def resolve(
    request: NotificationRequest, *, channels: Sequence[Channel], recipients: Sequence[str]
) -> Addressees:
    """Who is told, without doubles, in the request's order.

    Args:
        channels, recipients: the configured ones, for what the request leaves out.

    Raises:
        InvalidRequest: a recipient is no e-mail address, or recipients are given to channels that know none.
    """
    named = [_named(number, text) for number, text in enumerate(request.recipients)]
    wanted = list(dict.fromkeys(request.channels or channels))
    if named and Channel.email not in wanted:
        if request.channels:
            raise InvalidRequest(
                "body.recipients", "recipients are e-mail addresses; add the channel `email`"
            )
        # Whoever names people wants to reach them, whatever the default is.
        wanted.append(Channel.email)
    if not wanted:
        return Addressees((), NO_CHANNEL)
    mailed = list(dict.fromkeys(named or recipients))
    return Addressees(tuple(one for channel in wanted for one in _on(channel, mailed)))


def _named(number: int, text: str) -> str:
    found = address(text)
    if found is None:
        raise InvalidRequest(f"body.recipients.{number}", "not an e-mail address like `name@example.org`")
    return found


def _on(channel: Channel, mailed: Sequence[str]) -> Iterable[Addressee]:
    match channel:
        case Channel.console:
            return [Addressee(channel, STDOUT)]
        case Channel.slack:
            return [Addressee(channel, WEBHOOK)]
        case Channel.email:
            return [Addressee(channel, one) for one in mailed] or [Addressee(channel, NOBODY, NO_RECIPIENT)]
