"""Keeps one run's last step in memory, as `adapters.steps.Steps` promises; tests/integration holds it to that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.adapters.steps import Keeping, LastStep, Run
from services.holmesgpt_api.engine.messages import Phase


@dataclass
class MemorySteps:
    refuses: bool = False
    """True: the database does not take anything (it still answers what it has)."""
    says: bool = True
    """False: a later run has taken over."""
    kept: LastStep | None = None
    calls: list[tuple[str, int]] = field(default_factory=list)
    _whose: str = ""
    """Whose step is kept; empty: it was put here by the test."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def holds(self, number: int, *, answered: bool, within: float = 20) -> None:
        """Wait until this step is the last one."""

        def there() -> bool:
            kept = self.kept
            return kept is not None and kept.number == number and (kept.answer is not None) == answered

        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(there)

    async def asks(
        self, run: Run, *, number: int, phase: Phase, model: str, messages: bytes, course: bytes
    ) -> Keeping:
        self._whose = run.id
        return await self._keep("asks", LastStep(number, phase, messages, None, course))

    async def answered(self, run: Run, *, number: int, answer: bytes, course: bytes) -> Keeping:
        if self.kept is None or self.kept.number != number:
            return Keeping.not_kept if self.says else Keeping.no_say
        return await self._keep("answered", replace(self.kept, answer=answer, course=course))

    async def _keep(self, what: str, step: LastStep) -> Keeping:
        self.calls.append((what, step.number))
        if self.refuses:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
        if not self.says:
            return Keeping.no_say
        async with self._news:
            self.kept = step
            self._news.notify_all()
        return Keeping.kept

    async def last(self, run: Run, *, model: str) -> LastStep | None:
        return self.kept if self._whose in ("", run.id) else None
