"""What this process works with: read from the environment and the file at start, and again when a reload is asked for.

A file that cannot be used changes nothing: what was read before stays, and the fault is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from services.holmesgpt_api.adapters.config_file import BadConfiguration, Loaded, load
from services.holmesgpt_api.adapters.model_access import entries, limits
from services.holmesgpt_api.adapters.toolset_access import bind
from services.holmesgpt_api.domain.budget import Limits
from services.holmesgpt_api.domain.configuration import (
    Configuration,
    not_honoured,
    settings_in,
    variables_not_honoured,
)
from services.holmesgpt_api.domain.roster import Entry
from services.holmesgpt_api.domain.toolsets import Toolsets, UnknownToolset
from services.holmesgpt_api.settings import Settings

_log = logging.getLogger(__name__)

OF_ENVIRONMENT = "environment"
"""The digest of what has no file."""


@dataclass(frozen=True, slots=True)
class Current:
    """One configuration, checked."""

    entries: list[Entry]
    limits: Limits
    toolsets: Toolsets
    configuration: Configuration
    digest: str
    version: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    """Those of the environment that have no effect, and why."""

    @property
    def not_honoured(self) -> dict[str, str]:
        return {**not_honoured(self.configuration), **self.variables}


def read(settings: Settings) -> Current:
    """Raises BadConfiguration."""
    file = settings.config_file
    loaded = load(file, settings.config_key_file) if file else Loaded(Configuration(), OF_ENVIRONMENT)
    configuration, holmes = loaded.configuration, loaded.configuration.holmesgpt
    try:
        return Current(
            entries=entries(settings, configuration),
            limits=limits(settings, configuration),
            toolsets=Toolsets.chosen(
                settings.toolsets or holmes.enabled_toolsets,
                settings.default_toolsets or holmes.default_toolsets,
                bind(settings, configuration.toolsets),
            ),
            configuration=configuration,
            digest=loaded.digest,
            variables=variables_not_honoured(
                settings.variables_set(),
                {
                    "HOLMESGPT_TOOLSETS": settings.toolsets,
                    "HOLMESGPT_DEFAULT_TOOLSETS": settings.default_toolsets,
                },
            ),
        )
    except UnknownToolset as error:
        raise BadConfiguration(str(error)) from None
    except (OSError, ValidationError) as error:
        raise BadConfiguration(f"the environment's model: {type(error).__name__}") from None


def changed(old: Current, new: Current) -> list[str]:
    """The sections that differ, and `keys` where only a model's or a toolset's credential does."""
    names = [
        name
        for name in Configuration.model_fields
        if getattr(old.configuration, name) != getattr(new.configuration, name)
    ]
    others = old.entries != new.entries or old.toolsets != new.toolsets
    return names or (["keys"] if others else [])


def needs_restart(old: Current, new: Current) -> list[str]:
    """What differs and is only read at start."""
    before, after = settings_in(old.configuration), settings_in(new.configuration)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


class Steering:
    """Holds the current one. For one event loop; reading is done in a thread."""

    def __init__(
        self, settings: Settings, current: Current, *, adopt: Callable[[Current], None] = lambda _: None
    ) -> None:
        self._settings, self._adopt = settings, adopt
        self._current, self.fault = current, ""

    @property
    def current(self) -> Current:
        return self._current

    async def look(self) -> Current:
        """The configuration as it is now, not yet taken up. Raises BadConfiguration."""
        return await asyncio.to_thread(read, self._settings)

    def take(self, new: Current, version: int) -> None:
        self._current, self.fault = replace(new, version=version), ""
        self._adopt(self._current)
        _log.info("configuration %d (%s) taken up", version, new.digest)

    def begin(self, version: int, digest: str) -> None:
        """At start: what was read counts as the announced version, and is told when it is another file."""
        self._current = replace(self._current, version=version)
        if version and digest != self._current.digest:
            self._refuse(f"began with {self._current.digest}, and {digest} was announced last: reload")

    async def follow(self, version: int, digest: str) -> None:
        """A reload was announced somewhere: take up the same, or say why not and try again at the next call."""
        if version <= self._current.version:
            return
        try:
            new = await self.look()
        except BadConfiguration as error:
            self._refuse(f"{error}; version {self._current.version} stays")
            return
        if new.digest != digest:
            self._refuse(f"the file here is {new.digest}, and {digest} was announced: waiting for it")
            return
        self.take(new, version)

    def _refuse(self, fault: str) -> None:
        if fault != self.fault:
            _log.warning("configuration not taken up: %s", fault)
        self.fault = fault


def told(limits: Limits) -> dict[str, Any]:
    """Budgets as they are shown; null is no limit."""
    return {
        "run": asdict(limits.run),
        "tenant_per_day": asdict(limits.day),
        "tenants_with_their_own": len(limits.tenants),
    }
