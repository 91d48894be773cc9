"""A tool of a foreign system as a run may be given it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.holmesgpt_api.domain.custom import pin, schema
from services.holmesgpt_api.domain.custom.approval import Wanted
from services.holmesgpt_api.domain.custom.bound import Bound
from services.holmesgpt_api.domain.custom.document import HttpTool, HttpToolset, McpTool
from services.holmesgpt_api.domain.custom.errors import BadToolset
from services.holmesgpt_api.domain.custom.words import called

AFTER_APPROVAL = "Changes something: it is done only after a person has agreed to exactly these arguments."


@dataclass(frozen=True, slots=True)
class Ready:
    bound: Bound
    tool: HttpTool | McpTool
    schema: schema.Schema
    writes: bool
    description: str
    offer: pin.Offer | None = None
    """Of a server's tool: what it said at the first look."""

    @property
    def called(self) -> str:
        return called(self.bound.name, self.tool.name)

    @property
    def release(self) -> str:
        """As a verdict records it."""
        return f"{self.bound.name}@{self.bound.document.version}"

    @property
    def told(self) -> str:
        """What a model is told of it."""
        said = f"[{self.bound.name}: {self.bound.document.description}] {self.description}"
        return f"{said} {AFTER_APPROVAL}" if self.writes else said

    def wanted(self, arguments: Mapping[str, Any], why: str) -> Wanted:
        document = self.bound.document
        digest = f"{document.digest}.{self.offer.hash}" if self.offer else document.digest
        return Wanted(document.name, document.version, digest, self.tool.name, arguments, why)


def ready(bound: Bound, pins: Mapping[str, pin.Pin]) -> list[Ready]:
    """The tools of one toolset that can be offered now. `pins`: of a server's tools, by name."""
    document = bound.document
    if isinstance(document, HttpToolset):
        return [Ready(bound, one, one.schema_, one.writes, one.description) for one in document.tools]
    made = []
    for one in document.tools:
        held = pins.get(one.name)
        if held is None or held.fault or held.offer is None:
            continue
        try:
            shape = schema.read(held.offer.input_schema, whole=False)
        except BadToolset:
            continue  # it was taken by another release's rules, and is not by these
        words = pin.description(one, held.offer)
        made.append(Ready(bound, one, shape, pin.writes(one, held.offer), words, held.offer))
    return made


def by_name(tools: Iterable[Ready]) -> dict[str, Ready]:
    return {one.called: one for one in tools}
