"""What can be wrong with a toolset or with a call of one of its tools."""

from __future__ import annotations


class BadToolset(ValueError):
    """A document, a template or a schema cannot be used; the text says what to mend, and repeats no secret."""


class Unfit(ValueError):
    """A model's arguments cannot be used; the text tells it why."""
