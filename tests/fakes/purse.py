"""Books in memory, for runs of which only the model matters; one that can be away, and tells what was written."""

from __future__ import annotations

from datetime import timedelta

from libs.storage import StorageUnavailable
from services.holmesgpt_api.domain.budget import Amount, Limit, check_day


class FakePurse:
    def __init__(self) -> None:
        self.spent: dict[str, Amount] = {}
        self.held: dict[str, Amount] = {}
        self.away = 0
        """How many calls more find no database."""

    async def reserve(
        self, run: str, tenant: str, step: Amount, *, used: Amount, limit: Limit, life: timedelta
    ) -> None:
        self._serve()
        self._write(tenant, used)
        others = sum((one for name, one in self.held.items() if name != run), Amount())
        check_day(limit, self.spent.get(tenant, Amount()), others)
        self.held[run] = step

    async def charge(self, run: str, tenant: str, used: Amount, *, keep: Amount) -> None:
        self._serve()
        self._write(tenant, used)
        if keep and run in self.held:
            self.held[run] = keep
        else:
            self.held.pop(run, None)

    def _write(self, tenant: str, used: Amount) -> None:
        if used:
            self.spent[tenant] = self.spent.get(tenant, Amount()) + used

    def _serve(self) -> None:
        if self.away > 0:
            self.away -= 1
            raise StorageUnavailable("unreachable", "test", retry_after=timedelta(seconds=1))
