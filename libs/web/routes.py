"""What is known of an address before FastAPI sees it: its route's template and what the Edge does differently there.

Pure. The template is the `route` label of logs and metrics: a closed set, never the caller's text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount, compile_path

from libs.web.fast import FastRoute
from libs.web.pages import KeptRoute

PUBLIC = frozenset(
    {
        "/health",
        "/ready",
        "/api/v1/health",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api/v1/openapi.json",
    }
)
ASSETS = "/docs/assets"
"""Scripts and styles of the documentation's pages."""

PAGES = frozenset({"/docs", "/redoc"})
PROBES = frozenset({"/health", "/ready", "/api/v1/health"})


@dataclass(frozen=True, slots=True)
class Place:
    """One address, or all those of one template."""

    template: str
    public: bool = False
    """Answered without a credential, and whatever the Host header says: a kubelet asks by the pod's address."""
    probe: bool = False
    """Asked every few seconds by machines: logged only at DEBUG."""
    elsewhere: bool = False
    """Another service's address, which is only told where that is: as public, and no body is looked at."""
    own_policy: bool = False
    """A page that brings its own Content-Security-Policy."""
    fast: Mapping[str, FastRoute] = field(default_factory=dict)
    """Method to the route that is answered before FastAPI."""
    methods: frozenset[str] = frozenset()
    """What FastAPI answers here."""
    kept: KeptRoute | None = None
    """Its `GET` answers are kept, and `HEAD` is answered by them."""

    @property
    def allowed(self) -> str:
        """For an `Allow` header."""
        return ", ".join(sorted(self.methods | set(self.fast)))


NOWHERE = Place("unmatched")

MOST_FOUND, LONGEST_FOUND = 2_048, 300
"""Paths of kept answers whose place is remembered, and characters of one: half a megabyte at most."""


class Places:
    """Finds the place of a path: one look-up for a fixed one, a pattern each for those with parameters."""

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        fast: Iterable[FastRoute] = (),
        kept: Iterable[KeptRoute] = (),
        elsewhere: Collection[str] = (),
    ) -> None:
        by_template: dict[str, frozenset[str]] = {}
        for template, methods in _templates(routes):
            by_template[template] = by_template.get(template, frozenset()) | methods
        handlers: dict[str, dict[str, FastRoute]] = {}
        for route in fast:
            handlers.setdefault(route.path, {})[route.method] = route
            by_template.setdefault(route.path, frozenset())
        keeping = {route.template: route for route in kept}
        if not keeping.keys() <= by_template.keys():
            raise ValueError(f"kept, and no route: {sorted(keeping.keys() - by_template.keys())}")
        if not by_template.keys() >= set(elsewhere):
            raise ValueError(f"elsewhere, and no route: {sorted(set(elsewhere) - by_template.keys())}")
        self._fixed: dict[str, Place] = {}
        self._patterns: list[tuple[re.Pattern[str], Place]] = []
        self._found: dict[str, Place] = {}
        for template, methods in by_template.items():
            place = _place(
                template,
                methods,
                handlers.get(template, {}),
                keeping.get(template),
                elsewhere=template in elsewhere,
            )
            if "{" in template:
                self._patterns.append((compile_path(template)[0], place))
            else:
                self._fixed[template] = place

    def find(self, path: str) -> Place:
        place = self._fixed.get(path) or self._found.get(path)
        if place is not None:
            return place
        place = next((place for pattern, place in self._patterns if pattern.match(path)), NOWHERE)
        if place.kept is not None and len(path) <= LONGEST_FOUND:
            # Twenty patterns take 8 µs, a fifth of a kept answer's time (measured 2026-11).
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            self._found[path] = place
        return place

    @property
    def templates(self) -> list[str]:
        """Every value that a `route` label can take."""
        known = [*self._fixed.values(), *(place for _, place in self._patterns), NOWHERE]
        return sorted({place.template for place in known})


def _templates(routes: Sequence[BaseRoute]) -> Iterable[tuple[str, frozenset[str]]]:
    for context in iter_route_contexts(routes):
        if context.path is None:
            continue
        if isinstance(context.original_route, Mount):
            yield context.path.rstrip("/") + "/{path:path}", frozenset({"GET", "HEAD"})
        else:
            yield context.path, frozenset(context.methods or ())


def _place(
    template: str,
    methods: frozenset[str],
    fast: Mapping[str, FastRoute],
    kept: KeptRoute | None,
    *,
    elsewhere: bool,
) -> Place:
    return Place(
        template=template,
        public=elsewhere or template in PUBLIC or template == ASSETS + "/{path:path}",
        elsewhere=elsewhere,
        probe=template in PROBES,
        own_policy=template in PAGES,
        fast=fast,
        methods=methods | {"HEAD"} if kept is not None else methods,
        kept=kept,
    )
