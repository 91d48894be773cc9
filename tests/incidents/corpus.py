"""Finds the incidents: one module each below `tuned/` and `blind/`, its recording below `recordings/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tests.incidents import blind, tuned
from tests.incidents.incident import RECORDINGS, Half, Incident
from tests.incidents.stage import Stage


@dataclass(frozen=True, slots=True)
class Entry:
    """One incident, how it is played, and where its recording lies."""

    name: str
    incident: Incident
    play: Callable[[Stage], None]

    @property
    def recording(self) -> Path:
        return RECORDINGS / self.name


PACKAGES = {Half.tuned: tuned, Half.blind: blind}


@cache
def entries(*halves: Half) -> Mapping[str, Entry]:
    """By name, of those halves or of both; a name is there once in the whole corpus."""
    found: dict[str, Entry] = {}
    for half in halves or Half:
        package = PACKAGES[half]
        for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
            loaded = importlib.import_module(f"{package.__name__}.{module}")
            entry = Entry(module, loaded.INCIDENT, loaded.play)
            if entry.incident.half is not half or module in found:
                raise ValueError(
                    f"{package.__name__}.{module}: says {entry.incident.half}, or its name is taken"
                )
            found[module] = entry
    return MappingProxyType(found)
