"""Toolsets: names by which a caller chooses which of our tools a model is given. Pure.

The names are those of HolmesGPT's own toolsets; behind each of them stand tools of ours, which ask the Context
API and only read. What HolmesGPT would do on this machine or on the internet is not offered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.holmesgpt_api.domain.custom.bound import Bound
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
    custom: tuple[Bound, ...] = ()
    """Of foreign systems, withdrawn ones among them."""

    @classmethod
    def chosen(
        cls, enabled: Iterable[str] | None, default: Iterable[str] | None, custom: Sequence[Bound] = ()
    ) -> Toolsets:
        """As an operator has it. What is never offered is left out; custom ones are on by being there.

        Raises:
            UnknownToolset: a name that nobody knows, or a default that is not switched on.
        """
        others = [one.name for one in custom]
        on = cls._known([one for one in enabled or () if one not in others], OFFERED) or tuple(OFFERED)
        given = cls._known(default, [*on, *others])
        return cls(on, given or tuple(one for one in DEFAULT if one in on) or on, tuple(custom))

    @staticmethod
    def _known(names: Iterable[str] | None, available: Collection[str]) -> tuple[str, ...]:
        wanted = [one for one in dict.fromkeys(names or ()) if one not in FORBIDDEN]
        if unknown := [one for one in wanted if one not in available]:
            raise UnknownToolset(unknown, list(available))
        return tuple(wanted)

    def available(self, tenant: str) -> tuple[str, ...]:
        """What a request of this tenant may name. Of what it may not use it learns nothing."""
        return (*self.enabled, *(one.name for one in self.custom if one.usable_by(tenant)))

    def check(self, names: Iterable[str], *, tenant: str) -> None:
        """Raises UnknownToolset: a request names one that it may not."""
        there = self.available(tenant)
        if unknown := [one for one in dict.fromkeys(names) if one not in there]:
            raise UnknownToolset(unknown, there)

    def tools(self, names: Iterable[str]) -> list[str]:
        """The tools of ours that these give; one that was switched off meanwhile gives none.

        Custom ones come on top: a request that names only such gets the default ones of ours as well.
        """
        asked = list(names)
        foreign = {one.name for one in self.custom}
        ours = [one for one in asked if one not in foreign]
        if not ours:
            ours = [one for one in self.default if one not in foreign] or list(self.enabled)
        given = {tool for one in ours if one in self.enabled for tool in OFFERED[one].tools}
        return [tool for tool in (CAUSES, EVIDENCE, LOGS) if tool in given]

    def beside(self, names: Iterable[str], *, tenant: str) -> list[Bound]:
        """The custom ones that a request is given: those it names, or those among the default ones."""
        asked = list(names) or list(self.default)
        return [one for one in self.custom if one.name in asked and one.usable_by(tenant)]
