"""One analyzer, one file: what is wrong, by one kind of sign. Each says what it sees and what it cannot.

`SYMPTOMS` look at the objects alone; `EXPLAINERS` get what those saw and look for what was changed or
named wrongly. Both are pure functions over the scene; none of them ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.context_api.domain.analyzers import pod_crash_loop, service_without_endpoints
from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene

SYMPTOMS: Sequence[Callable[[Scene], Iterable[Observation]]] = (
    pod_crash_loop.observe,
    service_without_endpoints.observe,
)

EXPLAINERS: Sequence[Callable[[Scene, Sequence[Observation]], Iterable[Observation]]] = ()
