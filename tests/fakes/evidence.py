"""Evidence from a list: answers in order, then the last one for ever; exceptions are raised. Logs each call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from libs.contracts.causes import CausesAnswer
from libs.contracts.context import Resolution
from libs.contracts.target import Target


@dataclass
class ScriptedEvidence:
    answers: list[CausesAnswer | Exception]
    resolutions: list[Resolution | Exception] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def resolve(self, labels: Mapping[str, str], *, tenant: str, deadline: timedelta) -> Resolution:
        self.calls.append(("resolve", {"labels": dict(labels), "tenant": tenant, "deadline": deadline}))
        return _next(self.resolutions)

    async def causes(
        self, target: Target, *, onset: datetime | None, priority: str, tenant: str, deadline: timedelta
    ) -> CausesAnswer:
        asked = {
            "target": target, "onset": onset, "priority": priority, "tenant": tenant, "deadline": deadline
        }  # fmt: skip
        self.calls.append(("causes", asked))
        return _next(self.answers)


def _next(answers: list[Any]) -> Any:
    answer = answers[0] if len(answers) == 1 else answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer
