"""What service and engine say to each other of tools of foreign systems; `messages.py` puts it among the rest."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from libs.contracts.evidence import EvidenceItem


class Message(BaseModel):
    """As in `messages.py`: ours on both sides, so nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CustomTool(Message):
    """A tool of a foreign system. The service asks it; the run's process only knows what a model is told."""

    class Parameter(Message):
        name: str
        type: Literal["string", "integer", "number", "boolean"]
        description: str
        required: bool
        enum: list[str | int | float | bool] | None = None

    name: str
    description: str
    parameters: list[Parameter] = Field(default_factory=list)


class ToolAnswered(Message):
    """What a foreign system has answered, or why nothing: without secrets, and as long as a model may read it."""

    type: Literal["tool-answered"] = "tool-answered"
    number: int
    ok: bool
    text: str
    evidence: list[EvidenceItem] = Field(default_factory=list, max_length=1)


ARGUMENTS_AT_MOST = 20_000
"""Characters of a question's arguments to a foreign system."""


class ToolAsked(Message):
    """A model asks a foreign system; the service answers it with `ToolAnswered`, or refuses it there."""

    type: Literal["tool-asked"] = "tool-asked"
    number: int = Field(ge=1)
    tool: str = Field(max_length=80)
    arguments: dict[str, Any]
