"""Pins: what a server says of its tools is fixed at the first look, for each version of a document. Pure.

A server that changes a tool's words or shape after somebody has looked at them withdraws that tool: the words steer
a model, and the shape decides what is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from libs.contracts.evidence import canonical
from services.holmesgpt_api.domain.custom import schema
from services.holmesgpt_api.domain.custom.document import McpTool
from services.holmesgpt_api.domain.custom.errors import BadToolset
from services.holmesgpt_api.domain.custom.words import plain

DESCRIPTION = 600
"""Characters of a server's description that a model is told."""

Standing = Literal["ok", "withdrawn", "unknown"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server says of one tool."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    read_only: bool | None
    destructive: bool | None

    @property
    def hash(self) -> str:
        told = {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input_schema,
            "readOnlyHint": self.read_only,
            "destructiveHint": self.destructive,
        }
        return hashlib.sha256(canonical(told).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Pin:
    """What one tool is held to, and how the last look at it went."""

    toolset: str
    version: str
    tool: str
    hash: str | None
    offer: Offer | None
    fault: str = ""
    """Why it is withdrawn; it stays so until the document's version is another one."""


def fault_in(tool: McpTool, offer: Offer | None, pinned: str | None) -> str:
    """Why a tool cannot be offered as the server has it now; empty: it can.

    Args:
        pinned: the hash of the first look; None: this is it.
    """
    if offer is None:
        return "the server does not have it (any more)"
    if tool.pin is not None and offer.hash != tool.pin:
        return f"the server's description or schema is not the one in the document: {offer.hash}"
    if pinned is not None and offer.hash != pinned:
        return (
            "the server has changed its description or schema; look at it, and raise the document's version"
        )
    try:
        schema.read(offer.input_schema, whole=False)
    except BadToolset as error:
        return str(error)
    return ""


def writes(tool: McpTool, offer: Offer) -> bool:
    """Whether it needs approval: by the document's word, or the server's where that is stricter."""
    return tool.writes or offer.read_only is False or offer.destructive is True


def description(tool: McpTool, offer: Offer) -> str:
    return tool.description or plain(offer.description, DESCRIPTION) or tool.name
