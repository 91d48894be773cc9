"""Toolsets: names by which a caller chooses which of our tools a model is given. Pure.

The names are those of HolmesGPT's own toolsets; behind each of them stand tools of ours, which ask the Context
API and only read. What HolmesGPT would do on this machine or on the internet is not offered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.holmesgpt_api.domain.errors import HolmesError
from services.holmesgpt_api.engine.asking import CAUSES, EVIDENCE, LOGS

FORBIDDEN = frozenset({"internet", "docker", "bash"})
"""HolmesGPT has these. They would run programs here or fetch what somebody else's text says."""


@dataclass(frozen=True, slots=True)
class Toolset:
    name: str
    description: str
    tools: tuple[str, ...]
    version: str = "1.0.0"


OFFERED: Mapping[str, Toolset] = {
    one.name: one
    for one in (
        Toolset(
            "kubernetes", "Objects, their states, events, changes, causes and logs", (CAUSES, EVIDENCE, LOGS)
        ),
        Toolset("kubernetes/logs", "Logs of containers, without secrets", (LOGS,)),
        Toolset("prometheus", "What metrics tell about objects", (CAUSES, EVIDENCE)),
        Toolset("context-api", "Everything the Context API knows of an incident", (CAUSES, EVIDENCE, LOGS)),
    )
}
DEFAULT = ("kubernetes", "prometheus")


class UnknownToolset(HolmesError):
    """A toolset that is not offered here, or not switched on."""

    def __init__(self, names: Sequence[str], available: Sequence[str]) -> None:
        super().__init__(f"no toolset {', '.join(names)}; available: {', '.join(available)}")


@dataclass(frozen=True, slots=True)
class Toolsets:
    """Those switched on, and those of a request that names none."""

    enabled: tuple[str, ...] = tuple(OFFERED)
    default: tuple[str, ...] = DEFAULT

    @classmethod
    def chosen(cls, enabled: Iterable[str] | None, default: Iterable[str] | None) -> Toolsets:
        """As an operator has it. What is never offered is left out.

        Raises:
            UnknownToolset: a name that nobody knows, or a default that is not switched on.
        """
        on = cls._known(enabled, OFFERED) or tuple(OFFERED)
        given = cls._known(default, on)
        return cls(on, given or tuple(one for one in DEFAULT if one in on) or on)

    @staticmethod
    def _known(names: Iterable[str] | None, available: Collection[str]) -> tuple[str, ...]:
        wanted = [one for one in dict.fromkeys(names or ()) if one not in FORBIDDEN]
        if unknown := [one for one in wanted if one not in available]:
            raise UnknownToolset(unknown, list(available))
        return tuple(wanted)

    def check(self, names: Iterable[str]) -> None:
        """Raises UnknownToolset: a request names one that is not switched on."""
        if unknown := [one for one in dict.fromkeys(names) if one not in self.enabled]:
            raise UnknownToolset(unknown, self.enabled)

    def tools(self, names: Iterable[str]) -> list[str]:
        """The tools that these give, or the default ones; one that was switched off meanwhile gives none."""
        asked = list(names) or list(self.default)
        given = {tool for one in asked if one in self.enabled for tool in OFFERED[one].tools}
        return [tool for tool in (CAUSES, EVIDENCE, LOGS) if tool in given]
