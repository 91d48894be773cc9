"""Short ways to ask the analyzers and the triage something in a test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import ModuleType
from typing import Any

from libs.contracts.causes import CausesAnswer
from libs.contracts.target import Target
from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog
from services.context_api.domain.triage import find_causes, observe
from tests.support.kube import snapshot


def seen(analyzer: ModuleType, *objects: Any, logs: Sequence[ContainerLog] = ()) -> list[Observation]:
    """What one analyzer sees; an explaining one is given what all the others see."""
    scene = Scene(snapshot(*objects, logs=logs))
    if hasattr(analyzer, "observe"):
        return list(analyzer.observe(scene))
    everything = observe(scene)
    return [o for o in everything if o.analyzer == analyzer.NAME]


def said(observations: Sequence[Observation]) -> list[tuple[str, str]]:
    """(object, reason) of each observation."""
    return [(str(o.about), o.reason) for o in observations]


def causes(
    *objects: Any, target: str | None = None, onset: datetime | None = None, logs: Sequence[ContainerLog] = ()
) -> CausesAnswer:
    """The triage's answer about a target written as KIND/NAMESPACE/NAME; an analyzer that fails fails the test."""
    about = Target.parse(target) if target else None
    return find_causes(snapshot(*objects, logs=logs), target=about, onset=onset, broken=_raised)


def _raised(_name: str, error: Exception) -> None:
    raise error


def first(answer: CausesAnswer) -> tuple[str, str]:
    """(object, reason) of the cause ranked first."""
    return str(answer.ranked[0].target), answer.ranked[0].reason
