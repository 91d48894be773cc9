"""Put a message into a channel's words: our own templates, in Jinja2's sandbox, escaped for the channel.

What a message holds is never a template: it is only ever put into one, through the channel's escape.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notifications.domain.message import Message
from services.notifications.domain.text import printable

TEMPLATES = Path(__file__).parent / "templates"

Render = Callable[[Message], str]


def plain(name: str) -> Render:
    """Text as it is, for terminals and text parts."""
    return _render(name)


def html(name: str) -> Render:
    """Every value escaped for HTML."""
    return _render(name, autoescape=True)


def mrkdwn(name: str) -> Render:
    """Every value escaped for Slack."""
    return _render(name, escape=slack_escape)


def slack_escape(text: str) -> str:
    """No mention, link or date can be made of it: each of those begins with `<`.

    Slack decodes these three entities and no others, so HTML's own escape would show quotes as `&#34;`.
    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _render(name: str, *, autoescape: bool = False, escape: Callable[[str], str] = printable) -> Render:
    # Compiled here, so that a broken template stops the start and not a message.
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: escape(str(value)),
    )
    template = environment.get_template(name)
    return lambda message: template.render(m=message)
